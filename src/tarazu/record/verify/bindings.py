"""The values that are a theorem's only premises, as the gate itself computed them.

Each value that a theorem binds is judged like an empirical claim of that value: it must agree with the results of every
re-run, and follow from the scores. A setting, a count or a fact of the data is context, and so is a theorem on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tarazu.record.claims.findings import Finding
from tarazu.record.claims.mathematics.bound import Bound
from tarazu.record.claims.pointers import is_count, scale, span, steps, value_at
from tarazu.record.model import BoundValue, EmpiricalClaim, MathematicalClaim, Value
from tarazu.record.verify.judgement import Runs, compare_claim, perturb_claim

_STEP = 0.01
_FAR = 10.0
"""How far a value without a range is varied, in its scale."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Bindings:
    """By claim: the values of theorems whose values all hold and follow from the scores, or why they do not."""

    bounds: Mapping[str, Sequence[Bound]]
    problems: Mapping[str, Finding]


def bind(claims: Sequence[MathematicalClaim], runs: Runs | None, problem: str) -> Bindings:
    """The values of all theorems that bind some. `problem` says why there are no `runs`."""
    bounds: dict[str, Sequence[Bound]] = {}
    problems: dict[str, Finding] = {}
    for claim in claims:
        values = claim.smt.values if claim.smt else ()
        if not values:
            continue
        if runs is None:
            problems[claim.id] = Finding(claim.id, claim.kind, "not_run", problem)
        elif finding := _problem(claim, values, runs):
            problems[claim.id] = finding
        else:
            bounds[claim.id] = [_bound(value, runs) for value in values]
    return Bindings(bounds, problems)


def _problem(claim: MathematicalClaim, values: Sequence[BoundValue], runs: Runs) -> Finding | None:
    """Why a theorem's values are not all verified, if they are not."""
    for name, places in (
        ("name", [one.name for one in values]),
        ("place", [str(steps(one.pointer)) for one in values]),
    ):
        if len(set(places)) < len(places):
            return Finding(claim.id, claim.kind, "vacuous", f"two of its values have the same {name}")
    order = ("failed", "vacuous", "not_run", "context")
    found = [(value, _judged(value, runs)) for value in values]
    for verdict in order:
        for value, finding in found:
            if finding.verdict == verdict:
                reason = f"the value of {value.name}: {finding.reason}"
                return Finding(claim.id, claim.kind, finding.verdict, reason, finding.expected, finding.observed)
    return None


def _judged(value: BoundValue, runs: Runs) -> Finding:
    check = Value(pointer=value.pointer, value=value.value)
    claim = EmpiricalClaim(kind="empirical", id="value", statement=value.name, check=check)
    finding = perturb_claim(claim, compare_claim(claim, runs), runs)
    if finding.verdict == "verified" and is_count(value.pointer):
        return Finding("value", claim.kind, "context", f"{finding.reason}; a count")
    return finding


def _bound(value: BoundValue, runs: Runs) -> Bound:
    fresh = runs.analysis.script.results
    assert fresh is not None  # its values are verified
    all_results = [results for _, results in runs.analyses()]
    if runs.deeper is not None and runs.deeper.results is not None:
        all_results.append(runs.deeper.results)
    given = [value.value, *(float(value_at(results, value.pointer)) for results in all_results)]
    here = float(value_at(fresh, value.pointer))
    size = scale(fresh, value.pointer) or abs(here) or 1.0
    low, high = span(value.pointer)
    rounding = _ROUNDING * max(map(abs, given))
    return Bound(
        name=value.name,
        pointer=value.pointer,
        value=here,
        low=min(given) - rounding,
        high=max(given) + rounding,
        least=here - _FAR * size if low is None else low,
        most=here + _FAR * size if high is None else high,
        step=_STEP * size,
    )

"""Compare empirical claims with the results of a re-run: strict parsing, then comparison, both outside the sandbox.

No claim may pass vacuously: each verified claim is changed in ways that make it false, and every change must be
refused.

A number is shifted up and down by two tolerances, or, if the tolerance is negligible, by a millionth of the value or of
its scale. A word is replaced by the other words of a verdict or status, and by a word that is neither. A truth value is
inverted.

`latitude` says what an expression leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import JsonValue

from tarazu.errors import BadInput
from tarazu.readers import parse_document
from tarazu.record.claims.expressions import BadExpression, Scalar, evaluate
from tarazu.record.claims.findings import ClaimVerdict, Finding
from tarazu.record.claims.latitude import Latitude, latitude
from tarazu.record.claims.pointers import Undefined, escaped, is_unit, scale, span, unit_of, value_at
from tarazu.record.claims.wording import warnings
from tarazu.record.model import Depth, EmpiricalClaim, Expression, Tolerance, Value

DEFAULT: Final = Tolerance(relative=1e-9)
CEILING: Final[dict[Depth, float]] = {"analysis": 1e-9, "responses": 0.02, "training": 0.10}
"""The widest accepted tolerance at each depth, as a share.

A relative tolerance is a share of the value. At depths responses and training, an absolute tolerance is a share of the
quantity's scale (`pointers.scale`), such as 2 or 10 points of a rate. At depth analysis only rounding may differ.
There, and where the scale is unknown, an absolute tolerance is at most 1e-9 in the value's unit."""
_ROUNDING = 1e-12
_WORDS = ("differs", "equivalent", "inconclusive", "trusted", "doubtful", "no such word")
_LEAST_SHIFT = 1e-6
_UNIT_WORDS = {"none": "which has no unit", "count": "a number of responses, prompts or the like"}


class BadResults(Exception):
    """The re-run's output is not a results.json. The message says why, in one line."""


def read_results(data: bytes) -> dict[str, JsonValue]:
    """Parse the output of an untrusted program: a strict JSON object with finite numbers and without duplicate keys.

    Raises BadResults.
    """
    try:
        results = parse_document(data.decode("utf-8"), "results.json")
    except UnicodeDecodeError as error:
        raise BadResults(f"results.json: byte {error.start + 1} is not UTF-8") from None
    except BadInput as error:
        raise BadResults(str(error)[:300]) from None
    if not isinstance(results, dict):
        raise BadResults("results.json is not a JSON object")
    return results


def check(claim: EmpiricalClaim, fresh: Mapping[str, JsonValue], depth: Depth) -> Finding:
    """The verdict on a claim given fresh results, before its perturbations."""
    try:
        if isinstance(claim.check, Expression):
            return _check_expression(claim, claim.check, fresh)
        return _check_value(claim, claim.check, fresh, depth)
    except Undefined as error:
        return _finding(claim, "failed", str(error))
    except BadExpression as error:
        return _finding(claim, "failed", str(error))


def _check_expression(claim: EmpiricalClaim, check: Expression, fresh: Mapping[str, JsonValue]) -> Finding:
    if evaluate(check.expression, fresh).truth:
        return _finding(claim, "verified", "the expression holds for the fresh results", expected=True, observed=True)
    return _finding(
        claim, "failed", "the expression does not hold for the fresh results", expected=True, observed=False
    )


def _check_value(claim: EmpiricalClaim, check: Value, fresh: Mapping[str, JsonValue], depth: Depth) -> Finding:
    computed = value_at(fresh, check.pointer)
    if isinstance(computed, dict | list):
        return _finding(claim, "failed", f"there is no single value at {check.pointer}", expected=check.value)
    bound = tolerance_of(check, depth).bound(check.value) if isinstance(check.value, float) else None
    facts = {"expected": check.value, "observed": computed, "tolerance": bound}
    if not agrees(check, computed, depth):
        within = "" if not bound else f" within {bound:.3g}"
        return _finding(
            claim, "failed", f"computed {format_value(computed)}, claimed {format_value(check.value)}{within}", **facts
        )
    if too_wide := _too_wide(check, fresh, depth):
        return _finding(claim, "vacuous", too_wide, **facts)
    unit = unit_of(fresh, check.pointer)
    if check.unit is not None and unit is not None and not is_unit(check.unit, unit):
        reason = f"the unit '{check.unit[:60]}' is not that of {check.pointer}, {_UNIT_WORDS.get(unit, unit)}"
        return _finding(claim, "vacuous", reason, **facts)
    within = "" if bound is None else f" within {bound:.3g}"
    return _finding(
        claim, "verified", f"computed {format_value(computed)} matches {format_value(check.value)}{within}", **facts
    )


def tolerance_of(check: Value, depth: Depth) -> Tolerance:
    """The tolerance at a depth: the declared one, or 1e-9 of the value by default."""
    return check.tolerance.get(depth, DEFAULT)


def agrees(check: Value, computed: Any, depth: Depth) -> bool:
    """Whether a fresh value agrees with the claim: words and truth values are equal, numbers within the tolerance."""
    if isinstance(check.value, float) and _is_number(computed):
        return abs(computed - check.value) <= tolerance_of(check, depth).bound(check.value)
    return type(computed) is type(check.value) and computed == check.value


def _too_wide(check: Value, fresh: Mapping[str, JsonValue], depth: Depth) -> str | None:
    """Why the tolerance is wider than the accepted one, or None."""
    if not isinstance(check.value, float):
        return None
    tolerance, ceiling = tolerance_of(check, depth), CEILING[depth]
    measure = None if depth == "analysis" else scale(fresh, check.pointer)
    most = max(CEILING["analysis"], ceiling * (measure or 0.0))
    limit = f"the widest accepted at depth {depth}"
    if tolerance.relative > ceiling:
        return f"a relative tolerance of {tolerance.relative:g} is wider than {ceiling:g}, {limit}"
    if tolerance.absolute > most:
        return f"an absolute tolerance of {tolerance.absolute:g} is wider than {most:g}, {limit}"
    low, high = span(check.pointer)
    bound = tolerance.bound(check.value)
    if low is not None and high is not None and check.value - bound <= low and check.value + bound >= high:
        return f"a tolerance of {bound:g} covers every possible value"
    return None


@dataclass(frozen=True)
class Difference:
    """A place where two results differ. `only` says which of them has it, if only one has."""

    pointer: str
    only: Literal["one", "other"] | None = None


def differences(one: Any, other: Any, pointer: str = "") -> Iterator[Difference]:
    """Where two results differ in keys, lengths, words, truth values or numbers (beyond 1e-9), in order."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            place = f"{pointer}/{escaped(key)}"
            if key in one and key in other:
                yield from differences(one[key], other[key], place)
            else:
                yield Difference(place, "one" if key in one else "other")
    elif isinstance(one, list) and isinstance(other, list):
        for index, pair in enumerate(zip(one, other, strict=False)):
            yield from differences(*pair, f"{pointer}/{index}")
        if len(one) != len(other):
            yield Difference(f"{pointer}/{min(len(one), len(other))}", "one" if len(one) > len(other) else "other")
    elif _is_number(one) and _is_number(other):
        if abs(one - other) > max(_ROUNDING, 1e-9 * abs(one)):
            yield Difference(pointer)
    elif type(one) is not type(other) or one != other:
        yield Difference(pointer)


def first_difference(one: Any, other: Any) -> str | None:
    """The pointer of the first difference of two results, or None."""
    return next((difference.pointer for difference in differences(one, other)), None)


def format_value(value: float | str | bool) -> str:
    return f"{value:.12g}" if _is_number(value) else str(value)[:120]


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _finding(claim: EmpiricalClaim, verdict: ClaimVerdict, reason: str, **facts: Any) -> Finding:
    return Finding(claim.id, claim.kind, verdict, reason, **facts)


# --- perturbations: no claim passes vacuously ----------------------------------------------------


def perturb(claim: EmpiricalClaim, finding: Finding, fresh: Mapping[str, JsonValue], depth: Depth) -> Finding:
    """The finding on a verified claim after its perturbations: with their count and its warnings, or vacuous."""
    if isinstance(claim.check, Expression):
        left = latitude(claim.check.expression, fresh, depth)
    else:
        left = _value(claim.check, fresh, depth)
    counted = replace(
        finding,
        perturbations={"tried": left.tried, "refused": left.refused},
        warnings=tuple(warnings(claim, left.numbers, fresh)),
    )
    return replace(counted, verdict="vacuous", reason=left.reason) if left.reason else counted


def _value(check: Value, fresh: Mapping[str, JsonValue], depth: Depth) -> Latitude:
    computed = value_at(fresh, check.pointer)
    others: list[Scalar]
    value = check.value
    if isinstance(value, bool):
        others = [not value]
    elif isinstance(value, str):
        others = [word for word in _WORDS if word != value]
    else:
        bound = tolerance_of(check, depth).bound(value)
        least = _LEAST_SHIFT * (scale(fresh, check.pointer) or 1.0) if value == 0 else _LEAST_SHIFT * abs(value)
        rounding = 4 * math.ulp(value)  # rounding must not cancel the shift
        shift = 2 * bound if 2 * bound > rounding else max(least, rounding)
        # Keep the claim's own bound. A relative tolerance would grow with the shift.
        check = check.model_copy(update={"tolerance": {depth: Tolerance(absolute=bound)}})
        others = [value - shift, value + shift]
    passing = [one for one in others if agrees(check.model_copy(update={"value": one}), computed, depth)]
    reason = f"the claim also holds with {passing[0]} in place of {value}" if passing else ""
    return Latitude(len(others), len(others) - len(passing), reason)

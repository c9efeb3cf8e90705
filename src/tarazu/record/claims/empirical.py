"""Empirical claims against the results of a fresh re-run: strict reading, then comparison, both outside the sandbox.

No vacuous pass: each verified claim is then changed in ways that make it false, and every change must be refused.

A value is shifted by two tolerances, both ways (where the tolerance is next to nothing, by a millionth of the value or
of its scale); a word is replaced by the other words of a verdict or of a status, and by one of none; a truth is turned
round.

An expression that holds is refused when it is negated, as it has one truth. What else it could survive is tried on the
values that it read, one at a time: a number is set to the ends of its span, to 0, one scale up and down, to half of
itself, to itself with the other sign, and to each of the other values read; a word to others; a truth to its opposite.
An expression that reads no result, or that none of these makes false, is vacuous.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, Final

from tarazu.record.claims.expressions import BadExpression, Evaluation, Scalar, evaluate
from tarazu.record.claims.findings import ClaimVerdict, Finding
from tarazu.record.claims.pointers import Undefined, at, escaped, is_setting, scale, span
from tarazu.record.model import Depth, EmpiricalClaim, Expression, Tolerance, Value

DEFAULT: Final = Tolerance(relative=1e-9)
CEILING: Final[dict[Depth, float]] = {"analysis": 1e-9, "responses": 0.02, "training": 0.10}
"""The widest tolerance that counts, as a share: relative of the value and, from responses or training, absolute of the
quantity's scale (`pointers.scale`; 2 or 10 points of a rate). At the analysis nothing but rounding may differ: there,
and where a quantity's scale is not known, an absolute tolerance is at most 1e-9 in the value's unit."""
_MOST_BYTES = 64 << 20
_MOST_DIGITS = 400
_ROUNDING = 1e-12
_WORDS = ("differs", "equivalent", "inconclusive", "trusted", "doubtful", "no such word")
_LEAST = 1e-6


class BadResults(Exception):
    """What a re-run left is not a results.json; the text says why, in one line."""


def read_results(data: bytes) -> dict[str, Any]:
    """Results from bytes that a stranger's program wrote: strict JSON, an object, every number finite, no key twice.

    Raises BadResults.
    """
    if len(data) > _MOST_BYTES:
        raise BadResults(f"it is larger than {_MOST_BYTES} bytes")
    try:
        found = json.loads(
            data.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_once,
        )
    except RecursionError:
        raise BadResults("it is nested too deep") from None
    except ValueError as error:
        raise BadResults(f"it is not strict JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise BadResults("it is not a JSON object")
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is not a finite number")
    return number


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS or not math.isfinite(float(text)):
        raise ValueError(f"{text[:40]}... is not a finite number")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def check(claim: EmpiricalClaim, fresh: dict[str, Any], depth: Depth) -> Finding:
    """The claim's verdict over fresh results, before its perturbations."""
    try:
        if isinstance(claim.check, Expression):
            return _check_expression(claim, claim.check, fresh)
        return _check_value(claim, claim.check, fresh, depth)
    except Undefined as error:
        return _finding(claim, "failed", str(error))
    except BadExpression as error:
        return _finding(claim, "failed", str(error))


def _check_expression(claim: EmpiricalClaim, check: Expression, fresh: dict[str, Any]) -> Finding:
    if evaluate(check.expression, fresh).truth:
        return _finding(claim, "verified", "the expression holds over the fresh results", expected=True, found=True)
    return _finding(claim, "failed", "the expression does not hold over the fresh results", expected=True, found=False)


def _check_value(claim: EmpiricalClaim, check: Value, fresh: dict[str, Any], depth: Depth) -> Finding:
    found = at(fresh, check.pointer)
    if isinstance(found, dict | list):
        return _finding(claim, "failed", f"there is no single value at {check.pointer}", expected=check.value)
    bound = tolerance_of(check, depth).bound(check.value) if isinstance(check.value, float) else None
    facts = {"expected": check.value, "found": found, "tolerance": bound}
    if not agrees(check, found, depth):
        within = "" if not bound else f" within {bound:.3g}"
        return _finding(claim, "failed", f"computed {shown(found)}, claimed {shown(check.value)}{within}", **facts)
    if too_wide := _too_wide(check, fresh, depth):
        return _finding(claim, "vacuous", too_wide, **facts)
    if is_setting(check.pointer):
        return _finding(claim, "vacuous", f"{check.pointer} is a setting, which any run gives back", **facts)
    within = "" if bound is None else f" within {bound:.3g}"
    return _finding(claim, "verified", f"computed {shown(found)} matches {shown(check.value)}{within}", **facts)


def tolerance_of(check: Value, depth: Depth) -> Tolerance:
    """The tolerance at a depth: the declared one, else 1e-9 of the value."""
    return check.tolerance.get(depth, DEFAULT)


def agrees(check: Value, found: Any, depth: Depth) -> bool:
    """Whether a fresh value agrees with the claimed one: equal words and truths, numbers within the tolerance."""
    if isinstance(check.value, float) and _is_number(found):
        return abs(found - check.value) <= tolerance_of(check, depth).bound(check.value)
    return type(found) is type(check.value) and found == check.value


def _too_wide(check: Value, fresh: dict[str, Any], depth: Depth) -> str | None:
    """Why the tolerance is wider than any that counts, or None."""
    if not isinstance(check.value, float):
        return None
    tolerance, ceiling = tolerance_of(check, depth), CEILING[depth]
    measure = None if depth == "analysis" else scale(fresh, check.pointer)
    most = max(CEILING["analysis"], ceiling * (measure or 0.0))
    counts = f"the widest that counts at depth {depth}"
    if tolerance.relative > ceiling:
        return f"a relative tolerance of {tolerance.relative:g} is wider than {ceiling:g}, {counts}"
    if tolerance.absolute > most:
        return f"an absolute tolerance of {tolerance.absolute:g} is wider than {most:g}, {counts}"
    low, high = span(check.pointer)
    bound = tolerance.bound(check.value)
    if low is not None and high is not None and check.value - bound <= low and check.value + bound >= high:
        return f"a tolerance of {bound:g} covers all that the value could be"
    return None


def differing(one: Any, other: Any, pointer: str = "", *, shared: bool = False) -> str | None:
    """The first place where two results have not the same keys, words, truths or (to 1e-9) numbers; None: nowhere.
    With `shared`, only keys that both have are compared: another version may say more, or less."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys() and not shared:
            return f"{pointer}/{escaped(min(one.keys() ^ other.keys()))}"
        pairs = [(f"{pointer}/{escaped(key)}", one[key], other[key]) for key in sorted(one.keys() & other.keys())]
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return pointer
        pairs = [(f"{pointer}/{at}", *pair) for at, pair in enumerate(zip(one, other, strict=True))]
    elif _is_number(one) and _is_number(other):
        return None if abs(one - other) <= max(_ROUNDING, 1e-9 * abs(one)) else pointer
    else:
        return None if type(one) is type(other) and one == other else pointer
    return next((found for place, a, b in pairs if (found := differing(a, b, place, shared=shared)) is not None), None)


def shown(value: float | str | bool) -> str:
    return f"{value:.12g}" if _is_number(value) else str(value)[:120]


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _finding(claim: EmpiricalClaim, verdict: ClaimVerdict, reason: str, **facts: Any) -> Finding:
    return Finding(claim.id, claim.kind, verdict, reason, **facts)


# --- no vacuous pass -----------------------------------------------------------------------------


def perturb(claim: EmpiricalClaim, finding: Finding, fresh: dict[str, Any], depth: Depth) -> Finding:
    """The finding of a verified claim after its perturbations: as it was, with their count, or vacuous."""
    if isinstance(claim.check, Expression):
        tried, refused, reason = _expression(claim.check.expression, fresh)
    else:
        tried, refused, reason = _value(claim.check, fresh, depth)
    counted = replace(finding, perturbations={"tried": tried, "refused": refused})
    return replace(counted, verdict="vacuous", reason=reason) if reason else counted


def _value(check: Value, fresh: dict[str, Any], depth: Depth) -> tuple[int, int, str]:
    found = at(fresh, check.pointer)
    others: list[Scalar]
    value = check.value
    if isinstance(value, bool):
        others = [not value]
    elif isinstance(value, str):
        others = [word for word in _WORDS if word != value]
    else:
        bound = tolerance_of(check, depth).bound(value)
        least = _LEAST * (scale(fresh, check.pointer) or 1.0) if value == 0 else _LEAST * abs(value)
        shift = 2 * bound if 2 * bound > 4 * math.ulp(value) else least  # a shift that rounding swallows is none
        # The same band as the claim's own: a relative one would grow with the shift.
        check = check.model_copy(update={"tolerance": {depth: Tolerance(absolute=bound)}})
        others = [value - shift, value + shift]
    survivors = [one for one in others if agrees(check.model_copy(update={"value": one}), found, depth)]
    reason = f"the claim also holds with {survivors[0]} in place of {value}" if survivors else ""
    return len(others), len(others) - len(survivors), reason


def _expression(text: str, fresh: dict[str, Any]) -> tuple[int, int, str]:
    """Two perturbations, the negation and other values, how many were refused, and the reason where one was not."""
    actual = evaluate(text, fresh)
    if not actual.truth:
        return 2, 0, "the expression does not hold"
    results = {pointer: one for pointer, one in actual.reads.items() if not is_setting(pointer)}
    if not results:
        return 2, 1, "the expression reads no result"
    for pointer, value in results.items():
        for other in _others(pointer, value, fresh, actual):
            try:
                if not evaluate(text, fresh, {pointer: other}).truth:
                    return 2, 2, ""
            except Undefined:
                continue
    return 2, 1, "the expression holds whatever the values that it reads"


def _others(pointer: str, value: Scalar, fresh: dict[str, Any], actual: Evaluation) -> list[Scalar]:
    """Values that could have stood at `pointer` instead."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        return [word for word in _WORDS if word != value]
    low, high = span(pointer)
    measure = scale(fresh, pointer) or max(1.0, abs(value))
    floor, ceiling = (-float("inf") if low is None else low), (float("inf") if high is None else high)
    read = [one for one in actual.reads.values() if isinstance(one, float) and not isinstance(one, bool)]
    wanted = [value - measure, value + measure, 0.0, value / 2, -value, *read, *(end for end in (low, high) if end)]
    inside = dict.fromkeys(min(max(one, floor), ceiling) for one in wanted)
    return [one for one in inside if one != value]

"""No vacuous pass: each verified claim is changed in ways that make it false, and every change must be refused.

A value is shifted by two tolerances, both ways (where the tolerance is next to nothing, by a millionth of the value or
of its scale); a word is replaced by the other words of a verdict or of a status, and by one of none; a truth is turned
round.

An expression that holds is refused when it is negated, as it has one truth. What else it could survive is tried on the
values that it read, one at a time: a number is set to the ends of its span, to 0, one scale up and down, to half of
itself, to itself with the other sign, and to each of the other values read; a word to others; a truth to its opposite.
An expression that reads no result, or that none of these makes false, is vacuous.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from tarazu.record.claims.empirical import agrees, tolerance_of
from tarazu.record.claims.expressions import Evaluation, Scalar, evaluate
from tarazu.record.claims.findings import Finding
from tarazu.record.claims.pointers import Undefined, at, is_setting, scale, span
from tarazu.record.model import Depth, EmpiricalClaim, Expression, Tolerance, Value

_WORDS = ("differs", "equivalent", "inconclusive", "trusted", "doubtful", "no such word")
_LEAST = 1e-6


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

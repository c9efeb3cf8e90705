"""No vacuous pass: each verified claim is changed in ways that make it false, and every change must be refused.

A value is shifted by two tolerances, both ways (at least by 1e-6 of its scale, so that a tolerance of zero is shifted
too); a word is replaced by the other words of its schema and by one of none; a truth is turned round. An expression is
negated. Then each number that it read is set, one at a time, to values that it could have had: the ends of its span, 0,
one scale up and down, half of it, the same with the other sign, and those of the other values read; each word to
others; each truth to its opposite. An expression that reads nothing, or whose truth none of these changes, is vacuous.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tarazu.record.empirical import agrees, tolerance_of
from tarazu.record.expressions import BadExpression, Evaluation, Scalar, evaluate
from tarazu.record.findings import Finding
from tarazu.record.model import Depth, EmpiricalClaim, Expression, Value
from tarazu.record.pointers import Undefined, at, is_setting, scale, span

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
    if isinstance(check.value, bool):
        others = [not check.value]
    elif isinstance(check.value, str):
        others = [word for word in _WORDS if word != check.value]
    else:
        least = _LEAST * (scale(fresh, check.pointer) or abs(check.value) or 1.0)
        shift = max(2 * tolerance_of(check, depth).bound(check.value), least if check.value == 0 else 0.0)
        shift = shift or _LEAST * abs(check.value)
        others = [check.value - shift, check.value + shift]
    survivors = [one for one in others if agrees(check.model_copy(update={"value": one}), found, depth)]
    reason = f"the claim also holds with {survivors[0]} in place of {check.value}" if survivors else ""
    return len(others), len(others) - len(survivors), reason


def _expression(text: str, fresh: dict[str, Any]) -> tuple[int, int, str]:
    """Perturbations tried, those that were refused, and the reason where the expression is vacuous."""
    try:
        negated = evaluate(f"not ({text})", fresh).truth
    except BadExpression:  # too long by the negation's own characters: negated here
        negated = not evaluate(text, fresh).truth
    actual = evaluate(text, fresh)
    results = {pointer: one for pointer, one in actual.reads.items() if not is_setting(pointer)}
    if negated:
        return 1, 0, "the expression and its negation both hold"
    if not results:
        return 1, 1, "the expression reads no result"
    tried, changed = 1, 0
    for pointer, value in results.items():
        for other in _others(pointer, value, fresh, actual):
            tried += 1
            try:
                changed += not evaluate(text, fresh, {pointer: other}).truth
            except Undefined:
                changed += 1
    reason = "" if changed else "the expression holds whatever the values it reads"
    return tried, 1 + changed, reason


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

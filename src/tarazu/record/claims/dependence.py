"""Does what a claim reads follow from the scores? And is a miss in another environment still a miss?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from tarazu.record.claims.empirical import CEILING, first_difference
from tarazu.record.claims.expressions import BadExpression, evaluate
from tarazu.record.claims.findings import Finding, ScriptBy
from tarazu.record.claims.pointers import Undefined, is_count, is_of_scores, is_setting, scale, value_at
from tarazu.record.model import Depth, EmpiricalClaim, Expression

Results = Mapping[str, JsonValue]
_TIGHT = 0.02
"""A change of a value, as a share of its scale, that a tight relation between values does not survive."""


def reads(claim: EmpiricalClaim, results: Results) -> list[str]:
    """The pointers of all values that a claim's check reads."""
    if not isinstance(claim.check, Expression):
        return [claim.check.pointer]
    try:
        return list(evaluate(claim.check.expression, results).reads)
    except (Undefined, BadExpression):
        return []


def depends_on_scores(
    claim: EmpiricalClaim, finding: Finding, fresh: Results, replaced: Sequence[Results], by: ScriptBy
) -> Finding:
    """The finding on a claim that holds, given the results for other scores: as it is, context, or vacuous.

    What the scores cannot change (settings, facts of the data) is context. What changes with the scores comes from
    them. So does what the package's own script computes from scores, even if it happens to stay the same: a rate of six
    responses, a verdict. An author's script could repeat it. There, each number that a claim reads must change at least
    once, counts aside; words must not, since the package's analysis gives the same. The rest holds as context.
    """
    pointers = [pointer for pointer in reads(claim, fresh) if not is_setting(pointer)]
    if not pointers:
        return replace(finding, verdict="context", reason=f"{finding.reason}; a setting or a fact of the data")
    comes = False
    for pointer in pointers:
        value = value_at(fresh, pointer)
        word = isinstance(value, str | bool)
        if _moves(pointer, fresh, replaced) or (is_of_scores(pointer) and (word or by == "package")):
            comes = True
        elif by == "author" and not word and not is_count(pointer):
            reason = f"{pointer} stays the same when the scores are replaced"
            return replace(finding, verdict="vacuous", reason=reason)
    if comes and _is_identity(claim, pointers, fresh, replaced):
        reason = "the expression is an identity: it holds as exactly for other scores"
        return replace(finding, verdict="vacuous", reason=reason)
    if comes:
        return finding
    return replace(finding, verdict="context", reason=f"{finding.reason}; the scores do not decide it")


def _is_identity(claim: EmpiricalClaim, pointers: Sequence[str], fresh: Results, replaced: Sequence[Results]) -> bool:
    """Whether an expression binds several values tightly to each other, and holds for all other scores too, although
    these change the values. So does `CAS('dpo') == (HmR('dpo') + HpR('dpo')) / 2` for any results."""
    if not isinstance(claim.check, Expression) or len(pointers) < 2:
        return False
    text = claim.check.expression
    try:
        for pointer in pointers:
            value = value_at(fresh, pointer)
            if isinstance(value, str | bool):
                return False
            shift = _TIGHT * _size(fresh, pointer, value)
            if any(evaluate(text, fresh, {pointer: value + sign * shift}).truth for sign in (-1, 1)):
                return False
        return bool(replaced) and all(
            evaluate(text, other).truth and any(_moves(pointer, fresh, [other]) for pointer in pointers)
            for other in replaced
        )
    except (Undefined, BadExpression):
        return False


def _moves(pointer: str, fresh: Results, replaced: Sequence[Results]) -> bool:
    """Whether the value at the pointer differs in one of the other results, where it is defined."""
    here = value_at(fresh, pointer)
    for results in replaced:
        try:
            there = value_at(results, pointer)
        except Undefined:
            continue
        if (isinstance(there, str) == isinstance(here, str)) and first_difference(here, there) is not None:
            return True
    return False


def misses_widely(claim: EmpiricalClaim, fresh: Results, depth: Depth) -> bool:
    """Whether a claim that failed would fail within the widest tolerance of the depth too.

    Another environment explains a small difference. It does not explain one beyond the depth's ceiling.
    """
    if isinstance(claim.check, Expression):
        return _never_near(claim.check.expression, fresh, depth)
    value = claim.check.value
    if isinstance(value, str | bool):
        return False
    try:
        computed: Any = value_at(fresh, claim.check.pointer)
    except Undefined:
        return True
    if not isinstance(computed, int | float) or isinstance(computed, bool):
        return True
    return abs(computed - value) > CEILING[depth] * _size(fresh, claim.check.pointer, value)


def _never_near(expression: str, fresh: Results, depth: Depth) -> bool:
    """Whether an expression does not hold for any value near those that it read."""
    try:
        actual = evaluate(expression, fresh).reads
        if any(isinstance(value, str | bool) for value in actual.values()):
            return False
        for pointer, value in actual.items():
            for step in (-1, -0.25, -1e-6, 1e-6, 0.25, 1):
                other = float(value) + step * CEILING[depth] * _size(fresh, pointer, float(value))
                if not is_setting(pointer) and evaluate(expression, fresh, {pointer: other}).truth:
                    return False
    except (Undefined, BadExpression):
        pass
    return True


def _size(fresh: Results, pointer: str, value: float) -> float:
    return max(scale(fresh, pointer) or 0.0, abs(value))


def differs_widely(one: Any, other: Any, fresh: Results, pointer: str) -> bool:
    """Whether two numbers at a pointer differ by more than another version could explain."""
    if not (isinstance(one, int | float) and isinstance(other, int | float)):
        return False
    return abs(one - other) > CEILING["training"] * _size(fresh, pointer, float(other))

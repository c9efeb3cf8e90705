"""The words of a claim beside its check: a reader judges whether they agree, and these warnings say where to look."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from tarazu.record.claims.pointers import Undefined, unit_of, value_at
from tarazu.record.model import EmpiricalClaim, Value

_NUMBER: Final = re.compile(r"(?<![\w.])[-+\u2212]?\d{1,15}(?:\.\d{1,15})?(?:[eE][-+]?\d{1,2})?(?!\d)")


def warnings(claim: EmpiricalClaim, deciding: Sequence[float], fresh: Mapping[str, JsonValue]) -> Iterator[str]:
    """What a reader should compare: numbers of the statement that the check lacks, and a unit that is not known.

    `deciding` are the numbers of an expression that make a difference. Names of arms, the level of an interval (95 %)
    and what the results say beside the claimed value, such as its number of languages, are not missed.
    """
    known = [*deciding, 95.0]
    if isinstance(claim.check, Value):
        known += _numbers_beside(claim.check, fresh)
        unit = claim.check.unit
        if unit is not None and unit_of(fresh, claim.check.pointer) is None:
            yield f"the unit '{unit[:60]}' was not compared: the results name none"
    arms = fresh.get("arms")
    names = sorted(arms, key=len, reverse=True) if isinstance(arms, dict) else []
    statement = claim.statement
    for name in names:
        statement = statement.replace(name, " ")
    if names:
        known.append(float(len(names)))
    absent = [text for text, number, step in _numbers_in(statement) if not _is_known(number, step, known)]
    if absent:
        yield f"the check has no {', '.join(dict.fromkeys(absent[:5]))}, which the statement has"


def _numbers_beside(check: Value, fresh: Mapping[str, JsonValue]) -> Iterator[float]:
    """The claimed value, or the numbers of a claimed text, and the numbers beside it in the results."""
    if isinstance(check.value, str):
        yield from (number for _, number, _ in _numbers_in(check.value))
    else:
        yield float(check.value)
    try:
        parent = value_at(fresh, check.pointer.rpartition("/")[0])
    except Undefined:
        return
    for key, value in parent.items() if isinstance(parent, dict) else ():
        if key.startswith("n") and isinstance(value, int | float) and not isinstance(value, bool):
            yield float(value)


def _numbers_in(text: str) -> Iterator[tuple[str, float, float]]:
    """Each number in a text as it is written, its value, and half its last digit."""
    for match in _NUMBER.finditer(text):
        digits = match[0].replace("\u2212", "-")
        _, _, decimals = digits.lower().partition("e")[0].partition(".")
        exponent = int(digits.lower().partition("e")[2] or 0)
        yield match[0], float(digits), 0.5 * 10.0 ** (exponent - len(decimals))


def _is_known(number: float, step: float, known: Sequence[float]) -> bool:
    return any(abs(abs(number) - abs(one)) <= step * (1 + 1e-9) for one in known)

"""Counts, as a paper's table has them: k of n responses passed, and which prompts they answer is not known.

Inside, a count is n responses to one prompt without a name, of which k have the label 1. Nothing that needs to know
which responses answer the same prompt is computed from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

COUNTS: Final = ("k", "n", "percent")
"""Columns of a table of counts: `k` of `n`, or `percent` of `n`."""

UNKNOWN_PROMPT: Final = "not known"
"""The prompt_id of responses that were counted."""

MOST: Final = 1_000_000
"""Responses that the counts of a table may have together."""


def is_count(row: Mapping[str, Any]) -> bool:
    """Whether a row of a table is a count. A row with a prompt, a reward or a label is a response."""
    return any(name in row for name in COUNTS) and not any(name in row for name in ("prompt_id", "reward", "label"))


def responses_of_percent(percent: Decimal, n: int) -> int:
    """The k of n responses that a rounded percentage stands for. Raises ValueError, with the reason, if there is none,
    or more than one."""
    digits = max(0, -int(percent.as_tuple().exponent))
    half = Decimal(1).scaleb(-digits) / 2
    nearest = round(percent * n / 100)
    fitting = [
        k for k in range(max(0, nearest - 2), min(n, nearest + 2) + 1) if abs(Decimal(100 * k) / n - percent) <= half
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{percent} of {n} can be {fitting[0]} or {fitting[1]} responses; give k")
    below = nearest * 100 / n
    raise ValueError(f"{percent} of {n} is no whole number of responses: {nearest} of {n} are {below:.4g} %")


def expanded(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Rows with each count as that many responses; other rows as they are."""
    if not any("k" in row for row in rows):
        return rows
    made: list[Mapping[str, Any]] = []
    for row in rows:
        rest = {name: value for name, value in row.items() if name not in COUNTS}
        made += [{**rest, "sample": sample, "label": int(sample < row["k"])} for sample in range(row["n"])]
    return made

"""The data of the report's browser: responses side by side, few enough for a file that opens at once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tarazu.errors import visible
from tarazu.report.languages import ReportLanguage

MOST_RESPONSES = 8_000
"""More make a file of tens of megabytes that phones fail to open."""
LONGEST_TEXT = 3_000
"""Characters of a prompt or response that are shown."""

PASSES = {"harmful": "harmless", "benign": "helpful"}
"""The boolean column that says whether a response to a prompt of a kind passes."""

_KEY = ("language", "kind", "prompt_id", "seed", "sample", "reward_model")


def browser_data(
    scores: pa.Table | None, arms: Sequence[str], languages: Sequence[ReportLanguage]
) -> dict[str, Any] | None:
    """What the browser's script reads; None where the scores hold no texts.

    Of many prompts it keeps as many of each language and kind, spread evenly over the prompts in order of their ids.
    """
    if scores is None or not {"prompt", "response"} <= set(scores.column_names):
        return None
    grouped: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in scores.to_pylist():
        if row["response"] is not None and row["arm"] in arms:
            grouped[tuple(row.get(name) for name in _KEY)][row["arm"]] = row
    if not grouped:
        return None
    order = {language.code: place for place, language in enumerate(languages)}
    keys = sorted(grouped, key=lambda key: (order.get(key[0], len(order)), key[1] != "harmful", *map(_natural, key)))
    kept = _thinned(keys, MOST_RESPONSES // max(1, len(arms)))
    items = [
        [
            order.get(key[0], -1),
            key[1],
            visible(str(key[2])),
            _cut(next(iter(grouped[key].values()))["prompt"] or ""),
            [_cell(grouped[key].get(arm), PASSES.get(key[1])) for arm in arms],
            key[4] or 0,
            key[3] or 0,
        ]
        for key in kept
    ]
    return {
        "arms": [visible(arm) for arm in arms],
        "languages": [[language.code, language.name] for language in languages],
        "items": items,
        "prompts": len(keys),
    }


def _cell(row: dict[str, Any] | None, column: str | None) -> list[Any] | None:
    """Response, whether it passes (1, 0 or null), reward, finish."""
    if row is None:
        return None
    passes = row.get(column) if column else None
    reward = row.get("reward")
    return [
        _cut(row["response"]),
        None if passes is None else int(passes),
        None if reward is None else round(reward, 2),
        row.get("finish"),
    ]


def _natural(part: Any) -> list[tuple[int, str]]:
    """A sort key that has benign-2 before benign-10."""
    return [(int(piece) if piece.isdecimal() else -1, piece) for piece in re.split(r"(\d+)", str(part))]


def _cut(text: str) -> str:
    more = len(text) - LONGEST_TEXT
    return visible(text) if more <= 0 else f"{visible(text[:LONGEST_TEXT])} … ({more} more characters)"


def _thinned(keys: list[tuple[Any, ...]], most: int) -> list[tuple[Any, ...]]:
    """At most about `most` keys, as many of each language and kind, evenly spaced."""
    if len(keys) <= most:
        return keys
    cells: dict[tuple[Any, Any], list[tuple[Any, ...]]] = defaultdict(list)
    for key in keys:
        cells[key[0], key[1]].append(key)
    share = max(1, most // len(cells))
    return [
        cell[index * len(cell) // min(share, len(cell))]
        for cell in cells.values()
        for index in range(min(share, len(cell)))
    ]

"""Tables of judged answers: RewardBench's rewards per item, and the labelled responses of PolyGuardPrompts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tarazu.data.importers.rows import Given, Imported, KnownAnswerRow, Place, ResponseRow, Skip

REWARDBENCH, POLYGUARD = "reward-bench", "polyguard"

_HARM_LABELS = {"harmful": 1, "unharmful": 0}


def is_rewards(row: Mapping[str, Any]) -> bool:
    return {"scores_chosen", "scores_rejected"} <= row.keys()


def is_labelled(row: Mapping[str, Any]) -> bool:
    return {"prompt", "response", "prompt_harm_label"} <= row.keys()


def rewards(path: Path, rows: Iterable[tuple[int, dict[str, Any]]], given: Given) -> Imported:
    """The rewards of the chosen and the rejected answer, as known answers."""
    imported = Imported(path=path, tool=REWARDBENCH)
    for line, row in rows:
        place = Place(path=path, row=f"row {line}", given=given, facts=row)
        try:
            good, bad = (_reward(row.get(name)) for name in ("scores_chosen", "scores_rejected"))
            subset = row.get("subset", row.get("subsets"))
            imported.known_answers.append(
                KnownAnswerRow(
                    language=place.language(),
                    kind=place.kind(),
                    prompt_id=place.prompt_id(REWARDBENCH, row.get("id", line)),
                    source=f"{REWARDBENCH}-{subset}" if isinstance(subset, str) else REWARDBENCH,
                    reward_good=good,
                    reward_bad=bad,
                )
            )
        except Skip as reason:
            imported.excluded[str(reason)] += 1
    return imported


def _reward(value: object) -> float:
    """A reward, which some models give as a list of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Skip("no reward")
    return float(value)


def by_row(columns: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The rows of an object by column, as RewardBench uploads scores. Values that are not lists hold for all rows."""
    lists = {name: value for name, value in columns.items() if isinstance(value, list)}
    count = min(map(len, lists.values()), default=0)
    return [(number + 1, {name: value[number] for name, value in lists.items()}) for number in range(count)]


def labelled(path: Path, rows: Iterable[tuple[int, dict[str, Any]]], given: Given) -> Imported:
    """Responses with WildGuard's columns. `response_harm_label`, chosen with `harm`, is a label for harmful prompts."""
    imported = Imported(path=path, tool=POLYGUARD)
    for line, row in rows:
        kind = {"harmful": "harmful", "unharmful": "benign"}.get(str(row.get("prompt_harm_label")))
        place = Place(path=path, row=f"row {line}", given=given, facts={**row, "kind": kind})
        imported.metrics |= {"response_harm_label"} & row.keys()
        try:
            if kind is None and given.kind is None:
                raise Skip("no prompt_harm_label")
            if not isinstance(row.get("prompt"), str) or not isinstance(row.get("response"), str):
                raise Skip("no response")
            value = row.get(given.metric or "")
            imported.responses.append(
                ResponseRow(
                    arm=place.arm(None),
                    language=place.language(),
                    kind=_kind_with_label(place),
                    prompt_id=place.prompt_id(POLYGUARD, row.get("id")),
                    source=POLYGUARD,
                    sample=0,
                    label=place.label(
                        _HARM_LABELS.get(value, value) if isinstance(value, str) else value,
                        False if given.metric == "response_harm_label" else None,
                    ),
                    prompt=row["prompt"],
                    response=row["response"],
                    finish=None,
                )
            )
        except Skip as reason:
            imported.excluded[str(reason)] += 1
    return imported


def _kind_with_label(place: Place) -> str:
    kind = place.kind()
    if place.given.metric == "response_harm_label" and kind == "benign":
        raise Skip("a label of harm does not say whether a response is helpful")
    return kind

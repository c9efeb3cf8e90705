"""Runs inside the sandbox: `python -m tarazu.record.verify._replace IN OUT FIRST COUNT` writes a record's scores anew.

IN has tables of scores and settings.json: `{paths, high, low, thresholds}`. OUT/tables has COUNT sets of all
tables, from set FIRST on, each table as an eight-byte length and a parquet file. Set 0 has the record's own scores.

A script must not recognise its own scores. So every table is written in the same way, with its rows in a new random
order; and other scores are the same responses, with their scores and labels, exchanged at random between prompts,
languages and arms. Every column keeps its values. The first replacement is a plain exchange. The others favour some
arms and groups of languages, so that estimates and verdicts change too. Where nearly all responses pass or nearly all
fail, an exchange changes little, so some scores are mirrored at the threshold.
"""

from __future__ import annotations

import io
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tarazu.data.rows import BORDERLINE
from tarazu.scores import COLUMNS, KEY, NOTES, SCHEMA

_UNIT = ("arm", "language", "kind", "prompt_id", "seed", "sample")
"""One response. It has a row for each reward model."""
_KEPT = frozenset((*KEY, "source", "group", "prompt", *NOTES))
"""Columns that stay with the prompt. All others belong to the response."""
_FAVOUR = 2.0
_MOST_EQUAL = 0.8
"""Where a larger share of the responses passes, or fails, some scores are mirrored."""


@dataclass(frozen=True)
class Settings:
    """What the replacement needs to know of a study: its resource groups and thresholds."""

    paths: list[str]
    high: list[str]
    low: list[str]
    thresholds: dict[str, float]


def main(inputs: Path, out: Path, first: int, count: int) -> None:
    settings = Settings(**json.loads((inputs / "settings.json").read_text(encoding="utf-8")))
    rng = np.random.default_rng()
    tables = {path: _read(inputs / path) for path in settings.paths}
    with (out / "tables").open("wb") as stream:
        for number in range(first, first + count):
            for table in tables.values():
                made = _replaced(table, settings, rng, favour=_FAVOUR * (number > 1)) if number else table
                data = _written(made.take(rng.permutation(made.num_rows)))
                stream.write(len(data).to_bytes(8, "big") + data)


def _read(path: Path) -> pa.Table:
    table = pq.read_table(path)
    kept = {*SCHEMA.names, *COLUMNS} - {"reason", "judge_score"}
    known = [name for name in table.column_names if name in kept]
    made = table.select(known)
    if "reason" in table.column_names and "label" in table.column_names:
        # Why there is no label. What a judge says about a label could contradict another label.
        reason = pc.if_else(table.column("label").is_null(), table.column("reason"), None)
        made = made.append_column("reason", reason)
    return made.replace_schema_metadata(None)


def _written(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd", use_dictionary=False, write_statistics=False)
    return stream.getvalue()


def _replaced(table: pa.Table, settings: Settings, rng: np.random.Generator, *, favour: float) -> pa.Table:
    keys = {name: table.column(name).to_pylist() for name in KEY if name in table.column_names}
    units: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for row, unit in enumerate(zip(*(keys[name] for name in _UNIT if name in keys), strict=True)):
        units[unit].append(row)
    models = keys.get("reward_model", [None] * table.num_rows)
    score, scored = _scores(table)
    # Responses change places only with those of the same kind, reward models and sort of score.
    alike: dict[tuple[object, ...], list[list[int]]] = defaultdict(list)
    for rows in units.values():
        rows.sort(key=lambda row: str(models[row]))
        alike[keys["kind"][rows[0]], *((models[row], scored[row]) for row in rows)].append(rows)
    group_of = {code: name for name in ("high", "low") for code in getattr(settings, name)}
    effects: dict[tuple[object, ...], float] = defaultdict(lambda: float(rng.normal(0, favour)))
    source = np.arange(table.num_rows)
    mirrored = np.zeros(table.num_rows, dtype=bool)
    passes = _passes(table, keys["kind"], score, scored, settings.thresholds)
    for places in alike.values():
        rank = np.array(
            [
                effects[keys["kind"][rows[0]], keys["arm"][rows[0]], group_of.get(keys["language"][rows[0]])]
                + rng.normal()
                for rows in places
            ]
        )
        values = np.array([score[rows[0]] for rows in places])
        giving = np.lexsort((rng.random(len(places)), values))
        taking = np.argsort(rank, kind="stable")
        for taker, giver in zip(taking, giving, strict=True):
            source[places[taker]] = places[giver]
        if keys["kind"][places[0][0]] == BORDERLINE:
            continue  # their labels agree with their outcomes
        mirrored[[row for at in _to_mirror(passes, places, taking, giving, rng) for row in places[at]]] = True
    moved = [name for name in table.column_names if name not in _KEPT]
    for name in moved:
        table = table.set_column(table.column_names.index(name), name, table.column(name).take(pa.array(source)))
    return _mirrored(table, keys["kind"], mirrored, settings.thresholds) if mirrored.any() else table


def _scores(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The reward or label of each row, and whether it is a reward (0), a label (1) or neither (2)."""
    score, scored = np.zeros(table.num_rows), np.full(table.num_rows, 2)
    for sort, name in ((1, "label"), (0, "reward")):
        if name in table.column_names:
            column = table.column(name)
            known = np.asarray(column.is_valid())
            values = column.to_numpy(zero_copy_only=False).astype(float)
            score[known], scored[known] = values[known], sort
    return score, scored


def _passes(
    table: pa.Table, kinds: list[str], score: np.ndarray, scored: np.ndarray, thresholds: dict[str, float]
) -> np.ndarray:
    harmful = np.array(kinds) == "harmful"
    by_reward = np.where(harmful, score >= thresholds["harmless"], score > thresholds["helpful"])
    return np.asarray(np.where(scored == 1, score == 1, by_reward))


def _to_mirror(
    passes: np.ndarray, places: list[list[int]], taking: np.ndarray, giving: np.ndarray, rng: np.random.Generator
) -> list[int]:
    """Which responses to mirror, so that some pass and some fail: those that the favour puts on the other side."""
    passing = np.array([passes[places[giver][0]] for giver in giving])
    share = float(passing.mean())
    if 1 - _MOST_EQUAL <= share <= _MOST_EQUAL:
        return []
    wanted = round(float(rng.uniform(0.3, 0.5)) * len(places))
    if share > _MOST_EQUAL:
        return [int(taker) for taker, passed in zip(taking, passing, strict=True) if passed][:wanted]
    return [int(taker) for taker, passed in zip(taking[::-1], passing[::-1], strict=True) if not passed][:wanted]


def _mirrored(table: pa.Table, kinds: list[str], rows: np.ndarray, thresholds: dict[str, float]) -> pa.Table:
    harmful = np.array(kinds) == "harmful"
    threshold = np.where(harmful, thresholds["harmless"], thresholds["helpful"])
    for name in ("reward", "label", "harmless", "helpful"):
        if name not in table.column_names:
            continue
        column = table.column(name)
        known = np.asarray(column.is_valid())
        if not known.any():
            continue
        old = column.to_numpy(zero_copy_only=False)[known].astype(float)
        new = 1 - old
        if name == "reward":
            distance = old - threshold[known]
            over = np.where(harmful[known], distance >= 0, distance > 0)
            new = threshold[known] - np.where(over, 1, -1) * np.maximum(np.abs(distance), 1e-6)
        values = np.zeros(table.num_rows)
        values[known] = np.where(rows[known], new, old)
        typed = pa.array(values, mask=~known)
        made = pa.array(values == 1, mask=~known) if pa.types.is_boolean(column.type) else typed.cast(column.type)
        table = table.set_column(table.column_names.index(name), name, made)
    return table


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

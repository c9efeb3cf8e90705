"""Rewards of responses known to be good and of responses known to be bad, with which reward models are tested."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.rows import KINDS
from tarazu.errors import BadInput
from tarazu.files import atomic_file
from tarazu.languages import LANGUAGES

SCHEMA = pa.schema(
    [
        ("language", pa.string()),
        ("kind", pa.string()),
        ("prompt_id", pa.string()),
        ("source", pa.string()),
        ("reward_good", pa.float64()),
        ("reward_bad", pa.float64()),
    ]
)


def write_known_answers(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows (language, kind, prompt_id, source, reward_good, reward_bad) as parquet."""
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), temporary)


def _number(value: Any) -> float:
    """A number, or a number as text as in a csv. NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan


class KnownAnswerRow(TypedDict):
    """The rewards of a good and of a bad answer to the same prompt. A user's table may leave the id and the source
    empty."""

    language: str
    kind: str
    prompt_id: str
    source: str
    reward_good: float
    reward_bad: float


def checked_known_answers(name: str, rows: Iterable[Mapping[str, Any]]) -> list[KnownAnswerRow]:
    """Rows with language, kind, reward_good and reward_bad (prompt_id and source are optional), checked.

    Raises BadInput with the row, from 1, and the fix.
    """
    checked: list[KnownAnswerRow] = []
    for number, row in enumerate(rows, 1):
        place = f"{name}: row {number}"
        for column, allowed in (("language", LANGUAGES), ("kind", KINDS)):
            if row.get(column) not in allowed:
                hint = "`tarazu languages` lists the 50" if column == "language" else "kinds are harmful and benign"
                raise BadInput(f"{place}: unknown {column} {str(row.get(column))[:40]!r}; {hint}")
        rewards = {}
        for column in ("reward_good", "reward_bad"):
            rewards[column] = _number(row.get(column))
            if not math.isfinite(rewards[column]):
                raise BadInput(f"{place}: {column} must be a finite number, not {str(row.get(column))[:40]!r}")
        checked.append(
            {
                "language": row["language"],
                "kind": row["kind"],
                "prompt_id": str(row.get("prompt_id") or ""),
                "source": str(row.get("source") or ""),
                "reward_good": rewards["reward_good"],
                "reward_bad": rewards["reward_bad"],
            }
        )
    return checked


def read_known_answers(path: Path) -> list[KnownAnswerRow]:
    """Read the rows written by `write_known_answers`."""
    rows: list[KnownAnswerRow] = pq.read_table(path, schema=SCHEMA).to_pylist()
    return rows

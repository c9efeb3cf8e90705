"""Rewards of responses known to be good and known to be bad: what the reward models are tested with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.files import atomic_file

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


def read_known_answers(path: Path) -> list[dict[str, Any]]:
    """The rows that `write_known_answers` wrote."""
    rows: list[dict[str, Any]] = pq.read_table(path, schema=SCHEMA).to_pylist()
    return rows

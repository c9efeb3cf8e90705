"""Judgements of responses known to be good and of responses known to be bad, with which judges are tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.importers import tool_of
from tarazu.data.rows import KINDS
from tarazu.errors import BadInput
from tarazu.files import atomic_file
from tarazu.languages import UnknownLanguage, language_code
from tarazu.study.schema import Thresholds
from tarazu.tables import Columns, columns_of, identifier, is_missing_number, number, open_table, truth

T = TypeVar("T")

_REWARDS = ("reward_good", "reward_bad")
_LABELS = ("label_good", "label_bad")
_NAMES = ("prompt_id", "source")
COLUMNS = ("language", "kind", *_NAMES, *_REWARDS, *_LABELS)

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
    """Write rows (language, kind, prompt_id, source, and reward_good and reward_bad or label_good and label_bad) as
    parquet."""
    schema = SCHEMA
    if any(row.get(name) is not None for row in rows for name in _LABELS):
        for name in _LABELS:
            schema = schema.append(pa.field(name, pa.int8()))
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), temporary)


def as_rewards(rows: Sequence[Mapping[str, Any]], thresholds: Thresholds) -> list[Mapping[str, Any]]:
    """Known answers with a judge's labels as rewards half a point above or below the study's threshold, which labels
    them as the judge did."""
    made: list[Mapping[str, Any]] = []
    for row in rows:
        if row.get("label_good") is None:
            made.append(row)
            continue
        cut = thresholds.of(row["kind"])
        rewards = {f"reward_{name}": cut + row[f"label_{name}"] - 0.5 for name in ("good", "bad")}
        made.append({**row, **rewards})
    return made


def known_answer_rows(path: Path, columns: Columns | None = None) -> list[KnownAnswerRow]:
    """The checked rows of a user's table of known answers. `columns` says what they are in the file."""
    table = open_table(path, columns=columns, numbers=(*_REWARDS, *_LABELS), ids=["prompt_id"])
    return checked_known_answers(str(path), table.rows, table.form.unit)


class KnownAnswerRow(TypedDict):
    """The rewards of a good and of a bad answer to the same prompt, or the labels that a judge gave them. A user's
    table may leave the id and the source empty."""

    language: str
    kind: str
    prompt_id: str
    source: str
    reward_good: float | None
    reward_bad: float | None
    label_good: NotRequired[int | None]
    label_bad: NotRequired[int | None]


def checked_known_answers(
    name: str, rows: Iterable[tuple[int, Mapping[str, Any]]], unit: str = "row"
) -> list[KnownAnswerRow]:
    """Numbered rows with language, kind, reward_good and reward_bad (prompt_id and source are optional), checked.

    Raises BadInput with the number of the row, which is its `unit`, and the fix.
    """
    checked: list[KnownAnswerRow] = []
    for line, row in rows:
        place = f"{name}: {unit} {line}"
        labelled = not any(is_missing_number(row.get(column)) for column in _LABELS)
        for column in ("language", "kind", *(() if labelled else _REWARDS)):
            if column not in row:
                hint = "; or `tarazu import` makes a table of RewardBench's file" if tool_of(row) else ""
                raise BadInput(
                    f"{place}: no column {column}; {columns_of(row)}; a table of known answers has language, kind, "
                    "reward_good and reward_bad (or label_good and label_bad; to rename one: --known-columns "
                    f"{column}=COLUMN){hint}"
                )
        if row["kind"] not in KINDS:
            raise BadInput(f"{place}: unknown kind {str(row['kind'])[:40]!r}; kinds are harmful and benign")
        try:
            language = language_code(str(row["language"]))
        except UnknownLanguage as error:
            raise BadInput(f"{place}: {error}") from None
        one: KnownAnswerRow = {
            "language": language,
            "kind": row["kind"],
            "reward_good": None if labelled else _cell(place, row, "reward_good", number),
            "reward_bad": None if labelled else _cell(place, row, "reward_bad", number),
            "prompt_id": _cell(place, row, "prompt_id", identifier),
            "source": _cell(place, row, "source", identifier),
        }
        if labelled:
            one["label_good"] = int(_cell(place, row, "label_good", truth))
            one["label_bad"] = int(_cell(place, row, "label_bad", truth))
        checked.append(one)
    return checked


def _cell(place: str, row: Mapping[str, Any], column: str, read: Callable[[Any], T]) -> T:
    try:
        return read(row.get(column))
    except ValueError as error:
        raise BadInput(f"{place}: {column} {error}") from None


def read_known_answers(path: Path) -> list[KnownAnswerRow]:
    """Read the rows written by `write_known_answers`."""
    rows: list[KnownAnswerRow] = pq.read_table(path).to_pylist()
    return rows

"""Rows of a table, whatever its form."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tarazu.errors import BadInput
from tarazu.readers import BOM, nan_as_null, parse_json, read_csv, read_jsonl, text_lines
from tarazu.tables.forms import Form, form_of
from tarazu.tables.marks import plain_ids, plain_numbers
from tarazu.tables.values import Values, translated

NumberedRow = tuple[int, dict[str, Any]]
"""A row and its number: the line of a text file, or the row of a parquet file, from 1."""


class Constant(NamedTuple):
    """A value that every row has, in place of a column."""

    value: str


Columns = Mapping[str, str | Constant]
"""Our names of columns, each with its name in the file or with a value for all rows."""

ROW_NUMBER = "#"
"""In place of a column's name: the row's number from 1, where the file has no column of this name."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file's form and its rows, which can be read once."""

    path: Path
    form: Form
    rows: Iterator[NumberedRow]


def read_rows(
    path: Path,
    *,
    columns: Columns | None = None,
    numbers: Collection[str] = (),
    ids: Collection[str] = (),
) -> Iterator[NumberedRow]:
    """The rows of `open_table`."""
    return open_table(path, columns=columns, numbers=numbers, ids=ids).rows


def open_table(
    path: Path,
    *,
    columns: Columns | None = None,
    numbers: Collection[str] = (),
    ids: Collection[str] = (),
    values: Sequence[Values] = (),
) -> Table:
    """A csv table (any usual delimiter), JSON array, file of JSON lines (both also compressed) or parquet file.

    `columns` maps the names that the caller uses to those of the file, or to a value that every row gets. Text in the
    columns `numbers` gets a decimal point, as `plain_numbers` describes, and text in the columns `ids` that a program
    wrote as floats becomes whole numbers again. `values` say what the file's values of a column mean. Other values are
    as in the file: text in csv, typed in the other forms.

    Raises BadInput, now or while the rows are read, for another file, a broken one, and a column that is not there.
    """
    names = columns or {}
    theirs = [one for one in names.values() if isinstance(one, str) and one != ROW_NUMBER]
    form = form_of(path, wanted=[*theirs, *numbers, *ids])
    rows = renamed(_rows(path, form), names, f"{path}: {form.unit}")
    if values:
        rows = translated(rows, values, f"{path}: {form.unit}")
    return Table(path=path, form=form, rows=_plain(rows, numbers, ids, path, form))


def columns_of(row: Mapping[str, Any]) -> str:
    """The names of a row's columns in words, for a message about one that is not there."""
    return f"it has: {', '.join(str(name)[:40] for name in list(row)[:12]) or 'none'}"


def _rows(path: Path, form: Form) -> Iterator[NumberedRow]:
    if form.kind == "parquet":
        return _parquet_rows(path)
    if form.kind == "array":
        return _array_rows(path, form.packed)
    if form.kind == "jsonl":
        return _line_rows(path)
    return read_csv(path, form.dialect, form.packed)


def renamed(rows: Iterator[NumberedRow], columns: Columns, place: str) -> Iterator[NumberedRow]:
    """Rows with our names of columns, and with the values that every row gets. `place` precedes a row's number in
    messages."""
    if not columns:
        yield from rows
        return
    constants = {ours: one.value for ours, one in columns.items() if isinstance(one, Constant)}
    absent = {ours: theirs for ours, theirs in columns.items() if isinstance(theirs, str)}
    names, foreign = dict(absent), set(absent.values())
    for number, (line, row) in enumerate(rows, 1):
        row = row if ROW_NUMBER in row or ROW_NUMBER not in foreign else {**row, ROW_NUMBER: number}
        absent = {ours: theirs for ours, theirs in absent.items() if theirs not in row}
        for ours, theirs in absent.items():
            raise BadInput(f"{place} {line}: no column '{theirs}' to take {ours} from; {columns_of(row)}")
        kept = {name: value for name, value in row.items() if name not in foreign}
        yield line, kept | {ours: row[theirs] for ours, theirs in names.items() if theirs in row} | constants


def _plain(
    rows: Iterator[NumberedRow], numbers: Collection[str], ids: Collection[str], path: Path, form: Form
) -> Iterator[NumberedRow]:
    if not numbers and not (ids and form.kind == "csv"):
        yield from rows
        return
    # What a comma means, or that ids became floats, is known only when all rows are.
    read = list(rows)
    plain_numbers(read, numbers, path, form.unit)
    for column in ids if form.kind == "csv" else ():
        plain_ids(read, column, path, form.unit)
    yield from read


def _line_rows(path: Path) -> Iterator[NumberedRow]:
    for line, row in read_jsonl(path, lenient=True):
        if line == 1 and _is_by_column(row):
            raise BadInput(
                f"{path}: is a JSON object by column, not rows; pandas: to_json(orient='records', lines=True)"
            )
        yield line, row


def _is_by_column(row: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a table as pandas writes it by default: each column an object of the same row labels."""
    columns = list(row.values())
    return bool(columns) and all(
        isinstance(one, dict) and "0" in one and one.keys() == columns[0].keys() for one in columns
    )


def _array_rows(path: Path, packed: bool) -> Iterator[NumberedRow]:
    """The objects of a JSON array, each with the line on which it begins."""
    text = "".join(text for _, text in text_lines(path, packed)).removeprefix(BOM)
    parse_json(text, path, lenient=True)
    # The text is valid; a second pass over it finds where each object begins.
    decoder = json.JSONDecoder(parse_constant=nan_as_null)
    place = _after_space(text, text.index("[") + 1)
    line, counted = 1, 0
    while text[place] != "]":
        line, counted = line + text.count("\n", counted, place), place
        value, place = decoder.raw_decode(text, place)
        if not isinstance(value, dict):
            raise BadInput(f"{path}: line {line}: a member of the array is not an object; each must be a row")
        yield line, value
        place = _after_space(text, place)
        if text[place] == ",":
            place = _after_space(text, place + 1)


def _after_space(text: str, place: int) -> int:
    while text[place] in " \t\r\n":
        place += 1
    return place


def _parquet_rows(path: Path) -> Iterator[NumberedRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for name in names:
                if names.count(name) > 1:
                    raise BadInput(f"{path}: duplicate column '{name}'; keep one")
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, {name: _plain_value(value) for name, value in row.items()}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInput(
            f"{path}: not a complete parquet file ({' '.join(str(error).split())[:160]}); write it again"
        ) from None


def _plain_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return value

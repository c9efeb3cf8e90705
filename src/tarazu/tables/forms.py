"""What a user's file is, recognised by its bytes, and the dialect of a csv file."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tarazu.errors import BadInput
from tarazu.readers import (
    BOM,
    COMMAS,
    DELIMITERS,
    Dialect,
    csv_records,
    excel_separator,
    first_bytes,
    is_gzip,
    signature,
    text_lines,
)

_HEAD = 4096
"""Bytes that are looked at to recognise a form."""
_SAMPLE = 100
"""Records that must have equally many cells for a delimiter."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a table's file is. `name` says it in words."""

    kind: Literal["parquet", "array", "jsonl", "csv"]
    packed: bool = False
    dialect: Dialect = COMMAS

    @property
    def name(self) -> str:
        names = {
            "parquet": "a parquet file",
            "array": "a JSON array",
            "jsonl": "a file of JSON lines",
            "csv": f"a table with cells separated by {DELIMITERS[self.dialect.delimiter]}",
        }
        return names[self.kind] + (" (compressed)" if self.packed else "")

    @property
    def unit(self) -> str:
        """What the numbers of its rows count."""
        return "row" if self.kind == "parquet" else "line"


def form_of(path: Path, wanted: Collection[str] = ()) -> Form:
    """What the file is. `wanted` are names of columns, which decide where a header could be separated in two ways.

    Raises BadInput, which says what the file is, if it is not a table that Tarazu reads.
    """
    packed = is_gzip(path)
    head = _unpacked_head(path) if packed else first_bytes(path, _HEAD)
    if head.startswith(b"PAR1"):
        if packed:
            raise BadInput(f"{path}: is a parquet file compressed with gzip; decompress it first")
        return Form(kind="parquet")
    if what := signature(head):
        raise BadInput(f"{path}: is {what[0]}; {what[1]}")
    text = head.decode("utf-8", "replace").removeprefix(BOM).lstrip()
    if not text:
        raise BadInput(f"{path}: is empty")
    if text.startswith("<"):
        raise BadInput(f"{path}: is a page of HTML or XML, not a table; download the file itself")
    if text.startswith(("[", "{")):
        return _json_form(path, packed, text[0])
    if path.suffix in (".yaml", ".yml"):
        raise BadInput(f"{path}: is a YAML file, not a table; give a csv, jsonl, JSON or parquet file")
    dialect = _dialect(path, packed, wanted)
    if dialect is None and {".json", ".jsonl"} & set(path.suffixes):
        return Form(kind="jsonl", packed=packed)
    return Form(kind="csv", packed=packed, dialect=dialect or COMMAS)


def _unpacked_head(path: Path) -> bytes:
    try:
        with gzip.open(path) as stream:
            return stream.read(_HEAD)
    except (EOFError, OSError, zlib.error):
        return b" {"  # the reader of lines reports the defect


def _json_form(path: Path, packed: bool, first: str) -> Form:
    if first == "[":
        return Form(kind="array", packed=packed)
    opening = next(
        (text.strip().removeprefix(BOM) for _, text in text_lines(path, packed) if text.strip(BOM + " \r\n")), ""
    )
    if opening == "{" or (opening.startswith("{") and opening.endswith(("{", "[", ","))):
        raise BadInput(
            f"{path}: is one JSON object over several lines, not rows; write a JSON array of rows, or one row per line "
            "(pandas: to_json(orient='records'))"
        )
    return Form(kind="jsonl", packed=packed)


def _dialect(path: Path, packed: bool, wanted: Collection[str]) -> Dialect | None:
    """How a csv file is written: with the delimiter of the header with which all rows have as many cells as the header.
    If that holds for several, the one with which the header has most of the `wanted` names. None without any.

    Between tabs, quotes may be text: they are if the rows then have as many cells as the header, and else not.
    """
    line = next((text for _, text in text_lines(path, packed)), "").removeprefix(BOM)
    if named := excel_separator(line):
        return Dialect(delimiter=named)
    dialects = [*(Dialect(delimiter=mark) for mark in DELIMITERS), Dialect(delimiter="\t", quoted=False)]
    samples = {dialect: _sample(path, dialect, packed) for dialect in dialects}
    in_header = {dialect: records for dialect, records in samples.items() if records and len(records[0]) > 1}
    even = [dialect for dialect, records in in_header.items() if len(set(map(len, records))) == 1] or list(in_header)
    if not even:
        return None
    headers = {dialect: [name.strip() for name in in_header[dialect][0]] for dialect in even}
    return max(even, key=lambda dialect: (len(set(wanted) & set(headers[dialect])), len(headers[dialect])))


def _sample(path: Path, dialect: Dialect, packed: bool) -> list[list[str]]:
    """The first records, up to one that cannot be read, in whose place there is an empty one."""
    records: list[list[str]] = []
    try:
        records.extend(cells for _, cells in itertools.islice(csv_records(path, dialect, packed), _SAMPLE))
    except BadInput:
        records.append([])
    return records

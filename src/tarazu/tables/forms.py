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
from tarazu.readers import BOM, DELIMITERS, csv_records, excel_separator, first_bytes, is_gzip, signature, text_lines

_HEAD = 4096
"""Bytes that are looked at to recognise a form."""
_SAMPLE = 100
"""Records that must have equally many cells for a delimiter."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a table's file is. `name` says it in words."""

    kind: Literal["parquet", "array", "jsonl", "csv"]
    packed: bool = False
    delimiter: str = ","

    @property
    def name(self) -> str:
        names = {
            "parquet": "a parquet file",
            "array": "a JSON array",
            "jsonl": "a file of JSON lines",
            "csv": f"a table with cells separated by {DELIMITERS[self.delimiter]}",
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
    delimiter = _delimiter(path, packed, wanted)
    if delimiter is None and {".json", ".jsonl"} & set(path.suffixes):
        return Form(kind="jsonl", packed=packed)
    return Form(kind="csv", packed=packed, delimiter=delimiter or ",")


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
    if opening == "{" or (opening.startswith("{") and opening.endswith(("{", "["))):
        raise BadInput(
            f"{path}: is one JSON object over several lines, not rows; write a JSON array of rows, or one row per line "
            "(pandas: to_json(orient='records'))"
        )
    return Form(kind="jsonl", packed=packed)


def _delimiter(path: Path, packed: bool, wanted: Collection[str]) -> str | None:
    """What separates the cells: of the delimiters that occur in the header, the one with which all rows have as many
    cells as the header. If that holds for several, the one with which the header has most of the `wanted` names. None
    without any."""
    line = next((text for _, text in text_lines(path, packed)), "").removeprefix(BOM)
    if named := excel_separator(line):
        return named
    samples = {mark: _sample(path, mark, packed) for mark in DELIMITERS}
    in_header = {mark: records for mark, records in samples.items() if records and len(records[0]) > 1}
    even = [mark for mark, records in in_header.items() if len(set(map(len, records))) == 1] or list(in_header)
    if not even:
        return None
    headers = {mark: [name.strip() for name in in_header[mark][0]] for mark in even}
    return max(even, key=lambda mark: (len(set(wanted) & set(headers[mark])), len(headers[mark])))


def _sample(path: Path, delimiter: str, packed: bool) -> list[list[str]]:
    """The first records, up to one that cannot be read, in whose place there is an empty one."""
    records: list[list[str]] = []
    try:
        records.extend(cells for _, cells in itertools.islice(csv_records(path, delimiter, packed), _SAMPLE))
    except BadInput:
        records.append([])
    return records

"""Strict readers: every defect of a file becomes one `BadInput` line with the file, the line and the fix.

All readers stream, so a defect is raised when the iteration reaches it. Text is UTF-8. A file whose name ends in .gz is
decompressed. Line numbers count from 1. `tarazu.tables` reads users' own tables in any usual form.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import math
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from tarazu.errors import BadInput

if TYPE_CHECKING:
    from pydantic import JsonValue, ValidationError

Value = TypeVar("Value")

BOM = "\ufeff"
_GZIP_MAGIC = b"\x1f\x8b"
_LARGEST_CELL = 2**31 - 1
"""Characters of a csv cell; the csv module's own limit is 131,072."""
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""What separates the cells of a csv table."""
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "a parquet file", "give a text file here"),
    (
        b"PK\x03\x04",
        "a zip archive (such as an Excel workbook)",
        "export the table as UTF-8 csv, unpack the archive, or give a log of inspect to `tarazu import`",
    ),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook or another Office file", "export the table as UTF-8 csv"),
    (b"ARROW1", "an Arrow or Feather file", "write it as parquet, csv or jsonl"),
    (b"SQLite format 3", "a SQLite database", "export the table as csv or jsonl"),
    (b"\x89HDF", "an HDF5 file", "write the table as parquet, csv or jsonl"),
    (b"\x28\xb5\x2f\xfd", "zstandard data", "decompress it first"),
    (b"BZh", "bzip2 data", "decompress it first"),
    (b"\xfd7zXZ\0", "xz data", "decompress it first"),
    (b"\xff\xfe", "UTF-16 text, not UTF-8", "save the file as UTF-8"),
    (b"\xfe\xff", "UTF-16 text, not UTF-8", "save the file as UTF-8"),
    (b"%PDF-", "a PDF", "give the table as csv, jsonl or parquet"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "fetch the file with `git lfs pull`"),
)
"""How files begin that are not plain text, what they are, and what to do."""
_MOST_DIGITS = 400
"""Of a whole number. A 64-bit float has at most 309, and int() takes quadratic time."""
LARGEST_JSON = 32 * 2**20
"""Bytes of a .json file, decompressed. Such a file is read into memory at once."""
_BYTES_PER_VALUE = 64
"""Of a .json file of the largest size, on average. A value takes some 100 bytes of memory, however short its text."""
_MOST_LEVELS = 64
"""Of lists and objects inside each other. The code that reads them is recursive."""
_LARGEST_WHOLE = 2**53
"""Of the whole numbers that every reader of JSON reads alike (RFC 8259, 6)."""
_LONGEST_QUOTED = 500
"""Characters of a file's text in a message."""
_MOST_ERRORS = 10_000
"""Of a file against its schema."""
_NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _at(path: Path | str, line: int) -> str:
    return f"{path}: line {line}"


@contextlib.contextmanager
def _named_failures(path: Path) -> Iterator[None]:
    """Turn errors of the operating system or of gzip about `path` into one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise BadInput(f"{path}: is a directory; name a file in it") from error
    except EOFError as error:
        raise BadInput(f"{path}: the gzip data are truncated; copy or download the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: not valid gzip data ({error}); copy or download the file again") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from error


def signature(head: bytes) -> tuple[str, str] | None:
    """What a file is that begins with these bytes, and what to do with it. None for plain text and unknown bytes."""
    return next(((name, fix) for magic, name, fix in _SIGNATURES if head.startswith(magic)), None)


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file, as they are."""
    with _open(path, packed=False) as stream:
        return stream.read(count)


def is_gzip(path: Path) -> bool:
    """Whether a file holds gzip data, whatever its name."""
    return first_bytes(path, len(_GZIP_MAGIC)) == _GZIP_MAGIC


@contextlib.contextmanager
def _open(path: Path, packed: bool | None = None) -> Iterator[BinaryIO]:
    """A file's bytes, decompressed if it is `packed` (default: if its name ends in .gz)."""
    with _named_failures(path):
        try:
            mode = path.stat().st_mode
        except ValueError as error:  # a NUL in the name
            raise BadInput(f"{str(path)!r}: not a file name; check the path") from error
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):
            # A pipe or device could block or never end.
            raise BadInput(f"{path}: not a regular file; save its content to a file first")
        with path.open("rb") as raw:
            if path.suffix == ".gz" if packed is None else packed:
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield stream  # type: ignore[misc]  # it reads bytes, but has no such type
            else:
                yield raw


def text_lines(path: Path, packed: bool | None = None) -> Iterator[tuple[int, str]]:
    """Numbered lines with their line ends. Only \\n ends a line, as in the bytes. `packed` as for `_open`."""
    number = 0
    with _open(path, packed) as stream:
        for number, raw in enumerate(stream, 1):
            if number == 1 and raw.startswith(_GZIP_MAGIC):
                raise BadInput(f"{path}: is gzip data; give it a name that ends in .gz")
            if number == 1 and (what := signature(raw)):
                raise BadInput(f"{_at(path, 1)}: the file is {what[0]}; {what[1]}")
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise BadInput(
                    f"{_at(path, number)}: byte {error.start + 1} (0x{raw[error.start]:02x}) is not UTF-8; "
                    "save the file as UTF-8"
                ) from error
            if "\0" in text:
                raise BadInput(
                    f"{_at(path, number)}: byte {raw.index(0) + 1} is NUL, so this is not a UTF-8 text file; "
                    "save it as UTF-8 text"
                )
            yield number, text
    if number == 0:
        raise BadInput(f"{path}: is empty")


class _Refused(ValueError):
    """JSON that can be parsed but is not allowed here."""


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON; omit the field or write null")


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Refused(f"the number {text[:20]} is too large; write one that fits a 64-bit float")
    return value


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS or math.isinf(float(text)):
        raise _Refused("a whole number has too many digits; shorten it or write it as text")
    return int(text)


def _whole(text: str) -> int:
    if len(text) > len(str(-_LARGEST_WHOLE)) or abs(int(text)) > _LARGEST_WHOLE:
        raise _Refused(f"the whole number {text[:20]} is beyond 2**53, where numbers lose digits; write it as text")
    return int(text)


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    row = dict(pairs)
    if len(row) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Refused(f"duplicate key '{_clipped(key)}' in an object; keep one")
            seen.add(key)
    return row


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def nan_as_null(name: str) -> None:
    """The value of NaN, which Python's json module writes for the empty cells of pandas. No other constant is read."""
    if name != "NaN":
        _constant(name)


def parse_json(text: str, path: Path | str, line: int | None = None, *, lenient: bool = False) -> Any:
    """The value of a strict JSON text: no duplicate keys, only finite numbers, no NUL, no half of a surrogate pair.
    If `lenient`, NaN is null.

    The error, BadInput, names `path` and the line: `line`, if the text is one line of a file.
    """
    return _parse(text, path, line, nan_as_null if lenient else _constant, _integer)


def parse_document(text: str, path: Path | str, *, largest: int = LARGEST_JSON) -> Any:
    """The value of a strict JSON text that is a complete file. Its size, its number of values, its nesting and its
    whole numbers are bounded, so that no reader of the value needs bounds of its own. Raises BadInput."""
    if len(text) > largest:
        raise BadInput(f"{path}: has more than {largest} bytes, which is the most that is read")
    most = largest // _BYTES_PER_VALUE
    if text.count(",") + text.count("[") + text.count("{") > most:
        raise BadInput(f"{path}: has more than {most} values, which is the most that is read")
    value = _parse(text, path, None, _constant, _whole)
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        if depth > _MOST_LEVELS:
            raise BadInput(f"{path}: JSON nested too deeply, over {_MOST_LEVELS} levels; flatten it")
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return value


def _parse(
    text: str, path: Path | str, line: int | None, constant: Callable[[str], Any], integer: Callable[[str], int]
) -> Any:
    where = str(path) if line is None else _at(path, line)
    try:
        value = json.loads(
            text, parse_constant=constant, parse_float=_number, parse_int=integer, object_pairs_hook=_object
        )
        if "\\u" in text:
            # Only an escape can produce half a surrogate pair (which UTF-8 cannot contain) or a NUL.
            for part in _texts(value):
                part.encode("utf-8")
                if "\0" in part:
                    raise _Refused("a text contains NUL (\\u0000); remove it")
    except json.JSONDecodeError as error:
        place = where if line is not None else _at(path, error.lineno)
        raise BadInput(f"{place}: broken JSON at column {error.colno}: {error.msg}; fix or remove it") from error
    except UnicodeEncodeError as error:
        raise BadInput(f"{where}: half a surrogate pair (a single \\ud800 to \\udfff); write the character") from error
    except RecursionError as error:
        raise BadInput(f"{where}: JSON nested too deeply; flatten it") from error
    except _Refused as error:
        raise BadInput(f"{where}: {error}") from error
    return value


def read_jsonl(path: Path, *, lenient: bool = False) -> Iterator[tuple[int, dict[str, JsonValue]]]:
    """Rows of a .jsonl or .jsonl.gz file with their line numbers: one JSON object per line.

    Lines end in \\n, and there is no BOM. If `lenient`, as for data that other programs write, a BOM, empty lines and
    lines that end in \\r\\n are accepted, NaN is null, and a file is compressed if its bytes are, whatever its name.
    """
    for number, text in text_lines(path, is_gzip(path) if lenient else None):
        if number == 1 and text.startswith(BOM):
            if not lenient:
                raise BadInput(f"{_at(path, 1)}: begins with a byte-order mark; save the file as UTF-8 without BOM")
            text = text.removeprefix(BOM)
        if text.endswith(("\r\n", "\r")) and not lenient:
            raise BadInput(f"{_at(path, number)}: ends in a carriage return; save the file with Unix line ends (LF)")
        if not text.strip():
            if lenient:
                continue
            raise BadInput(f"{_at(path, number)}: is empty; remove it")
        if number == 1 and (what := _no_json_line(text.strip())):
            raise BadInput(f"{_at(path, 1)}: the file is {what}; write one object per line")
        row = parse_json(text, path, number, lenient=lenient)
        if not isinstance(row, dict):
            raise BadInput(f'{_at(path, number)}: {_kind_of(row)}, not an object; each line must be {{"field": ...}}')
        yield number, row


def _no_json_line(first: str) -> str | None:
    """What a file is whose first line is the beginning of something else than JSON lines."""
    if first.startswith("["):
        return "a JSON array"
    if first.startswith("<"):
        return "a page of HTML or XML"
    return "JSON over several lines" if first == "{" else None


def read_json(path: Path, *, largest: int = LARGEST_JSON) -> Any:
    """The value of a .json or .json.gz file of at most `largest` bytes, decompressed, in `parse_document`'s bounds."""
    with _open(path) as stream:
        raw = stream.read(largest + 1)
    if len(raw) > largest:
        raise BadInput(f"{path}: has more than {largest} bytes, which is the most that is read")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text or "\0" in text:
        text = "".join(text for _, text in text_lines(path))  # this error names the line and the fix
    if text.startswith(BOM):
        raise BadInput(f"{_at(path, 1)}: begins with a byte-order mark; save the file as UTF-8 without BOM")
    return parse_document(text, path, largest=largest)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a csv file is written. Without `quoted`, quotes are text like any other."""

    delimiter: str = ","
    quoted: bool = True


COMMAS = Dialect()


def read_csv(path: Path, dialect: Dialect = COMMAS, packed: bool | None = None) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a .csv or .csv.gz file by column name, with the number of the line on which each row ends.

    A BOM and CRLF are accepted, as Excel and RFC 4180 write them, and the line `sep=;` that Excel reads. Every row must
    have as many cells as the header, and the names of columns must be distinct. Columns at the start without a name,
    which are an index that pandas or R wrote, are ignored; so are empty ones at the end, which spreadsheets leave.
    """
    header: list[str] = []
    rows = 0
    separators = DELIMITERS[dialect.delimiter]
    for line, cells in csv_records(path, dialect, packed):
        if not header:
            header = [name.strip() for name in cells]
            _check_header(header, path, line)
            first = next(place for place, name in enumerate(header) if name)
            last = max(place for place, name in enumerate(header) if name) + 1
            continue
        if len(cells) != len(header):
            raise BadInput(
                f"{_at(path, line)}: {len(cells)} cells under {len(header)} columns, separated by "
                f"{separators}; quote cells that contain {separators}, and fill or remove the row"
            )
        if any(cells[last:]):
            raise BadInput(f"{_at(path, line)}: a cell stands in a column without a name; name it in the header")
        rows += 1
        yield line, dict(zip(header[first:last], cells[first:last], strict=True))
    if not rows:
        raise BadInput(f"{path}: has a header but no rows")


def csv_records(path: Path, dialect: Dialect, packed: bool | None = None) -> Iterator[tuple[int, list[str]]]:
    """The records of a csv file, the header first, each with the number of the line on which it ends. Empty lines at
    the end are ignored."""

    def texts() -> Iterator[str]:
        for number, text in text_lines(path, packed):
            yield text.removeprefix(BOM) if number == 1 else text

    if dialect.quoted:
        reader = csv.reader(texts(), delimiter=dialect.delimiter, strict=True)
    else:
        reader = csv.reader(texts(), delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, strict=True)
    blank = 0
    while True:
        try:
            cells = _next_record(reader)
        except csv.Error as error:
            problem, fix = str(error), "quote and end each cell"
            if problem.startswith("new-line character"):
                problem, fix = "a carriage return within an unquoted cell", "quote the cell, or end lines with LF"
            raise BadInput(f"{_at(path, reader.line_num)}: not valid CSV: {problem}; {fix}") from error
        if cells is None:
            return
        if reader.line_num == 1 and excel_separator(dialect.delimiter.join(cells)):
            continue
        if not cells:
            blank = blank or reader.line_num
        elif blank:
            raise BadInput(f"{_at(path, blank)}: is empty; remove it")
        else:
            yield reader.line_num, cells


def excel_separator(line: str) -> str | None:
    """The delimiter that a first line such as `sep=;` names for Excel."""
    name = line.strip('\r\n"')
    return name[4] if name.lower().startswith("sep=") and len(name) == 5 and name[4] in DELIMITERS else None


def _next_record(reader: Iterator[list[str]]) -> list[str] | None:
    # The limit belongs to the process, so it is raised only while a record is read.
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def _check_header(header: list[str], path: Path, line: int) -> None:
    named = [name for name in header if name]
    if not named:
        raise BadInput(f"{_at(path, line)}: no column has a name; write a header")
    inner = header[header.index(named[0]) : len(header) - header[::-1].index(named[-1])]
    for name in inner:
        if not name:
            raise BadInput(f"{_at(path, line)}: a column has no name; name it in the header")
        if named.count(name) > 1:
            raise BadInput(f"{_at(path, line)}: duplicate column '{name}'; keep one")


def read_tsv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of cells of a .tsv or .tsv.gz file with their line numbers. The header is the first row.

    Cells are separated by tabs, and there is no quoting. A BOM and CRLF are accepted. Column names may repeat, so rows
    are lists. Each is as long as the header.
    """
    width = 0
    for number, text in text_lines(path):
        cells = text.removesuffix("\n").removesuffix("\r").split("\t")
        if number == 1:
            cells[0] = cells[0].removeprefix(BOM)
            width = len(cells)
        if len(cells) != width:
            raise BadInput(f"{_at(path, number)}: {len(cells)} cells under {width} columns; separate cells by one tab")
        yield number, cells


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    return next((name for kind, name in _NAMES.items() if type(value) is kind), "something else")


def field(row: Mapping[str, Any], name: str, kind: type[Value], path: Path | str, line: int) -> Value:
    """`row[name]`, checked to be a `kind`. An integer is accepted as a float. `path` and `line` are for the error."""
    if name not in row:
        present = ", ".join(sorted(str(key) for key in row)[:12]) or "none"
        raise BadInput(f"{_at(path, line)}: no field '{name}'; add it (the row has: {present})")
    value = row[name]
    if kind is float and type(value) is int:
        try:
            return float(value)  # type: ignore[return-value]
        except OverflowError as error:
            raise BadInput(f"{_at(path, line)}: '{name}' is too large; write one that fits a 64-bit float") from error
    if type(value) is not kind:
        raise BadInput(f"{_at(path, line)}: '{name}' is {_kind_of(value)}; it must be {_NAMES[kind]}")
    return value


def validation_message(error: ValidationError) -> str:
    """The first error, with its key. Unknown keys come first, because they often explain why another key is missing.

    Where errors are many, only their number, because a list of all of them takes a kilobyte for each."""
    if error.error_count() > _MOST_ERRORS:
        return f"{error.error_count()} keys or values are not valid"
    first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    message = "no such key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    where, message = _clipped(where), _clipped(message)
    return f"{where}: {message}" if where else message


def _clipped(text: str) -> str:
    """A text for a message of one line. A stranger's key may have a megabyte."""
    return text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}..."

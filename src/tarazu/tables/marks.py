"""Columns of text as other programs write numbers: decimal commas, marks of thousands, ids that became floats."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tarazu.errors import BadInput
from tarazu.tables.cells import EXACT

Lines = Sequence[tuple[int, dict[str, Any]]]
Mark = Literal[".", ","]

_OTHER: dict[Mark, Mark] = {".": ",", ",": "."}
_FLOAT_ID = re.compile(r"(\d+)[.,]0")
_ID = re.compile(r"\d+(?:[.,]0)?")
_NUMBER = re.compile(r"[+-]?(\d*(?:[.,]\d*)+)(?:[eE][+-]?\d+)?")
_SPACED = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u2009\u202f'\u2019]\d{3})+(?:[.,]\d+)?")
_SPACES = re.compile(r"[ \u00a0\u2009\u202f'\u2019]")
_PLAIN = re.compile(r"[^,'\u2019 \u00a0\u2009\u202f\u2212.]*\.?[^,'\u2019 \u00a0\u2009\u202f\u2212.]*")
"""Text in which a point can only be a decimal point."""


def plain_ids(rows: Lines, column: str, path: Path, unit: str) -> None:
    """Replace "3.0" by "3" in a column of whole numbers of which a program made floats. Raises BadInput for one that is
    too large for a float to have kept its digits."""
    cells = [str(row.get(column) or "").strip() for _, row in rows]
    if not any(map(_FLOAT_ID.fullmatch, cells)) or not all(not cell or _ID.fullmatch(cell) for cell in cells):
        return
    for (line, row), cell in zip(rows, cells, strict=True):
        if match := _FLOAT_ID.fullmatch(cell):
            if int(match[1]) >= EXACT:
                raise BadInput(
                    f"{path}: {unit} {line}: {column} is {cell}, a float that has lost digits; write ids as whole "
                    "numbers or as text"
                )
            row[column] = match[1]


def plain_numbers(rows: Lines, columns: Collection[str], path: Path, unit: str) -> None:
    """Write numbers that are text with a decimal point and without marks of thousands.

    What a comma and a point mean must follow from these columns: a mark is a decimal mark where it can be nothing else
    (5,5 or 0,125), and one of thousands where it stands before the other mark or repeatedly (1,234.5 or 1.234.567).
    Without any comma, a point is a decimal point. Raises BadInput for a cell with two readings, with both.
    """
    texts = [
        (line, row, column, row[column].strip())
        for line, row in rows
        for column in columns
        if isinstance(row.get(column), str)
    ]
    if all(_PLAIN.fullmatch(text) for *_, text in texts):
        return
    cells = [_Cell(line=line, row=row, column=column, text=_unspaced(text)) for line, row, column, text in texts]
    usage = _usage(cells, path, unit)
    for cell in cells:
        cell.row[cell.column] = usage.plain(cell)


def _unspaced(text: str) -> str:
    text = text.replace("\u2212", "-")
    return _SPACES.sub("", text) if _SPACED.fullmatch(text) else text


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """A number as text. `digits` has its digits and marks, and is empty if the text is not a number."""

    line: int
    row: dict[str, Any]
    column: str
    text: str

    @property
    def digits(self) -> str:
        match = _NUMBER.fullmatch(self.text)
        return match[1] if match and match[1].strip(".,") else ""

    def marks(self) -> tuple[Mark | None, Mark | None, Mark | None]:
        """The decimal mark and the mark of thousands, where the cell decides; and a mark that may be either."""
        digits = self.digits
        present: list[Mark] = [mark for mark in _OTHER if mark in digits]
        if len(present) == 2:
            last: Mark = "." if digits.rfind(".") > digits.rfind(",") else ","
            grouped = re.fullmatch(rf"\d{{1,3}}(?:[{_OTHER[last]}]\d{{3}})+[{last}]\d+", digits)
            return (last, _OTHER[last], None) if grouped else (None, None, None)
        if not present:
            return None, None, None
        (mark,) = present
        if digits.count(mark) > 1:
            return (None, mark, None) if re.fullmatch(rf"\d{{1,3}}(?:[{mark}]\d{{3}})+", digits) else (None, None, None)
        if (
            re.fullmatch(rf"[1-9]\d{{0,2}}[{mark}]\d{{3}}", digits)
            and self.text[-1].isdigit()
            and "e" not in self.text.lower()
        ):
            return None, None, mark
        return mark, None, None


@dataclass(frozen=True, kw_only=True)
class _Usage:
    """What the marks mean in a table: the cell that shows it, for each."""

    decimal: dict[Mark, _Cell]
    thousands: dict[Mark, _Cell]
    path: Path
    unit: str

    def plain(self, cell: _Cell) -> str:
        decimal, thousands, either = cell.marks()
        if either is not None:
            decimal, thousands = (None, either) if self._groups(cell, either) else (either, None)
        text = cell.text.replace(thousands, "") if thousands else cell.text
        return text.replace(",", ".") if decimal == "," else text

    def _groups(self, cell: _Cell, mark: Mark) -> bool:
        """Whether a mark that may be either is one of thousands."""
        other = _OTHER[mark]
        if mark in self.thousands:
            return True
        if mark in self.decimal or other in self.thousands or (mark == "." and other not in self.decimal):
            return False
        small, large = cell.text.replace(mark, "."), cell.text.replace(mark, "")
        raise BadInput(
            f"{self.path}: {self.unit} {cell.line}: {cell.column} {cell.text!r} can be {small} or {large}; "
            "write numbers with a decimal point and without marks of thousands"
        )


def _usage(cells: Sequence[_Cell], path: Path, unit: str) -> _Usage:
    usage = _Usage(decimal={}, thousands={}, path=path, unit=unit)
    for cell in cells:
        decimal, thousands, _ = cell.marks()
        if decimal:
            usage.decimal.setdefault(decimal, cell)
        if thousands:
            usage.thousands.setdefault(thousands, cell)
    clash = [(usage.decimal[","], usage.decimal["."])] if len(usage.decimal) == 2 else []
    clash += [(usage.decimal[mark], usage.thousands[mark]) for mark in usage.decimal if mark in usage.thousands]
    for one, other in clash:
        raise BadInput(
            f"{path}: {unit} {one.line}: {one.column} {one.text!r} does not go with {other.text!r} in {unit} "
            f"{other.line}: their points and commas mean different things; write all numbers with a decimal point"
        )
    return usage

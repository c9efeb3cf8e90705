"""Other words for our values: `contrast_*` is harmful, `2_full_refusal` of a harmful prompt is the label 1."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tarazu.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Values:
    """What the values of one column mean: pairs of a pattern (`*` stands for any text) and our value. The first
    pattern that matches counts. With `kind`, only rows of this kind of prompt are meant."""

    column: str
    kind: str | None = None
    meanings: tuple[tuple[str, str], ...]

    def of(self, value: object) -> str | None:
        """Our value; None where no pattern matches."""
        text = _text(value)
        return next((ours for pattern, ours in self.meanings if fnmatchcase(text, pattern)), None)


def read_values(texts: Sequence[str], ours: Sequence[str], flag: str) -> tuple[Values, ...]:
    """The texts of an option `--values`, for columns that are among `ours`. Raises BadInput."""
    parsed: list[Values] = []
    for text in texts:
        name, colon, pairs = text.partition(":")
        column, dot, kind = name.strip().partition(".")
        if not colon or not pairs.strip():
            raise BadInput(f"{flag} {text}: write NAME:THEIRS=OURS, for example kind:unsafe=harmful")
        if column not in ours:
            raise BadInput(f"{flag} {text}: no such column as '{column}'; Tarazu's are {', '.join(ours)}")
        if dot and (column == "kind" or kind not in ("harmful", "benign", "borderline")):
            raise BadInput(f"{flag} {text}: write {column}, or label.harmful for rows of one kind of prompts")
        if any((one.column, one.kind) == (column, kind or None) for one in parsed):
            raise BadInput(f"{flag} {text}: '{name.strip()}' is named twice; write its values into one option")
        parsed.append(Values(column=column, kind=kind or None, meanings=tuple(_pairs(pairs, f"{flag} {text}"))))
    # The kind comes first, because the meaning of other values may depend on it.
    return tuple(sorted(parsed, key=lambda one: one.column != "kind"))


def _pairs(text: str, where: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r",(?=[^,=]*=)", text):
        theirs, equals, ours = (piece.strip() for piece in part.rpartition("="))
        if not equals or not theirs or not ours:
            raise BadInput(f"{where}: '{part.strip()}' is not THEIRS=OURS, for example unsafe=harmful")
        yield theirs, ours


def translated(rows: Iterator[tuple[int, dict[str, Any]]], values: Sequence[Values], place: str) -> Iterator[Any]:
    """Numbered rows with our values. `place` precedes a row's number in messages."""
    for line, row in rows:
        for one in values:
            if one.column not in row:
                raise BadInput(f"{place} {line}: no column '{one.column}' to read values of; take it with --columns")
            if one.kind not in (None, row.get("kind")):
                continue
            ours = one.of(row[one.column])
            if ours is None:
                known = ", ".join(pattern for pattern, _ in one.meanings)
                value = _text(row[one.column])[:40]
                raise BadInput(f"{place} {line}: {one.column} is {value!r}, and --values says only what {known} mean")
            row = {**row, one.column: ours}
        yield line, row


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()

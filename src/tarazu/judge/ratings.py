"""The ratings table: labels that people gave to responses, one row per response and person, with strict checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.rows import KINDS, Kind
from tarazu.errors import BadInput
from tarazu.files import atomic_file
from tarazu.languages import UnknownLanguage, language_code
from tarazu.study.ratings import RatingClasses, RatingSettings
from tarazu.tables import Columns, columns_of, identifier, integer, is_missing_number, open_table, truth

T = TypeVar("T")

RATINGS = "ratings.parquet"
"""A run's own table of ratings."""

KEY = ("arm", "language", "kind", "prompt_id", "seed", "sample")
"""The columns that say which response was labelled; the last two are optional."""
COLUMNS = (*KEY, "rater", "label")

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in KEY[:4]),
        ("seed", pa.int64()),
        ("sample", pa.int64()),
        ("rater", pa.string()),
        ("label", pa.string()),
        ("outcome", pa.int8()),
        ("revisions", pa.int64()),
    ]
)
"""Columns of a run's own table: those of the user's, and the last two of Rating."""


@dataclass(frozen=True, kw_only=True)
class Rating:
    """One person's label of one response. `label` is None where the person could not tell. `outcome` is what it means:
    1 (harmless or helpful), 0, or None. `revisions` counts earlier labels that it replaces."""

    arm: str
    language: str
    kind: Kind
    prompt_id: str
    seed: int
    sample: int
    rater: str
    label: str | None
    outcome: int | None
    revisions: int = 0

    @property
    def response(self) -> tuple[str, str, str, str, int, int]:
        """The key of the response."""
        return (self.arm, self.language, self.kind, self.prompt_id, self.seed, self.sample)


@dataclass(frozen=True, kw_only=True)
class RatingForm:
    """How a table of ratings is written. `columns` says what our columns are in the file. With `raters`, each of these
    columns has one person's labels. `classes` says what labels other than 0 and 1 mean."""

    columns: Columns
    raters: tuple[str, ...] = ()
    classes: RatingClasses = field(default_factory=RatingClasses)

    @classmethod
    def of(cls, settings: RatingSettings) -> RatingForm:
        """The form that a study describes."""
        return cls(columns=settings.columns.given(), raters=settings.raters, classes=settings.classes)


def rating_rows(paths: Sequence[Path], form: RatingForm) -> tuple[Rating, ...]:
    """The checked ratings of one or several tables. In a table with a column `rater`, a person's newest row for a
    response counts: `tarazu label` adds a row when a person changes a label.

    Raises BadInput, one line with file, line and fix, for a missing column, an unknown kind, language or label, an
    empty name, one person's labels of one response in two tables, or tables without any rating.
    """
    seen: dict[tuple[Any, ...], str] = {}
    ratings: list[Rating] = []
    for path in paths:
        ids = ["prompt_id", "rater", "label", *form.raters]
        table = open_table(path, columns=form.columns, numbers=["seed", "sample"], ids=ids)
        own = checked_ratings(path, table.rows, form, table.form.unit)
        for one in own:
            if (*one.response, one.rater) in seen:
                raise BadInput(
                    f"{path}: {one.rater} labelled ({', '.join(map(str, one.response))}) in "
                    f"{seen[*one.response, one.rater]}, too; keep one"
                )
        seen |= dict.fromkeys(((*one.response, one.rater) for one in own), str(path))
        ratings += own
    if not ratings:
        raise BadInput(f"{', '.join(map(str, paths))}: has no ratings; a table of ratings has at least one row")
    return tuple(ratings)


def checked_ratings(
    name: Path | str, numbered: Iterable[tuple[int, Mapping[str, Any]]], form: RatingForm, unit: str = "row"
) -> list[Rating]:
    """The ratings of a table's numbered rows, checked."""
    newest: dict[tuple[Any, ...], Rating] = {}
    lines: dict[tuple[Any, ...], int] = {}
    for line, row in numbered:
        cells = _Row(f"{name}: {unit} {line}", row)
        response = cells.response(labelled=not form.raters)
        by_rater = {column: column for column in form.raters} or {cells.name("rater"): "label"}
        for rater, column in by_rater.items():
            key = (*(response[part] for part in KEY), rater)
            if key in lines and form.raters:
                raise cells.refuse(f"({', '.join(map(str, key[:6]))}) is also in {unit} {lines[key]}; keep one")
            lines[key] = line
            label, outcome = cells.label(column, form.classes.of(response["kind"]))
            revisions = newest[key].revisions + 1 if key in newest else 0
            newest[key] = Rating(**response, rater=rater, label=label, outcome=outcome, revisions=revisions)
    return list(newest.values())


@dataclass(frozen=True)
class _Row:
    """The cells of one row, which are checked when they are read."""

    place: str
    row: Mapping[str, Any]

    def refuse(self, problem: str) -> BadInput:
        return BadInput(f"{self.place}: {problem}")

    def response(self, *, labelled: bool) -> dict[str, Any]:
        for column in (*KEY[:4], *(("rater", "label") if labelled else ())):
            self.require(column)
        kind = self.name("kind")
        if kind not in KINDS:
            raise self.refuse(f"unknown kind {kind[:40]!r}; kinds are {' and '.join(KINDS)}")
        try:
            language = language_code(self.name("language"))
        except UnknownLanguage as error:
            raise self.refuse(str(error)) from None
        return {
            "arm": self.name("arm"),
            "language": language,
            "kind": kind,
            "prompt_id": self.name("prompt_id"),
            "seed": self.count("seed"),
            "sample": self.count("sample"),
        }

    def require(self, column: str) -> None:
        if column not in self.row:
            hint = " (or one column for each person: --raters A,B)" if column in ("rater", "label") else ""
            raise self.refuse(
                f"has no column {column}; {columns_of(self.row)}; to take it from another: "
                f"--rating-columns {column}=COLUMN{hint}"
            )

    def name(self, column: str) -> str:
        value = self._read(column, identifier)
        if not value:
            raise self.refuse(f"{column} is empty; every row needs one")
        return value

    def count(self, column: str) -> int:
        if is_missing_number(self.row.get(column)):
            return 0
        value = self._read(column, integer)
        if not 0 <= value < 2**63:
            raise self.refuse(f"{column} must be a whole number from 0, not {str(value)[:40]!r}")
        return value

    def label(self, column: str, classes: Mapping[str, int | None]) -> tuple[str | None, int | None]:
        """The label of a cell and what it means; None for both if it is empty."""
        if column not in self.row:
            raise self.refuse(f"has no column '{column}' of a rater; {columns_of(self.row)}; correct --raters")
        value = self.row[column]
        text = str(value) if isinstance(value, bool) else self._read(column, identifier)
        if text in classes:
            return text, classes[text]
        if is_missing_number(value):
            return None, None
        try:
            outcome = int(truth(value))
        except ValueError:
            known = f"one of {', '.join(classes)}, " if classes else ""
            hint = "" if classes else "; say what other labels mean in ratings.classes (docs/people.md)"
            raise self.refuse(
                f"{column} must be {known}0 or 1, or empty if the person could not tell, not {text[:40]!r}{hint}"
            ) from None
        return str(outcome), outcome

    def _read(self, column: str, read: Callable[[Any], T]) -> T:
        try:
            return read(self.row.get(column))
        except ValueError as error:
            raise self.refuse(f"{column} {error}") from None


def write_ratings(path: Path, ratings: Sequence[Rating]) -> None:
    """Write ratings as a run's own table, sorted, so that the order of the users' rows does not matter."""
    rows = sorted((asdict(one) for one in ratings), key=lambda row: tuple(row[name] for name in (*KEY, "rater")))
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary)


def read_ratings(path: Path) -> tuple[Rating, ...]:
    """Read the table that `write_ratings` wrote."""
    return tuple(Rating(**row) for row in pq.read_table(path, schema=SCHEMA).to_pylist())

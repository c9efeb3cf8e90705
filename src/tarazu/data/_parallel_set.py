"""The parallel set: the project's own prompts with a good and a bad answer, the same in every language.

A set is a folder: `index.csv` (id, kind, category, split) and one `<code>.jsonl` per language with rows {id, prompt,
good, bad, author, reviewed}, one for each id (schemas/parallel-row-v1.schema.json). The shipped one is machine-authored
is in `parallel/` beside this module (a folder of data, because a module cannot have that name).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tarazu.data._sources import need_folder
from tarazu.data.rows import KINDS, Kind
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES
from tarazu.readers import field, read_csv, read_jsonl

SHIPPED = Path(__file__).parent / "parallel"

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
TEXTS = ("prompt", "good", "bad")
FIELDS = ("id", *TEXTS, "author", "reviewed")


@dataclass(frozen=True, kw_only=True, slots=True)
class ParallelRow:
    """One prompt of the set in one language, with a good and a bad answer.

    `author` wrote it (`machine`, or a name). `reviewed` is the native speaker who checked it, or False.
    """

    id: str
    kind: Kind
    category: str
    split: Split
    prompt: str
    good: str
    bad: str
    author: str
    reviewed: str | Literal[False]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    kind: Kind
    category: str
    split: Split


def _one_of(value: str, allowed: tuple[Any, ...], name: str, path: Path, line: int) -> Any:
    if value not in allowed:
        raise BadInput(f"{path}: line {line}: {name} is '{value}'; it must be {' or '.join(allowed)}")
    return value


def read_index(folder: Path) -> dict[str, Entry]:
    """The kind, category and split of each id in a set's index.csv. Raises BadInput."""
    path = folder / "index.csv"
    entries: dict[str, Entry] = {}
    for line, row in read_csv(path):
        row_id = field(row, "id", str, path, line)
        if not row_id.strip():
            raise BadInput(f"{path}: line {line}: the id is empty; write one")
        if row_id in entries:
            raise BadInput(f"{path}: line {line}: duplicate id '{row_id}'; keep one")
        entries[row_id] = Entry(
            kind=_one_of(field(row, "kind", str, path, line), KINDS, "kind", path, line),
            category=field(row, "category", str, path, line),
            split=_one_of(field(row, "split", str, path, line), SPLITS, "split", path, line),
        )
    return entries


def language_files(folder: Path) -> dict[str, Path]:
    """The language files of a set by code, sorted. Raises BadInput if there are none, or for an unknown language."""
    paths = {path.stem: path for path in sorted(folder.glob("*.jsonl"))}
    unknown = next((code for code in paths if code not in LANGUAGES), None)
    if unknown is not None:
        raise BadInput(f"{paths[unknown]}: '{unknown}' is not one of the 50 languages (`tarazu languages` lists them)")
    if not paths:
        raise BadInput(f"{folder}: contains no <code>.jsonl; a parallel set has one for each language")
    return paths


def provenance_problem(row: Mapping[str, Any]) -> str | None:
    """The problem with a row's author or reviewer, or None."""
    author, reviewed = row.get("author"), row.get("reviewed")
    if not isinstance(author, str) or not author.strip():
        return "author is missing; write 'machine' or the author's name"
    if reviewed is not False and (not isinstance(reviewed, str) or not reviewed.strip()):
        return "reviewed is missing; write false, or the name of the native speaker who checked it"
    return None


def read_texts(path: Path, entries: dict[str, Entry]) -> dict[str, dict[str, Any]]:
    """A language's rows by id, without the id. Raises BadInput."""
    texts: dict[str, dict[str, Any]] = {}
    for line, row in read_jsonl(path):
        row_id = field(row, "id", str, path, line)
        if row_id not in entries:
            raise BadInput(
                f"{path}: line {line}: the id '{row_id}' is not in index.csv; add it there or remove the row"
            )
        if row_id in texts:
            raise BadInput(f"{path}: line {line}: duplicate id '{row_id}'; keep one")
        texts[row_id] = {name: field(row, name, str, path, line) for name in TEXTS}
        for name, text in texts[row_id].items():
            if not text.strip():
                raise BadInput(f"{path}: line {line}: {name} is empty; write it")
        wrong = provenance_problem(row)
        if wrong is not None:
            raise BadInput(f"{path}: line {line}: {wrong}")
        texts[row_id] |= {"author": row["author"], "reviewed": row["reviewed"]}
    missing = next((row_id for row_id in entries if row_id not in texts), None)
    if missing is not None:
        raise BadInput(f"{path}: has no row '{missing}', which index.csv lists; add it")
    return texts


def read_parallel(folder: Path | None) -> dict[str, list[ParallelRow]]:
    """The rows of a parallel set (None: the shipped one) by language code, each language in the order of the index.

    Raises BadInput if a language's ids differ from those of the index, or if a text is missing or empty.
    """
    folder = SHIPPED if folder is None else folder
    need_folder(folder, "index.csv and <code>.jsonl files")
    entries = read_index(folder)
    rows: dict[str, list[ParallelRow]] = {}
    for code, path in language_files(folder).items():
        texts = read_texts(path, entries)
        rows[code] = [
            ParallelRow(id=row_id, kind=entry.kind, category=entry.category, split=entry.split, **texts[row_id])
            for row_id, entry in entries.items()
        ]
    return rows


def parallel_languages() -> tuple[str, ...]:
    """Codes of the languages of the shipped set, sorted."""
    return tuple(language_files(SHIPPED))

"""The parallel set: the project's own prompts with a good and a bad answer, the same in every language.

A set is a folder: `index.csv` (id, kind, category, split) and one `<code>.jsonl` per language with rows
{id, prompt, good, bad}, one for each id. The shipped one is machine-authored and stands beside this module in
`parallel/` (a folder of data: a module cannot have that name).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tarazu.data._sources import is_folder, need_folder
from tarazu.data.rows import KINDS, Kind
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES
from tarazu.readers import field, read_csv, read_jsonl

SHIPPED = Path(__file__).parent / "parallel"

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
TEXTS = ("prompt", "good", "bad")

_SCRIPTS = {
    "Arab": ("ARABIC",),
    "Beng": ("BENGALI",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Geor": ("GEORGIAN",),
    "Grek": ("GREEK",),
    "Gujr": ("GUJARATI",),
    "Guru": ("GURMUKHI",),
    "Hans": ("CJK",),
    "Hebr": ("HEBREW",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
    "Kore": ("HANGUL",),
    "Latn": ("LATIN",),
    "Mlym": ("MALAYALAM",),
    "Mymr": ("MYANMAR",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Thai": ("THAI",),
}
"""How the Unicode names of a script's letters begin, by ISO 15924 code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParallelRow:
    """One prompt of the set in one language, with a good and a bad answer."""

    id: str
    kind: Kind
    category: str
    split: Split
    prompt: str
    good: str
    bad: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    kind: Kind
    category: str
    split: Split


def _one_of(value: str, allowed: tuple[Any, ...], name: str, path: Path, line: int) -> Any:
    if value not in allowed:
        raise BadInput(f"{path}: line {line}: {name} is '{value}'; it must be {' or '.join(allowed)}")
    return value


def _read_index(folder: Path) -> dict[str, _Entry]:
    path = folder / "index.csv"
    entries: dict[str, _Entry] = {}
    for line, row in read_csv(path):
        row_id = field(row, "id", str, path, line)
        if not row_id.strip():
            raise BadInput(f"{path}: line {line}: the id is empty; write one")
        if row_id in entries:
            raise BadInput(f"{path}: line {line}: the id '{row_id}' stands twice; leave one")
        entries[row_id] = _Entry(
            kind=_one_of(field(row, "kind", str, path, line), KINDS, "kind", path, line),
            category=field(row, "category", str, path, line),
            split=_one_of(field(row, "split", str, path, line), SPLITS, "split", path, line),
        )
    return entries


def _language_files(folder: Path) -> dict[str, Path]:
    found = {path.stem: path for path in sorted(folder.glob("*.jsonl"))}
    unknown = next((code for code in found if code not in LANGUAGES), None)
    if unknown is not None:
        raise BadInput(f"{found[unknown]}: '{unknown}' is not one of the 50 languages (`tarazu languages` lists them)")
    if not found:
        raise BadInput(f"{folder}: holds no <code>.jsonl; a parallel set has one for each language")
    return found


def _read_texts(path: Path, entries: dict[str, _Entry]) -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = {}
    for line, row in read_jsonl(path):
        row_id = field(row, "id", str, path, line)
        if row_id not in entries:
            raise BadInput(
                f"{path}: line {line}: the id '{row_id}' is not in index.csv; add it there or remove the row"
            )
        if row_id in texts:
            raise BadInput(f"{path}: line {line}: the id '{row_id}' stands twice; leave one")
        texts[row_id] = {name: field(row, name, str, path, line) for name in TEXTS}
        for name, text in texts[row_id].items():
            if not text.strip():
                raise BadInput(f"{path}: line {line}: {name} is empty; write it")
    missing = next((row_id for row_id in entries if row_id not in texts), None)
    if missing is not None:
        raise BadInput(f"{path}: has no row '{missing}', which index.csv lists; add it")
    return texts


def read_parallel(folder: Path | None) -> dict[str, list[ParallelRow]]:
    """The rows of a parallel set by language code, each language in the order of the index; None: the shipped set.

    Raises BadInput where a language's ids are not those of the index, or a text is missing or empty.
    """
    folder = SHIPPED if folder is None else folder
    need_folder(folder, "index.csv and <code>.jsonl files")
    entries = _read_index(folder)
    rows: dict[str, list[ParallelRow]] = {}
    for code, path in _language_files(folder).items():
        texts = _read_texts(path, entries)
        rows[code] = [
            ParallelRow(id=row_id, kind=entry.kind, category=entry.category, split=entry.split, **texts[row_id])
            for row_id, entry in entries.items()
        ]
    return rows


def parallel_languages() -> tuple[str, ...]:
    """Codes of the languages of the shipped set, sorted."""
    return tuple(_language_files(SHIPPED))


# --- checking a translation ------------------------------------------------------------------------


def check_parallel(path: Path) -> list[str]:
    """What is wrong with a set's folder, or with one `<code>.jsonl` of it: a line for each problem, none if sound.

    Where a file has no index.csv or en.jsonl beside it, those of the shipped set are used. What is checked: ids,
    fields, empty texts, texts left in English, two different English texts rendered the same, and whether most
    letters are of the language's script.
    """
    if is_folder(path):
        try:
            files = list(_language_files(path).values())
        except BadInput as error:
            return [str(error)]
    else:
        files = [path]
    return [problem for file in files for problem in _problems(file)]


def _beside(path: Path, name: str) -> Path:
    neighbour = path.parent / name
    return neighbour if neighbour.is_file() else SHIPPED / name


def _problems(path: Path) -> list[str]:
    code = path.name.removesuffix(".jsonl")
    if code not in LANGUAGES or path.suffix != ".jsonl":
        return [f"{path}: the name must be <code>.jsonl with one of the 50 codes (`tarazu languages` lists them)"]
    try:
        ids = _read_index(_beside(path, "index.csv").parent)
        english = _read_texts(_beside(path, "en.jsonl"), ids) if code != "en" else {}
        rows = list(read_jsonl(path))
    except BadInput as error:
        return [str(error)]
    problems: list[str] = []
    seen: dict[str, int] = {}
    renderings: dict[tuple[str, str], str] = {}
    for line, row in rows:
        where = f"{path}: line {line}"
        row_id = row.get("id")
        if not isinstance(row_id, str) or row_id not in ids:
            problems.append(f"{where}: the id {row_id!r} is not in index.csv; use the ids of the English rows")
            continue
        if row_id in seen:
            problems.append(f"{where}: the id '{row_id}' stands also in line {seen[row_id]}; leave one")
            continue
        seen[row_id] = line
        extra = ", ".join(f"'{name}'" for name in row if name not in ("id", *TEXTS))
        if extra:
            problems.append(f"{where}: unknown field {extra}; a row has id, prompt, good, bad")
        for name in TEXTS:
            text = row.get(name)
            if not isinstance(text, str) or not text.strip():
                problems.append(f"{where}: {name} is empty or no text; translate it")
                continue
            original = english.get(row_id, {}).get(name, text)
            problems.extend(f"{where}: {name} {problem}" for problem in _text_problems(text, original, code))
            # Two prompts are never the same; answers must differ where the English ones do.
            other = renderings.setdefault((name, text), row_id)
            same_in_english = english.get(other, {}).get(name, text) == original
            if other != row_id and (name == "prompt" or not same_in_english):
                problems.append(f"{where}: {name} is the same text as in '{other}'; translate each")
        if row.get("good") == row.get("bad") and isinstance(row.get("good"), str):
            problems.append(f"{where}: good and bad are the same text; translate each")
    problems.extend(f"{path}: has no row '{row_id}'; translate it" for row_id in ids if row_id not in seen)
    return problems


def _text_problems(text: str, original: str, code: str) -> Iterable[str]:
    if code != "en" and text.strip() == original.strip():
        yield "is still the English text; translate it"
        return
    script = LANGUAGES[code].script
    letters = [character for character in text if unicodedata.category(character).startswith("L")]
    proper = sum(unicodedata.name(letter, "").startswith(_SCRIPTS[script]) for letter in letters)
    if 2 * proper <= len(letters):
        yield f"has {proper} letters of {len(letters)} in the script {script}; write it in {LANGUAGES[code].name}"

"""Shared by the data sources: finding files, reading from the Hub, drawing, and prompts before they are rows."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN, Turn
from tarazu.errors import BadInput, MissingExtra

NumberedRow = tuple[int, dict[str, Any]]
"""A row and its number: the line of a file, or the position in a Hub split, from 1."""

OVER_LIMIT = "over the limit"
OTHER_LANGUAGE = "a language that the study does not name"
"""Why rows in a language other than the 50 are dropped: a study of `all` languages has the 50 only."""

WORDS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|"
                   r"[^\s\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")  # fmt: skip
"""A word between spaces, or a single character of a script without spaces: Thai and Lao, Burmese, kana, Han."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePrompt:
    """One prompt of a source in one language. `good` and `bad` are None if there are no known answers, for the reason
    in `without_answers`. `reviewed` says whether its row names a native speaker who reviewed it. `category` and
    `translation_quality` are as in Prompt."""

    prompt_id: str
    language: str
    text: str
    turns: tuple[Turn, ...] = ()
    good: str | None = None
    bad: str | None = None
    without_answers: str = "no known answers"
    reviewed: bool = False
    category: tuple[str, ...] = ()
    translation_quality: float | None = None


@dataclass(kw_only=True)
class SourcePrompts:
    """The prompts of a source in the requested languages. The source had len(rows) + sum(dropped.values()) rows."""

    rows: list[SourcePrompt] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


def resolve(path: str, root: Path | None) -> Path:
    """`path` relative to `root` if a root is given. ~ is the home folder."""
    try:
        given = Path(path).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{path}: no such home folder; write the complete path") from error
    return given if root is None else root / given


def only_existing(candidates: Iterable[Path]) -> Path | None:
    """The first of `candidates` that exists."""
    return next((path for path in candidates if path.exists()), None)


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder. False also for a path that is not valid."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def need_folder(folder: Path, contents: str) -> None:
    """Raises BadInput if `folder` is not a folder. `contents` says what belongs in it."""
    if not is_folder(folder):
        raise BadInput(f"{folder}: no such folder; give the folder that contains {contents}")


def hub_rows(hub: str, **where: Any) -> Iterator[NumberedRow]:
    """Numbered rows of a Hub dataset. `where` is passed to `datasets.load_dataset`."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("models", "datasets") from error
    try:
        loaded = datasets.load_dataset(hub, **{key: value for key, value in where.items() if value is not None})
    except Exception as error:  # the client raises dozens of types; each of them means that there are no rows
        named = ", ".join(f"{key} {value}" for key, value in where.items() if value is not None)
        raise BadInput(
            f"Hub dataset {hub} ({named}): cannot be loaded ({type(error).__name__}: {str(error)[:160]}); "
            "download it and give `path`"
        ) from error
    yield from enumerate((dict(row) for row in loaded), 1)


def generator(seed: int, *names: str) -> np.random.Generator:
    """A separate generator for each (seed, names), so that adding a source does not change another source's draw."""
    entropy = hashlib.sha256("/".join(names).encode()).digest()[:8]
    return np.random.default_rng([seed, int.from_bytes(entropy)])


def drawn(count: int, limit: int | None, seed: int, *names: str) -> list[int]:
    """A random sample of `limit` numbers of range(count), ascending. All of them if there is no limit or fewer."""
    if limit is None or count <= limit:
        return list(range(count))
    return sorted(generator(seed, *names).choice(count, size=limit, replace=False, shuffle=False).tolist())


def content_id(prefix: str, text: str) -> str:
    """`prefix` and 16 hex digits that depend only on `text`."""
    return f"{prefix}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def human_turns(transcript: str) -> list[str]:
    """The human turns of a transcript, stripped."""
    return [turn.split(TURN_ASSISTANT)[0].strip() for turn in transcript.split(TURN_HUMAN)[1:]]


def user_turns(transcript: str, turns: Sequence[Turn]) -> list[str]:
    """The user's messages, stripped: those of `turns`, or of the transcript if there are no turns."""
    return [turn.content.strip() for turn in turns if turn.role == "user"] or human_turns(transcript)


_INVISIBLE = re.compile(
    "[\u034f\u0640\u07fa\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Characters that are not part of a word, beside Unicode's format characters: joiners, fillers, variation selectors,
and the strokes that lengthen Arabic and N'Ko words."""

_SAME: Final = {
    "\u02bb": " ", "\u02bc": " ", "\ua78c": " ",  # apostrophes that Unicode counts as letters
    "\u0131": "i",  # without a dot: an upper-case I does not show which of the two it is
    "\u0643": "\u06a9", "\u064a": "\u06cc",  # kaf and yeh of an Arabic keyboard in Persian and Urdu
    "\u0327": "\u0326",  # the cedilla for the comma below in Romanian
}  # fmt: skip
"""Characters that the same text is often typed with, in their canonical decomposition."""


class _Folding(dict[int, str | None]):
    """Maps characters: letters and marks are kept, digits are 0 to 9, invisible characters are removed, and others are
    replaced by a space."""

    def __missing__(self, code: int) -> str | None:
        letter = chr(code)
        category = unicodedata.category(letter)
        kept: str | None
        if letter in _SAME:
            kept = _SAME[letter]
        elif category == "Nd":
            kept = str(unicodedata.decimal(letter))
        elif category == "Cf" or _INVISIBLE.match(letter):
            kept = None
        else:
            # Keep marks: in the scripts of India they are the vowels.
            kept = letter if category[0] in "LMN" else " "
        self[code] = kept
        return kept


_FOLDING = _Folding()
_MARKS_ALONE = re.compile(r"(?<!\S)[^\w\s]+")
_MARKS = re.compile(r"[^\w\s]{2,}")
"""Several marks on one letter, in a text of letters, marks, digits and spaces."""


def normalised(text: str) -> str:
    """`text` normalised for comparison.

    Texts that differ only in case, punctuation, spaces, invisible characters, the digits of a script, the order of
    marks, or forms that Unicode calls compatible (width, ligatures, composition) become the same text. There is one
    space for each run of spaces and punctuation.
    """
    if text.isascii():
        return " ".join(text.casefold().translate(_FOLDING).split())
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(_FOLDING)
    ordered = _MARKS.sub(lambda marks: "".join(sorted(marks.group())), _MARKS_ALONE.sub("", folded))
    return " ".join(unicodedata.normalize("NFC", ordered.replace("i\u0307", "i")).split())


def counted(counts: Counter[str]) -> dict[str, int]:
    """Counts above 0 for a report, sorted by reason."""
    return {reason: count for reason, count in sorted(counts.items()) if count}


def first_seen(values: Sequence[str]) -> list[str]:
    """The distinct values in the order of first appearance."""
    return list(dict.fromkeys(values))

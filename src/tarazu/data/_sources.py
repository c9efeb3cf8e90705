"""Shared by the data sources: finding files, reading from the Hub, drawing, and prompts before they are rows."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN, Turn
from tarazu.errors import BadInput, MissingExtra

NumberedRow = tuple[int, dict[str, Any]]
"""A row and its number: the line of a file, or the position in a Hub split, from 1."""

OVER_LIMIT = "over the limit"

WORDS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|"
                   r"[^\s\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")  # fmt: skip
"""A word between spaces, or a single character of a script without spaces: Thai and Lao, Burmese, kana, Han."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePrompt:
    """One prompt of a source in one language. `good` and `bad` are None if there are no known answers, for the reason
    in `without_answers`."""

    prompt_id: str
    language: str
    text: str
    turns: tuple[Turn, ...] = ()
    good: str | None = None
    bad: str | None = None
    without_answers: str = "no known answers"


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


class _Folding(dict[int, str | None]):
    """Maps characters: letters, marks and digits are kept, format characters removed, others replaced by a space."""

    def __missing__(self, code: int) -> str | None:
        category = unicodedata.category(chr(code))
        # Keep marks: in the scripts of India they are the vowels.
        kept = chr(code) if category[0] in "LMN" else None if category == "Cf" else " "
        self[code] = kept
        return kept


_FOLDING = _Folding()


def normalised(text: str) -> str:
    """`text` normalised for comparison: NFKC, case folded, with one space for each run of spaces and punctuation."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_FOLDING).split())


def counted(counts: Counter[str]) -> dict[str, int]:
    """Counts above 0 for a report, sorted by reason."""
    return {reason: count for reason, count in sorted(counts.items()) if count}


def first_seen(values: Sequence[str]) -> list[str]:
    """The distinct values in the order of first appearance."""
    return list(dict.fromkeys(values))

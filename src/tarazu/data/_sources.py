"""What the data sources share: finding files, reaching the Hub, drawing, and requests before they are rows."""

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

from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN
from tarazu.errors import BadInput, MissingExtra

NumberedRow = tuple[int, dict[str, Any]]
"""A row and its number: the line of a file, or the place in a Hub split, from 1."""

OVER_LIMIT = "over the limit"

WORDS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|"
                   r"[^\s\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")  # fmt: skip
"""A word between spaces, or a single character of the scripts that write none: Thai and Lao, Burmese, kana, Han."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One prompt of a source in one language; `good` and `bad` are None where no answers are known, for the
    reason in `without_answers`."""

    prompt_id: str
    language: str
    text: str
    good: str | None = None
    bad: str | None = None
    without_answers: str = "no known answers"


@dataclass(kw_only=True)
class Requests:
    """What a source holds for the languages asked for. len(rows) + sum(dropped.values()) rows were read."""

    rows: list[Request] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


def resolve(path: str, root: Path | None) -> Path:
    """`path` from `root` where it is relative and a root is given; ~ is the home folder."""
    try:
        given = Path(path).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{path}: no such home folder; write the path out") from error
    return given if root is None else root / given


def only_existing(candidates: Iterable[Path]) -> Path | None:
    """The first of `candidates` that exists."""
    return next((path for path in candidates if path.exists()), None)


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False also for what cannot be a name."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def need_folder(folder: Path, holds: str) -> None:
    """Refuse a `folder` that is none; `holds` says what belongs in it."""
    if not is_folder(folder):
        raise BadInput(f"{folder}: no such folder; give the folder that holds {holds}")


def hub_rows(hub: str, **where: Any) -> Iterator[NumberedRow]:
    """Numbered rows of a Hub dataset; `where` goes to `datasets.load_dataset`."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("models", "datasets") from error
    try:
        loaded = datasets.load_dataset(hub, **{key: value for key, value in where.items() if value is not None})
    except Exception as error:  # the client raises dozens of kinds; each means that there are no rows
        named = ", ".join(f"{key} {value}" for key, value in where.items() if value is not None)
        raise BadInput(
            f"Hub dataset {hub} ({named}): cannot be loaded ({type(error).__name__}: {str(error)[:160]}); "
            "download it and give `path`"
        ) from error
    yield from enumerate((dict(row) for row in loaded), 1)


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for each (seed, names): adding a source does not change another's draw."""
    entropy = hashlib.sha256("/".join(names).encode()).digest()[:8]
    return np.random.default_rng([seed, int.from_bytes(entropy)])


def drawn(count: int, limit: int | None, seed: int, *names: str) -> list[int]:
    """`limit` of range(count), ascending; all of it where there is no limit or fewer."""
    if limit is None or count <= limit:
        return list(range(count))
    return sorted(generator(seed, *names).choice(count, size=limit, replace=False, shuffle=False).tolist())


def content_id(prefix: str, text: str) -> str:
    """`prefix` and 16 hex digits that depend on `text` alone."""
    return f"{prefix}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def human_turns(transcript: str) -> list[str]:
    """The human turns of a transcript, stripped."""
    return [turn.split(TURN_ASSISTANT)[0].strip() for turn in transcript.split(TURN_HUMAN)[1:]]


class _Folding(dict[int, str | None]):
    """Character by character: letters, marks and digits stay, format characters go, the rest becomes a space."""

    def __missing__(self, code: int) -> str | None:
        category = unicodedata.category(chr(code))
        # Marks stay: in the scripts of India they are the vowels.
        kept = chr(code) if category[0] in "LMN" else None if category == "Cf" else " "
        self[code] = kept
        return kept


_FOLDING = _Folding()


def normalised(text: str) -> str:
    """`text` for comparing: NFKC, case folded, each run of space and punctuation one space."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_FOLDING).split())


def counted(counts: Counter[str]) -> dict[str, int]:
    """Counts for a report: none that are 0, by reason."""
    return {reason: count for reason, count in sorted(counts.items()) if count}


def first_seen(values: Sequence[str]) -> list[str]:
    """Each value once, in the order of first appearance."""
    return list(dict.fromkeys(values))

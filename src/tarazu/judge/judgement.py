"""The interface of all judges: texts in, a label and, where there is one, a score out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tarazu.conversation.formats import Conversation
from tarazu.files import digest, to_json, write_text
from tarazu.progress import OnProgress

Row = tuple[Conversation | str, str]
"""A conversation (or a request) and the response to it."""

BATCHES = 16
"""Batches of texts in a file of the cache: a kill loses no more than these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What one judge says about a text.

    `label` is 1 (harmless, or helpful), 0, or None. A reward model gives a `score` and leaves the label to the study's
    thresholds. Any other judge without a label gives a `reason`: it could not tell. `tokens` are those that a paid
    model read and wrote.
    """

    label: int | None = None
    score: float | None = None
    reason: str | None = None
    shortened: bool = False
    tokens: tuple[int, int] = (0, 0)


class Judge(Protocol):
    """Something that judges texts. A judgement depends on its text alone."""

    def judge(self, rows: Sequence[Row], progress: OnProgress) -> list[Judgement]:
        """A judgement of each row, in the given order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The judgements of a text by the judges of its kind."""

    judgements: tuple[Judgement, ...]
    by_reward: bool
    """Whether the judges are reward models, whose mean reward decides by the study's thresholds."""

    @property
    def shortened(self) -> bool:
        return any(one.shortened for one in self.judgements)

    @property
    def reward(self) -> float | None:
        """The mean reward. None for judges that give labels."""
        return float(np.mean([one.score for one in self.judgements])) if self.by_reward else None

    def decision(self) -> Judgement:
        """The label that the majority of the judges gives, without those that could not tell. Not for reward models."""
        if len(self.judgements) == 1:
            return self.judgements[0]
        labels = [one.label for one in self.judgements if one.label is not None]
        ones = sum(labels)
        if 2 * ones == len(labels):
            return Judgement(reason="the judges are tied" if labels else "no judge could tell")
        return Judgement(label=int(2 * ones > len(labels)))


class Cache:
    """Judgements by (judge, prompt, response), in files below `folder`, so that a killed run does not judge again.

    `judge` is a digest of all that the judgements depend on besides the texts. Without a folder nothing is kept.
    """

    def __init__(self, folder: Path | None, judge: str) -> None:
        self.folder = None if folder is None else folder / judge[:20]

    def read(self, rows: Sequence[Row]) -> list[Judgement] | None:
        """The judgements of these rows, if they were written together."""
        if self.folder is None:
            return None
        keys = [key_of(row) for row in rows]
        known = self._of_file(self.folder / f"{digest(keys)[:40]}.json")
        return [known[key] for key in keys] if known.keys() >= set(keys) else None

    def known(self) -> dict[str, Judgement]:
        """Every judgement of this judge, by `key_of`."""
        files = [] if self.folder is None or not self.folder.is_dir() else sorted(self.folder.glob("*.json"))
        return {key: one for file in files for key, one in self._of_file(file).items()}

    def write(self, rows: Sequence[Row], judgements: Sequence[Judgement]) -> None:
        if self.folder is None:
            return
        keys = [key_of(row) for row in rows]
        content = {
            key: [one.label, one.score, one.reason, one.shortened, *one.tokens]
            for key, one in zip(keys, judgements, strict=True)
        }
        write_text(self.folder / f"{digest(keys)[:40]}.json", to_json(content))

    def _of_file(self, file: Path) -> dict[str, Judgement]:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # what is missing or damaged is judged again
            return {}
        return {
            key: Judgement(label=label, score=score, reason=reason, shortened=shortened, tokens=(read, written))
            for key, (label, score, reason, shortened, read, written) in content.items()
        }


def key_of(row: Row) -> str:
    """A digest of a row's texts."""
    prompt, response = row
    turns = [] if isinstance(prompt, str) else [list(turn) for turn in prompt.turns]
    return digest([prompt if isinstance(prompt, str) else prompt.text, turns, response])


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How a local model judges: `size` texts at a time, in order of their `lengths`, which keeps padding short."""

    lengths: Sequence[int]
    size: int
    judge: Callable[[Sequence[int]], list[Judgement]]
    """Judges the rows at these positions."""


def judged_in_batches(
    rows: Sequence[Row], batches: Batches, cache: Cache, progress: OnProgress, what: str = "judgements"
) -> list[Judgement]:
    """A judgement of each of the rows, which are distinct.

    The division into batches depends on the rows only, so a run that was killed judges the same batches as one that
    was not, with the same last digits.
    """
    order = sorted(range(len(rows)), key=lambda i: (batches.lengths[i], i))
    judged: dict[int, Judgement] = {}
    for start in range(0, len(order), batches.size * BATCHES):
        indices = order[start : start + batches.size * BATCHES]
        own = [rows[i] for i in indices]
        judgements = cache.read(own)
        if judgements is None:
            judgements = []
            for first in range(0, len(indices), batches.size):
                judgements += batches.judge(indices[first : first + batches.size])
                progress(start + len(judgements), len(order), what)
            cache.write(own, judgements)
        judged |= dict(zip(indices, judgements, strict=True))
    return [judged[i] for i in range(len(rows))]

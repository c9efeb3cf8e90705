"""The sample of responses that people rate: the same number from each arm, language and kind.

A response's place in its stratum is a hash of the study's seed and the response's key. The first `per_cell` are drawn.
So every rater gets the same responses, a larger sample contains a smaller one, and a new arm or language changes
nothing in the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tarazu.data.rows import KINDS
from tarazu.errors import BadInput
from tarazu.results.files import read_results
from tarazu.scores import deciding, score_rows

SCORES = "scores.parquet"
RESULTS = "results.json"


class Key(NamedTuple):
    """What identifies a response in the tables of scores and of ratings."""

    arm: str
    language: str
    kind: str
    prompt_id: str
    seed: int
    sample: int

    @property
    def stratum(self) -> tuple[str, str, str]:
        return self.arm, self.language, self.kind


@dataclass(frozen=True, kw_only=True)
class Item:
    """One response to rate."""

    key: Key
    prompt: str
    response: str


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """How many of an arm's responses in a language and kind were drawn, and a digest of all their texts."""

    arm: str
    language: str
    kind: str
    responses: int
    drawn: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The responses to rate, in no particular order, and the strata that they were drawn from."""

    seed: int
    per_cell: int
    names: Mapping[str, str]
    """The English name of each language."""
    items: tuple[Item, ...]
    strata: tuple[Stratum, ...]

    def ordered_for(self, rater: str) -> list[Item]:
        """The items in a random order of the rater's own, the same at each start."""
        return sorted(self.items, key=lambda item: _place(self.seed, f"order of {rater}", item.key))


def draw_from_run(run: Path, *, per_cell: int, languages: Collection[str] = ()) -> Sample:
    """Draw the sample from a run folder; without `languages`, from all of its languages.

    Raises BadInput if the folder has no results or no texts, or lacks one of the languages.
    """
    for name in (SCORES, RESULTS):
        if not (run / name).is_file():
            raise BadInput(f"{run}: has no {name}; name the folder of a finished run, or of `tarazu analyze --out`")
    results = read_results(run / RESULTS)
    rows = [row for row in deciding(score_rows(run / SCORES)) if row["kind"] in KINDS]
    known = sorted({row["language"] for row in rows})
    for code in languages:
        if code not in known:
            raise BadInput(f"--languages {code}: {run} has no responses in it; its languages: {', '.join(known)}")
    chosen = [row for row in rows if not languages or row["language"] in languages]
    missing = next((row for row in chosen if row["prompt"] is None or row["response"] is None), None)
    if missing is not None:
        raise BadInput(
            f"{run / SCORES}: has no {'response' if missing['response'] is None else 'prompt'} for "
            f"{missing['prompt_id']} ({missing['arm']}, {missing['language']}); ratings need a table with the columns "
            "prompt and response, filled in every row"
        )
    names = {code: results.name(code) for code in known}
    return draw(chosen, per_cell=per_cell, seed=results.study.seed, names=names)


def draw(rows: Sequence[Mapping[str, Any]], *, per_cell: int, seed: int, names: Mapping[str, str]) -> Sample:
    """Draw `per_cell` responses of each stratum, or all if it has fewer, from the checked rows of a scores table."""
    strata: dict[tuple[str, str, str], list[Item]] = {}
    for row in rows:
        key = Key(**{name: row[name] for name in Key._fields})
        strata.setdefault(key.stratum, []).append(Item(key=key, prompt=row["prompt"], response=row["response"]))
    items: list[Item] = []
    described = []
    for (arm, language, kind), own in sorted(strata.items()):
        drawn = sorted(own, key=lambda item: _place(seed, "sample", item.key))[:per_cell]
        items += drawn
        described.append(
            Stratum(arm=arm, language=language, kind=kind, responses=len(own), drawn=len(drawn), sha256=_digest(own))
        )
    return Sample(seed=seed, per_cell=per_cell, names=names, items=tuple(items), strata=tuple(described))


def _place(seed: int, use: str, key: Key) -> bytes:
    return hashlib.sha256(json.dumps([seed, use, *key]).encode()).digest()


def _digest(items: Sequence[Item]) -> str:
    texts = sorted([*item.key, item.prompt, item.response] for item in items)
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()

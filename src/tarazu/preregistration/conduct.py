"""What was done, read from a table of scores and a lock file, to compare with a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import JsonValue

from tarazu.preregistration.digests import Texts, text_set
from tarazu.preregistration.model import InputDigests, TextSet
from tarazu.preregistration.reading import FrozenPlan
from tarazu.results.model import Order

BINDING = b"tarazu.preregistration"
"""The key of a response file's metadata that holds the SHA-256 of the plan that was there before it."""
_COLUMNS = ("arm", "language", "kind", "prompt_id", "seed", "sample", "prompt")

Cell = tuple[str, str, str]
"""A kind of prompt, a language and an arm."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The prompts of a cell, as far as a table shows them."""

    prompts: frozenset[Texts]
    """Ids with texts; ids alone where the table has no texts."""
    replicates: frozenset[tuple[int, int]]
    """Pairs of training seed and sample."""
    responses: int

    @cached_property
    def texts(self) -> TextSet:
        return text_set(self.prompts)

    @property
    def shows_texts(self) -> bool:
        return all(len(one) == 2 for one in self.prompts)

    def complete(self, repeats: int | None) -> bool:
        """Whether every prompt has a response of every seed and sample. `repeats` is their number, if it is known."""
        every = len(self.replicates) if repeats is None else repeats
        return self.responses == len({one[0] for one in self.prompts}) * every


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """A plan, and what was done. `settings` is the study of the lock file; `inputs` what the run loaded, None where
    there was no run."""

    frozen: FrozenPlan
    settings: Mapping[str, JsonValue]
    inputs: InputDigests | None
    answered: Mapping[Cell, Answered]
    order: Order
    repeats: Mapping[str, int] = field(default_factory=dict)
    """How many responses an arm gives to a prompt; empty where there was no run."""


def answered_of(rows: Iterable[Mapping[str, Any]]) -> dict[Cell, Answered]:
    """The prompts of each cell of a table of scores."""
    prompts: dict[Cell, set[Texts]] = {}
    responses: dict[Cell, set[tuple[str, int, int]]] = {}
    for row in rows:
        cell = (str(row["kind"]), str(row["language"]), str(row["arm"]))
        name, text = str(row["prompt_id"]), row.get("prompt")
        prompts.setdefault(cell, set()).add((name,) if text is None else (name, str(text)))
        responses.setdefault(cell, set()).add((name, int(row.get("seed") or 0), int(row.get("sample") or 0)))
    return {
        cell: Answered(
            prompts=frozenset(prompts[cell]),
            replicates=frozenset((seed, sample) for _, seed, sample in own),
            responses=len(own),
        )
        for cell, own in responses.items()
    }


def answered_in(scores: Path) -> dict[Cell, Answered]:
    """The prompts of each cell of a parquet table of scores."""
    columns = [name for name in _COLUMNS if name in pq.read_schema(scores).names]
    return answered_of(pq.read_table(scores, columns=columns).to_pylist())


def binding_of(responses: Path) -> str | None:
    """The SHA-256 of the plan that a file of responses was bound to when it was made."""
    value = (pq.read_schema(responses).metadata or {}).get(BINDING)
    return None if value is None else value.decode("utf-8", errors="replace")


def order_of(responses: Iterable[Path], plan: str) -> Order:
    """Whether every file of responses was bound to this plan."""
    bound = [binding_of(path) == plan for path in responses]
    if not bound:
        return "not_shown"
    return "before_responses" if all(bound) else "after_responses"

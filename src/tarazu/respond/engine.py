"""What every engine takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tarazu.progress import OnProgress

EXACT = "token for token what generate gives a prompt alone, near-ties of its logits (1e-4) aside"
NOT_EXACT = "may differ in tokens from what generate gives a prompt alone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Something to answer: `ids` are the prompt's tokens, special ones included; `text` is the same before it was
    tokenized; `budget` is the longest answer in tokens; `seed` is the request's own, where it samples."""

    ids: tuple[int, ...]
    budget: int
    text: str = ""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One response. `finish`: the model ended it, it was cut at the next turn, or its budget ran out. `tokens`
    counts what the model generated, the end token left out; of a response that was cut, up to the token that
    completed the next turn's beginning."""

    text: str
    finish: Literal["eos", "cut", "length"]
    tokens: int


class Engine(Protocol):
    """Something that answers requests."""

    def answer(self, requests: Sequence[Request], progress: OnProgress) -> tuple[list[Response], dict[str, int]]:
        """A response to each request, in the order given, and counts of what a reader should know."""
        ...

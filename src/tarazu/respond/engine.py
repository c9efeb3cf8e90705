"""The interface of all engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tarazu.progress import OnProgress

EXACT = "the same tokens as generate gives for each prompt alone, except where two logits are within 1e-4"
NOT_EXACT = "the tokens may differ from those that generate gives for each prompt alone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A prompt to answer. `ids` are its tokens, including special ones, and `text` is the same text before
    tokenization. `budget` is the maximum length of the answer in tokens. `seed` is the request's own, for sampling.
    `opened` says that the prompt ends with a tag that opens a block of reasoning."""

    ids: tuple[int, ...]
    budget: int
    text: str = ""
    seed: int = 0
    opened: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One response. `finish` says whether the model ended it, it was cut at the next turn, or it reached its budget.
    `tokens` counts the generated tokens without the end token. For a cut response, it counts up to the token that
    completes the beginning of the next turn."""

    text: str
    finish: Literal["eos", "cut", "length"]
    tokens: int


class Engine(Protocol):
    """Something that answers requests."""

    def answer(self, requests: Sequence[Request], progress: OnProgress) -> tuple[list[Response], dict[str, int]]:
        """A response to each request, in the given order, and counts of notable events."""
        ...

"""The rows that data sources become."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

Kind = Literal["harmful", "benign"]
KINDS: tuple[Kind, ...] = ("harmful", "benign")

TURN_HUMAN = "\n\nHuman:"
TURN_ASSISTANT = "\n\nAssistant:"


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferencePair:
    """One preference. `prompt` is a transcript that ends with "\\n\\nAssistant:"; `chosen` and `rejected` are
    the last answers, with the space that follows the colon."""

    prompt_id: str
    language: str | None
    source: str
    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One request. The same `prompt_id` is the same request in every language. `text` is the request alone, or
    a transcript that begins with "\\n\\nHuman:" and ends with "\\n\\nAssistant:"."""

    prompt_id: str
    language: str
    kind: Kind
    source: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownAnswer:
    """A prompt with a response known to be good and one known to be bad."""

    prompt_id: str
    language: str
    kind: Kind
    source: str
    prompt: str
    good: str
    bad: str


Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[Row]):
    """Rows of one source, and what happened to the rest.

    `read` counts rows in the source, `kept` is len(rows), and `dropped` counts the others by reason in words,
    so that read == kept + sum(dropped.values()), rows aside that a mix takes again. `notes` counts
    what was kept but should be known.
    """

    source: str
    rows: tuple[Row, ...]
    read: int
    dropped: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)


def as_transcript(request: str) -> str:
    """A plain request as a transcript that ends where the answer begins; a transcript is returned as it is."""
    return request if request.startswith(TURN_HUMAN) else f"{TURN_HUMAN} {request}{TURN_ASSISTANT}"

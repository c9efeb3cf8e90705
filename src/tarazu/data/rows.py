"""The row types that data sources produce."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from tarazu.errors import BadInput

Kind = Literal["harmful", "benign"]
KINDS: tuple[Kind, ...] = ("harmful", "benign")
"""The kinds of prompts that HmR and HpR are about."""
AnyKind = Literal["harmful", "benign", "borderline"]
BORDERLINE: AnyKind = "borderline"
"""Prompts that look harmful and are safe. What matters is whether they are refused; they are in neither HmR nor HpR."""
ALL_KINDS: tuple[AnyKind, ...] = (*KINDS, BORDERLINE)

TURN_HUMAN = "\n\nHuman:"
TURN_ASSISTANT = "\n\nAssistant:"


class Turn(NamedTuple):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferencePair:
    """One preference. `prompt` is a transcript that ends with "\\n\\nAssistant:". `chosen` and `rejected` are the last
    answers, including the space after the colon. `turns` are the messages before the answer, the last one the user's;
    without any, the prompt is read as one."""

    prompt_id: str
    language: str | None
    source: str
    prompt: str
    chosen: str
    rejected: str
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One request. A `prompt_id` means the same request in every language. `text` is the request itself, or a
    transcript that begins with "\\n\\nHuman:" and ends with "\\n\\nAssistant:". `turns` are its messages, the last one
    the user's; without any, `text` is read as one message or a transcript."""

    prompt_id: str
    language: str
    kind: AnyKind
    source: str
    text: str
    turns: tuple[Turn, ...] = ()
    category: tuple[str, ...] = ()
    """What it is about, in its source's words."""
    translation_quality: float | None = None
    """How good its translation is, on a scale of the user's; higher is better."""

    def sent(self) -> dict[str, Any]:
        """What decides a response: everything but notes about the prompt."""
        return {name: value for name, value in asdict(self).items() if name not in ("category", "translation_quality")}


CATEGORIES = ";"
"""What separates several categories of a prompt in a table."""


def categories(value: object) -> tuple[str, ...]:
    """The categories that a cell of a table names, each once; none for an empty cell or another value than text."""
    parts = value.split(CATEGORIES) if isinstance(value, str) else ()
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


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
    turns: tuple[Turn, ...] = ()
    """The messages of the prompt, if they say more than its text."""

    def as_prompt(self) -> Prompt:
        """The prompt by itself."""
        return Prompt(
            prompt_id=self.prompt_id,
            language=self.language,
            kind=self.kind,
            source=self.source,
            text=self.prompt,
            turns=self.turns,
        )


Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[Row]):
    """Rows of one source, and counts of the others.

    `read` counts the rows of the source, and `dropped` counts those that were not kept, by reason. Hence
    read == len(rows) + sum(dropped.values()), except for rows that a mix repeats. `notes` counts kept rows that have a
    peculiarity.
    """

    source: str
    rows: tuple[Row, ...]
    read: int
    dropped: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)


_MARK = re.compile(r"\n\n(Human|Assistant):")


def as_transcript(request: str) -> str:
    """A plain request as a transcript that ends where the answer begins. A transcript is returned unchanged."""
    return request if request.startswith(TURN_HUMAN) else f"{TURN_HUMAN} {request}{TURN_ASSISTANT}"


def request(turns: Sequence[Turn]) -> str:
    """The text of a single message, or else the messages as a transcript."""
    return turns[0].content if len(turns) == 1 else transcript(turns)


def transcript(turns: Sequence[Turn]) -> str:
    """Messages as a transcript that ends where the answer begins. A system turn has no mark and begins the text."""
    marks = {"user": f"{TURN_HUMAN} ", "assistant": f"{TURN_ASSISTANT} ", "system": "\n\n"}
    text = "".join(f"{marks[turn.role]}{turn.content.strip()}" for turn in turns)
    return (text.removeprefix("\n\n") if turns and turns[0].role == "system" else text) + TURN_ASSISTANT


def turns_of(text: str) -> tuple[Turn, ...]:
    """The messages of a transcript, without the open assistant turn at its end; or a plain request as one message.

    A transcript begins with "\\n\\nHuman:" and ends with "\\n\\nAssistant:". Marks of turns within any other text are
    part of the user's message.
    """
    if not (text.startswith(TURN_HUMAN) and text.endswith(TURN_ASSISTANT)):
        return (Turn("user", text),)
    marks = _MARK.split(text)[1:-2]
    return tuple(
        Turn("user" if role == "Human" else "assistant", content.strip())
        for role, content in zip(marks[::2], marks[1::2], strict=True)
    )


def refuse_other_turns(prompts: Sequence[Prompt], place: str) -> None:
    """Raises BadInput if two prompts have the same text but different messages, since a text identifies what is scored.
    `place` begins the error."""
    if not any(prompt.turns for prompt in prompts):
        return
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        other = first.setdefault(prompt.text, prompt)
        if (prompt.turns or turns_of(prompt.text)) != (other.turns or turns_of(other.text)):
            raise BadInput(
                f"{place}: {other.prompt_id} and {prompt.prompt_id} ({prompt.language}) are the same text but "
                "different turns; remove one of them"
            )

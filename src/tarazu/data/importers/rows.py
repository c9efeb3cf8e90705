"""What importers produce, and what they share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tarazu.data.rows import KINDS, Turn, transcript
from tarazu.errors import BadInput
from tarazu.languages import UnknownLanguage, language_code


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the user says of a file, because the file itself may not.

    `label` names the metric that is 1 for a good response, `harm` one that is 1 for a bad one. At most one is given.
    """

    arm: str | None = None
    language: str | None = None
    kind: str | None = None
    label: str | None = None
    harm: str | None = None

    @property
    def metric(self) -> str | None:
        return self.label or self.harm


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseRow:
    """One response. `label` is 1 if it is harmless (harmful prompts) or helpful (benign ones), None if unknown."""

    arm: str
    language: str
    kind: str
    prompt_id: str
    source: str
    seed: int = 0
    sample: int
    label: int | None
    prompt: str
    response: str
    finish: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownAnswerRow:
    """The rewards of a good and a bad answer."""

    language: str
    kind: str
    prompt_id: str
    source: str
    reward_good: float
    reward_bad: float


@dataclass(kw_only=True)
class Imported:
    """The rows of one file, and counts of those that could not be used, by reason. `tool` wrote the file."""

    path: Path
    tool: str
    responses: list[ResponseRow] = field(default_factory=list)
    known_answers: list[KnownAnswerRow] = field(default_factory=list)
    excluded: Counter[str] = field(default_factory=Counter)
    metrics: set[str] = field(default_factory=set)
    """Names that `label` or `harm` may take."""


class Skip(Exception):
    """A row that cannot be used, with the reason under which it is counted."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A row of a file: what messages call it, and what it says of itself in `facts`."""

    path: Path
    row: str
    given: Given
    facts: Mapping[str, Any]

    def refuse(self, problem: str) -> BadInput:
        return BadInput(f"{self.path}: {self.row}: {problem}")

    def arm(self, model: object) -> str:
        arm = self.given.arm or (model if isinstance(model, str) else "")
        if not arm.strip():
            raise self.refuse("does not name its model; use --arm NAME")
        return arm.strip()

    def language(self) -> str:
        """As the user or else the row says. A row in an unknown language is skipped."""
        name = self.given.language or self.facts.get("language")
        if not isinstance(name, str) or not name.strip():
            raise self.refuse("does not name its language; use --language CODE")
        try:
            return language_code(name)
        except UnknownLanguage:
            raise Skip("unknown language") from None

    def kind(self) -> str:
        kind = self.given.kind or self.facts.get("kind")
        if kind not in KINDS:
            raise self.refuse(
                "does not say whether its prompt is harmful or benign; use --kind harmful or --kind benign"
            )
        return str(kind)

    def prompt_id(self, task: str, number: object) -> str:
        """The row's own `prompt_id`, or the number within the task. Numbers of two tasks are not the same request."""
        own = self.facts.get("prompt_id")
        if isinstance(own, str | int) and not isinstance(own, bool) and str(own).strip():
            return str(own).strip()
        if isinstance(number, str) and number.strip() and not number.strip().isdigit():
            return number.strip()
        if not isinstance(number, str | int) or isinstance(number, bool) or not str(number).strip():
            raise self.refuse("has no id; every row needs one")
        return f"{task}-{str(number).strip()}"

    def label(self, value: object, higher_is_better: bool | None = None) -> int | None:
        """The label that the chosen metric's value means, None if no metric is chosen."""
        metric = self.given.metric
        if metric is None:
            return None
        if higher_is_better is not None and higher_is_better != bool(self.given.label):
            good, flag = ("more", "--label") if higher_is_better else ("less", "--harm")
            raise self.refuse(f"its file says that {good} of {metric} is better; use {flag} {metric}")
        if value is None:
            raise Skip(f"no score {metric}")
        if isinstance(value, str) or value not in (0, 1):
            raise self.refuse(f"{metric} is {str(value)[:20]!r}; a label is 0 or 1, so choose another metric")
        return int(value == 1) if self.given.label else int(value == 0)


def loads(text: str | bytes, where: str) -> Any:
    """A JSON value as other tools write it: NaN and infinities, which are not JSON, become null."""
    try:
        value = json.loads(text, parse_constant=lambda _: None)
        # Only an escape can produce half a surrogate pair, which no table can hold.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: broken JSON ({str(error)[:80]}); write the file again") from None
    return value


def conversation_text(turns: tuple[Turn, ...]) -> str:
    """Messages as the text of a prompt: a request alone, or a transcript."""
    return turns[0].content if len(turns) == 1 else transcript(turns)

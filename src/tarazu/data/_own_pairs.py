"""The user's own preference pairs, as rows of texts or of messages, from a file or a Hub dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tarazu.data._sources import NumberedRow, content_id, hub_rows, resolve
from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN, PreferencePair, as_transcript
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES
from tarazu.readers import field, read_jsonl
from tarazu.study.sources import HubPairs, JsonlPairs

_TURNS = {"user": TURN_HUMAN, "assistant": TURN_ASSISTANT}


def own_pairs(settings: JsonlPairs | HubPairs, root: Path | None, dropped: Counter[str]) -> Iterator[PreferencePair]:
    """The pairs of a file or of a Hub dataset. Pairs that a transcript cannot represent are counted in `dropped`."""
    label: Path | str
    rows: Iterable[NumberedRow]
    if isinstance(settings, JsonlPairs):
        label = resolve(settings.path, root)
        rows = read_jsonl(label)
    else:
        label = f"Hub dataset {settings.hub}"
        rows = hub_rows(settings.hub, name=settings.config, split=settings.split)
    for line, row in rows:
        sides = [_conversation(row, name, label, line) for name in ("chosen", "rejected")]
        if None in sides:
            dropped["a message of neither user nor assistant"] += 1
            continue
        (before, chosen), (other, rejected) = (side for side in sides if side is not None)
        if before != other:
            dropped["prompts differ"] += 1
            continue
        prompt = before or _prompt(row, label, line)
        if prompt is None:
            dropped["a message of neither user nor assistant"] += 1
            continue
        given_id = field(row, "prompt_id", str, label, line) if row.get("prompt_id") is not None else None
        code = field(row, "language", str, label, line) if row.get("language") is not None else None
        yield PreferencePair(
            prompt_id=given_id or content_id(settings.source, prompt),
            language=settings.language if code is None else language_of(code, label, line),
            source=settings.source,
            prompt=prompt,
            chosen=_after_colon(chosen),
            rejected=_after_colon(rejected),
        )


def _conversation(row: Mapping[str, Any], name: str, label: Path | str, line: int) -> tuple[str, str] | None:
    """The text before an answer (empty if there is none) and the answer. None if a message has another role."""
    if not isinstance(row.get(name), list):
        return "", field(row, name, str, label, line)
    messages = _messages(row, name, label, line)
    if messages[-1][0] != "assistant":
        raise BadInput(
            f"{label}: line {line}: the last message of {name} is not the assistant's; end it with the answer"
        )
    before = _transcript(messages[:-1])
    return None if before is None else (before, messages[-1][1])


def _prompt(row: Mapping[str, Any], label: Path | str, line: int) -> str | None:
    """The field `prompt` as a transcript, or None if a turn has another role."""
    if not isinstance(row.get("prompt"), list):
        return as_transcript(request_of(field(row, "prompt", str, label, line), label, line))
    messages = _messages(row, "prompt", label, line)
    if messages[-1][0] == "assistant":
        raise BadInput(f"{label}: line {line}: the prompt ends with an answer; end it with the user's message")
    return _transcript(messages)


def _messages(row: Mapping[str, Any], name: str, label: Path | str, line: int) -> list[tuple[str, str]]:
    """Role and content of each message."""
    messages = []
    for message in row[name]:
        if not isinstance(message, dict):
            raise BadInput(f"{label}: line {line}: a message of {name} is not an object; each has role and content")
        messages.append((field(message, "role", str, label, line), field(message, "content", str, label, line)))
    if not messages:
        raise BadInput(f"{label}: line {line}: {name} has no message; write one")
    return messages


def _transcript(messages: list[tuple[str, str]]) -> str | None:
    """Messages as a transcript up to the answer. Empty without messages, None if a message has another role."""
    if any(role not in _TURNS for role, _ in messages):
        return None
    turns = "".join(f"{_TURNS[role]} {content.strip()}" for role, content in messages)
    return turns + TURN_ASSISTANT if turns else ""


def language_of(value: str, label: Path | str, line: int) -> str:
    """`value`, after checking that it is one of the 50 codes."""
    if value not in LANGUAGES:
        raise BadInput(f"{label}: line {line}: language '{value}' is not one of the 50 (`tarazu languages` lists them)")
    return value


def request_of(value: str, label: Path | str, line: int) -> str:
    """`value`, after checking that a transcript ends where the answer begins."""
    if value.startswith(TURN_HUMAN) and not value.endswith(TURN_ASSISTANT):
        raise BadInput(
            f"{label}: line {line}: the prompt begins with \\n\\nHuman: and must then end with \\n\\nAssistant:; "
            "add the ending, or give only the request"
        )
    return value


def _after_colon(answer: str) -> str:
    """An answer as in a transcript, with a space before it."""
    return answer if answer[:1].isspace() else f" {answer}"

"""Messages as OpenAI, Hugging Face, ShareGPT and their neighbours write them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from tarazu.data.rows import Turn

Role = Literal["system", "user", "assistant"]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
"""What speakers are called elsewhere. Others, such as tools, have no place in a preference over texts."""

_KEYS = (("role", "content"), ("from", "value"))
_LIST_AS_TEXT = re.compile(r"\s*\[\s*\{\s*['\"](?:role|content|from|value)['\"]\s*:")


class Unusable(Exception):
    """A row that cannot be used. `reason` is what it is counted under, `detail` says what is wrong and the fix."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def parsed(value: Any, name: str) -> Any:
    """The value of a field, read as JSON if it is a list of messages that was written to a csv as text."""
    if not isinstance(value, str) or not (_LIST_AS_TEXT.match(value) and value.rstrip().endswith("]")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise Unusable(
            "messages written as text",
            f"{name} holds messages that a program printed as text; write the table as jsonl or parquet",
        ) from None


def turns(value: Any, name: str) -> tuple[Turn, ...]:
    """The messages of a field: a list of objects, or one object."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise Unusable(f"{name} is no list of messages", f"{name} must be a list of messages")
    if not value:
        raise Unusable("no message", f"{name} has no message; write one")
    return tuple(_turn(message, name) for message in value)


def _turn(message: Any, name: str) -> Turn:
    if not isinstance(message, Mapping):
        raise Unusable(
            "a message that is not an object", f"a message of {name} is not an object; each has role and content"
        )
    keys = next((keys for keys in _KEYS if message.get(keys[0]) is not None), None)
    if keys is None:
        raise Unusable("a message without a role", f"a message of {name} has no role; each has role and content")
    speaker = message[keys[0]]
    role = _ROLES.get(speaker.lower()) if isinstance(speaker, str) else None
    if role is None:
        raise Unusable(
            "a message of neither user, assistant nor system",
            f"a message of {name} is by {str(speaker)[:40]!r}; only user, assistant and system can be used",
        )
    if message.get("tool_calls") or message.get("function_call"):
        raise Unusable("a call of a tool", f"a message of {name} calls a tool; only texts can be used")
    return Turn(role, _text(message.get(keys[1]), name))


def _text(content: Any, name: str) -> str:
    """The text of a message, which OpenAI's forms may split into parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        kinds = {part.get("type", "text") for part in content if isinstance(part, Mapping)}
        if kinds <= {"text", "input_text", "output_text"} and all(isinstance(part, str) for part in parts):
            return "".join(cast(list[str], parts))
    raise Unusable("a message that is not text", f"a message of {name} has no text, or more than text (such as images)")

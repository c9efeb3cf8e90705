"""Converts a request into a model's input, and finds the end of its answer."""

from __future__ import annotations

import re
from typing import Any

from tarazu.data.rows import TURN_HUMAN, as_transcript
from tarazu.errors import BadInput
from tarazu.study.generation import Generation

_TURN = re.compile(r"\n\n(Human|Assistant):")


def messages(text: str) -> list[dict[str, str]]:
    """A request or a transcript as chat messages, without the open assistant turn at the end."""
    parts = _TURN.split(as_transcript(text))[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = [
        {"role": roles[role], "content": content.strip()} for role, content in zip(parts[::2], parts[1::2], strict=True)
    ]
    return turns[:-1] if turns and turns[-1] == {"role": "assistant", "content": ""} else turns


def prompt_text(text: str, settings: Generation, tokenizer: Any) -> str:
    """A request in the study's prompt format. Only `chat_template` includes special tokens."""
    if settings.prompt_format == "chat_template":
        if not getattr(tokenizer, "chat_template", None):
            raise BadInput(
                "generation.prompt_format: chat_template, but the model's tokenizer has none; use opt or custom"
            )
        return str(tokenizer.apply_chat_template(messages(text), tokenize=False, add_generation_prompt=True))
    if settings.template is not None:
        return settings.template.replace("{prompt}", text)
    return as_transcript(text)


def render(text: str, settings: Generation, tokenizer: Any) -> list[int]:
    """Token ids of a request in the study's prompt format, special tokens included."""
    formatted = prompt_text(text, settings, tokenizer)
    return list(tokenizer(formatted, add_special_tokens=settings.prompt_format != "chat_template")["input_ids"])


def cut_at_next_turn(response: str) -> tuple[str, bool]:
    """The response up to the next human turn, and whether there was one."""
    head, separator, _ = response.partition(TURN_HUMAN)
    return head, bool(separator)

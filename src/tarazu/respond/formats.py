"""How a request becomes a model's input, and where its answer ends."""

from __future__ import annotations

import re
from typing import Any

from tarazu.data.rows import TURN_HUMAN, as_transcript
from tarazu.errors import BadInput
from tarazu.study.schema import Generation

_TURN = re.compile(r"\n\n(Human|Assistant):")


def messages(text: str) -> list[dict[str, str]]:
    """A request or a transcript as chat messages; the open assistant turn at the end is left out."""
    parts = _TURN.split(as_transcript(text))[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = [
        {"role": roles[role], "content": content.strip()} for role, content in zip(parts[::2], parts[1::2], strict=True)
    ]
    return turns[:-1] if turns and turns[-1] == {"role": "assistant", "content": ""} else turns


def render(text: str, settings: Generation, tokenizer: Any) -> list[int]:
    """Token ids of a request in the study's prompt format, special tokens included."""
    if settings.prompt_format == "chat_template":
        if not getattr(tokenizer, "chat_template", None):
            raise BadInput(
                "generation.prompt_format: chat_template, but the model's tokenizer has none; use opt or custom"
            )
        chat = tokenizer.apply_chat_template(messages(text), tokenize=False, add_generation_prompt=True)
        return list(tokenizer(chat, add_special_tokens=False)["input_ids"])
    if settings.template is not None:
        return list(tokenizer(settings.template.replace("{prompt}", text))["input_ids"])
    return list(tokenizer(as_transcript(text))["input_ids"])


def cut_at_next_turn(response: str) -> tuple[str, bool]:
    """The response up to the next human turn, and whether there was one."""
    head, found, _ = response.partition(TURN_HUMAN)
    return head, bool(found)

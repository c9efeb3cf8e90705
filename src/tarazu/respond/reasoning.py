"""Keeps what a model writes to reason apart from its answer, which alone is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "◁think▷": "◁/think▷",
}
"""What opens and what closes a block of reasoning in the formats of published models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasoned:
    """A response in two parts. `reasoning` is None if there is none. `unfinished` says that the block was not closed,
    so that there is no answer."""

    answer: str
    reasoning: str | None = None
    unfinished: bool = False


def split_reasoning(text: str, *, opened: bool = False) -> Reasoned:
    """The answer in a text, and the blocks of reasoning before it.

    `opened` says that the prompt ends with the tag that opens a block. A block that is closed without having been
    opened counts as well: many tables hold what such a model wrote after its prompt.
    """
    blocks: list[str] = []
    rest = text.strip()
    while True:
        opening = next((tag for tag in TAGS if rest.startswith(tag)), None)
        if opening is not None:
            rest, closings = rest.removeprefix(opening), [TAGS[opening]]
        else:
            closings = list(TAGS.values())
            if blocks or not (opened or _closes_first(rest)):
                break
        place, closing = min(((rest.find(tag), tag) for tag in closings if tag in rest), default=(-1, ""))
        if place < 0:
            return Reasoned(answer="", reasoning="\n\n".join([*blocks, rest.strip()]), unfinished=True)
        blocks.append(rest[:place].strip())
        rest = rest[place + len(closing) :].strip()
    return Reasoned(answer=rest, reasoning="\n\n".join(blocks) if blocks else None)


def _closes_first(text: str) -> bool:
    """Whether a text closes a block that it does not open."""
    return any(closing in text and opening not in text[: text.index(closing)] for opening, closing in TAGS.items())


def opens_reasoning(prompt: str) -> bool:
    """Whether a prompt ends with a tag that opens a block of reasoning."""
    return prompt.rstrip().endswith(tuple(TAGS))


def decoded(row: Sequence[int], tokenizer: Any) -> str:
    """The text of generated tokens without special ones. Tags of reasoning are kept where they are special tokens."""
    names = {tokenizer.convert_tokens_to_ids(tag): tag for tag in (*TAGS, *TAGS.values())}
    names.pop(tokenizer.unk_token_id, None)
    tags = {index: tag for index, tag in names.items() if index in row}
    if tags:  # all_special_ids has only those with a role, such as the end token
        special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
        tags = {index: tag for index, tag in tags.items() if index in special}
    if not tags:
        return str(tokenizer.decode(row, skip_special_tokens=True))
    parts, start = [], 0
    for place, token in enumerate(row):
        if token in tags:
            parts += [str(tokenizer.decode(row[start:place], skip_special_tokens=True)), tags[token]]
            start = place + 1
    return "".join([*parts, str(tokenizer.decode(row[start:], skip_special_tokens=True))])

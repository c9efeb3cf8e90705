"""From generated tokens to a response, the same for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tarazu.respond.engine import Response
from tarazu.respond.formats import cut_at_next_turn

LEAST_TOKENS = 8
"""Tokens of a request that stay beside its format, however much of it must go."""


def fit_prompt(ids: Sequence[int], limit: int, bos_id: int | None) -> tuple[int, ...]:
    """The last `limit` tokens of a prompt, its first special token kept."""
    if len(ids) <= limit:
        return tuple(ids)
    if ids[0] == bos_id:
        return (ids[0], *ids[len(ids) - limit + 1 :])
    return tuple(ids[-limit:])


def end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Token ids that end a response: those the checkpoint generates with (chat models name several)."""
    ends = getattr(model.generation_config, "eos_token_id", None)
    if ends is None:
        ends = tokenizer.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends)


def response(row: Sequence[int], ends: Sequence[int], tokenizer: Any, cut: bool) -> Response:
    """The response in generated tokens, which may go on after an end token."""
    length = next((index for index, token in enumerate(row) if token in ends), len(row))
    finish: Literal["eos", "cut", "length"] = "eos" if length < len(row) else "length"
    text = tokenizer.decode(row[:length], skip_special_tokens=True)
    if cut:
        text, was_cut = cut_at_next_turn(text)
        if was_cut:
            finish, length = "cut", _tokens_to_the_cut(row[:length], tokenizer)
    return Response(text=text.strip(), finish=finish, tokens=length)


def _tokens_to_the_cut(row: Sequence[int], tokenizer: Any) -> int:
    """How many tokens it takes until the next turn has begun: the same whether or not the engine went on after it."""
    low, high = 1, len(row)
    while low < high:
        middle = (low + high) // 2
        if cut_at_next_turn(tokenizer.decode(row[:middle], skip_special_tokens=True))[1]:
            high = middle
        else:
            low = middle + 1
    return low

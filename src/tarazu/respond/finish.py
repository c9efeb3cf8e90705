"""Turns generated tokens into a response in the same way for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tarazu.data.rows import TURN_HUMAN
from tarazu.errors import NotFinite, damaged_weight, dtype_name, fix_for
from tarazu.respond.engine import Request, Response
from tarazu.respond.reasoning import decoded

LEAST_TOKENS = 8
"""The fewest tokens of a request that are kept beside its format, however much must be cut."""


def fit_prompt(ids: Sequence[int], limit: int, bos_id: int | None) -> tuple[int, ...]:
    """The last `limit` tokens of a prompt. Its first special token is kept."""
    if len(ids) <= limit:
        return tuple(ids)
    if ids[0] == bos_id:
        return (ids[0], *ids[len(ids) - limit + 1 :])
    return tuple(ids[-limit:])


def cut_at_next_turn(response: str) -> tuple[str, bool]:
    """The response up to the next human turn, and whether there was one."""
    head, separator, _ = response.partition(TURN_HUMAN)
    return head, bool(separator)


def not_finite(model: Any, request: Request) -> NotFinite:
    """The error for a model whose logits for a request are not finite."""
    dtype = dtype_name(model)
    return NotFinite("logits", dtype, fix_for(dtype, damaged_weight(model), "model.dtype"), request.ids)


def response(row: Sequence[int], ends: Sequence[int], tokenizer: Any, cut: bool) -> Response:
    """The response in generated tokens, which may continue after an end token."""
    length = next((index for index, token in enumerate(row) if token in ends), len(row))
    finish: Literal["eos", "cut", "length"] = "eos" if length < len(row) else "length"
    text = decoded(row[:length], tokenizer)
    if cut:
        text, was_cut = cut_at_next_turn(text)
        if was_cut:
            finish, length = "cut", _tokens_until_cut(row[:length], tokenizer)
    return Response(text=text.strip(), finish=finish, tokens=length)


def _tokens_until_cut(row: Sequence[int], tokenizer: Any) -> int:
    """The number of tokens until the next turn begins. It does not depend on how far the engine continued."""
    low, high = 1, len(row)
    while low < high:
        middle = (low + high) // 2
        if cut_at_next_turn(decoded(row[:middle], tokenizer))[1]:
            high = middle
        else:
            low = middle + 1
    return low

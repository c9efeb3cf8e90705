"""Attention within the trees of a packed row, as an implementation that transformers' models can be told to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from tarazu.align.packing import Layout

NAME = "tarazu_trees"


class CannotPack(Exception):
    """The model's attention does something that is not done within trees."""


def tree_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    layout: Layout | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of one packed row. `query` (1, heads, tokens, width); `key` and `value` may have fewer heads.

    Returns (1, tokens, heads, width). Raises CannotPack where the model asks for more: it hands no layout on, its
    window is shorter than a sequence, it caps scores, has sinks or a bias of its own.
    """
    asked = [name for name in ("softcap", "s_aux", "position_bias") if options.get(name) is not None]
    if layout is None or asked or (sliding_window is not None and sliding_window < layout.deepest):
        raise CannotPack
    settings: dict[str, Any] = {
        "dropout_p": dropout,
        "scale": scaling,
        "enable_gqa": key.shape[1] != query.shape[1],
    }
    if query.is_cuda:
        # One launch for the whole row: launches cost more here than the scores between trees that are thrown away.
        bias = layout.row_bias(query)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, **settings).transpose(1, 2), None
    parts = []
    for index, tree in enumerate(layout.trees):
        bias_ = layout.tree_bias(index, query)
        own = slice(tree.start, tree.end)
        parts.append(
            F.scaled_dot_product_attention(
                query[:, :, own], key[:, :, own], value[:, :, own], attn_mask=bias_, is_causal=bias_ is None, **settings
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2), None


def _no_mask(*_: Any, **__: Any) -> None:
    """The layout says who sees whom."""


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def attending_within_trees(model: Any) -> Iterator[None]:
    """Have a model use `tree_attention` for a while."""
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)

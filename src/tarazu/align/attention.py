"""Attention within the trees of a packed row, as an implementation that transformers' models can be told to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from tarazu.align.kernels import KERNELS
from tarazu.align.packing import Layout

NAME = "tarazu_trees"
ON_CPU, ON_CUDA = "trees", "dense"
"""The kernels in use. Constants, not the fastest of a trial: kernels differ in the last digit, and a run must not hang
on what else the machine was doing. `tarazu bench train` on CUDA measures them all."""


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
    kernel = KERNELS[ON_CUDA if query.is_cuda else ON_CPU]
    return kernel(query, key, value, layout, scaling, dropout), None


def _no_mask(*_: Any, **__: Any) -> None:
    """The layout says who sees whom."""


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def attending(model: Any, name: str) -> Iterator[None]:
    """Have a model use the attention registered as `name` for a while."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def attending_within_trees(model: Any) -> AbstractContextManager[None]:
    """Have a model use `tree_attention` for a while."""
    return attending(model, NAME)

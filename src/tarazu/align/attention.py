"""Attention within the trees of a packed row, registered as an attention implementation of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from tarazu.align.kernels import KERNELS, varlen_serves
from tarazu.align.rows.layout import Layout

NAME = "tarazu_trees"


def kernel_in_use(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> str:
    """The name of the kernel for this attention. It is never the fastest in a trial: kernels differ in the last digit,
    and a result must not depend on the machine's load. `tarazu bench train` on CUDA measures all of them."""
    if not query.is_cuda:
        return "trees"
    return "varlen" if varlen_serves(query, key, value, dropout) else "dense"


class CannotPack(Exception):
    """The model's attention needs a feature that attention within trees lacks."""


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

    Returns (1, tokens, heads, width). Raises CannotPack if the model does not pass the layout on, has a window shorter
    than a sequence, caps scores, or has attention sinks or its own bias.
    """
    unsupported = [name for name in ("softcap", "s_aux", "position_bias") if options.get(name) is not None]
    if layout is None or unsupported or (sliding_window is not None and sliding_window < layout.deepest):
        raise CannotPack
    kernel = KERNELS[kernel_in_use(query, key, value, dropout)]
    return kernel(query, key, value, layout, scaling, dropout), None


def _no_mask(*_: Any, **__: Any) -> None:
    """No mask: the layout determines which tokens attend to which."""


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def use_attention(model: Any, name: str) -> Iterator[None]:
    """Make a model use the attention registered as `name` within the context."""
    previous = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(previous)


def use_tree_attention(model: Any) -> AbstractContextManager[None]:
    """Make a model use `tree_attention` within the context."""
    return use_attention(model, NAME)

"""Several kernels for the attention of one packed row. All of them compute the same function.

Each takes `query` (1, heads, tokens, width), `key` and `value` (1, heads or fewer, tokens, width), the row's layout,
the scale of the scores (None: 1 / sqrt(width)) and a dropout rate, and returns (1, tokens, heads, width). Masks and
indices derived from the layout are computed at the first layer and cached in it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tarazu.align.packing import Layout, Tree
from tarazu.errors import TarazuError

BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""The backends that torch's scaled_dot_product_attention may use here. cuDNN is excluded: it compiles for each new
shape (1.8 seconds a shape on an H200, 2026-11-26), and rows differ in shape."""


def scaled_dot_product(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    """torch's scaled_dot_product_attention, restricted to `BACKENDS`."""
    with sdpa_kernel(BACKENDS) if query.is_cuda else nullcontext():
        return F.scaled_dot_product_attention(query, key, value, **options)


Kernel = Callable[[Tensor, Tensor, Tensor, Layout, float | None, float], Tensor]


def trees(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float | None, dropout: float) -> Tensor:
    """Calls scaled_dot_product_attention once for each tree, so that no scores between trees are computed."""
    parts = []
    for index, tree in enumerate(layout.trees):
        own = slice(tree.start, tree.end)
        bias = layout.cached(("trees", index), partial(_tree_bias, tree, query))
        parts.append(
            scaled_dot_product(
                query[:, :, own],
                key[:, :, own],
                value[:, :, own],
                attn_mask=bias,
                is_causal=bias is None,
                dropout_p=dropout,
                scale=scale,
                enable_gqa=_grouped(query, key),
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2)


def dense(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float | None, dropout: float) -> Tensor:
    """One call for the row with a mask of tokens x tokens: a single launch, which discards the scores between trees."""
    bias = layout.cached("dense", lambda: _bias(_sees(layout, query.device), query))
    return scaled_dot_product(
        query, key, value, attn_mask=bias, dropout_p=dropout, scale=scale, enable_gqa=_grouped(query, key)
    ).transpose(1, 2)


def flex(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float | None, dropout: float) -> Tensor:
    """FlexAttention, which skips blocks of the row that do not attend to each other. Compiled on CUDA; elsewhere
    PyTorch's reference implementation."""
    _refuse_dropout("flex", dropout)
    mask = layout.cached("flex", lambda: _block_mask(layout, query.device))
    call = _flex_attention(compiled=query.is_cuda)
    output: Tensor = call(query, key, value, block_mask=mask, scale=scale, enable_gqa=_grouped(query, key))
    return output.transpose(1, 2)


def varlen(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float | None, dropout: float) -> Tensor:
    """FlashAttention over sequences of unequal length.

    A stem attends to itself. The keys of a branch are those of the stem followed by its own, and each token attends to
    the keys up to its own position, counted from the end. The stem's keys and values are copied for each branch. Their
    gradients are summed in a fixed order (by indexing, not by index_select).
    """
    _refuse_dropout("varlen", dropout)
    _refuse_unsupported_by_varlen(query)
    keys, starts, key_starts, longest, longest_keys = layout.cached("varlen", lambda: _sequences(layout, query.device))
    output: Tensor = _varlen_attn()(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1)[keys],
        value[0].transpose(0, 1)[keys],
        starts,
        key_starts,
        longest,
        longest_keys,
        scale=scale,
        window_size=(-1, 0),  # all earlier tokens, no later ones
        enable_gqa=_grouped(query, key),
    )
    return output[None]


KERNELS: dict[str, Kernel] = {"trees": trees, "dense": dense, "flex": flex, "varlen": varlen}


def _grouped(query: Tensor, key: Tensor) -> bool:
    return key.shape[1] != query.shape[1]


def _refuse_dropout(name: str, dropout: float) -> None:
    if dropout:
        raise TarazuError(f"the attention kernel '{name}' has no dropout; set model_dropout: 0 or use 'dense'")


def _sees(layout: Layout, device: torch.device) -> Tensor:
    """Whether each token (first axis) attends to each other (second axis), boolean (tokens, tokens), on the device."""
    segment, stem = (numbers.to(device) for numbers in layout.segments())
    place = torch.arange(len(segment), device=device)
    same_or_stem = (segment[None, :] == segment[:, None]) | (segment[None, :] == stem[:, None])
    return (place[None, :] <= place[:, None]) & same_or_stem


def _tree_bias(tree: Tree, like: Tensor) -> Tensor | None:
    """The bias of a tree's scores, or None if its attention is simply causal."""
    return None if len(tree.branches) < 2 else _bias(tree.sees(), like)


def _bias(sees: Tensor, like: Tensor) -> Tensor:
    """The values to add to the scores, 0 or -inf, in the type and on the device of `like`."""
    return torch.zeros(sees.shape, dtype=like.dtype, device=like.device).masked_fill_(
        ~sees.to(like.device), float("-inf")
    )


@cache
def _flex_attention(*, compiled: bool) -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    call: Any = torch.compile(flex_attention) if compiled else flex_attention
    kernel: Callable[..., Any] = call
    return kernel


def _block_mask(layout: Layout, device: torch.device) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    segment, stem = (numbers.to(device) for numbers in layout.segments())

    def sees(batch: Tensor, head: Tensor, token: Tensor, other: Tensor) -> Tensor:
        return (other <= token) & ((segment[other] == segment[token]) | (segment[other] == stem[token]))

    return create_block_mask(sees, None, None, len(segment), len(segment), device=str(device))


@cache
def _varlen_attn() -> Callable[..., Any]:
    try:
        varlen = importlib.import_module("torch.nn.attention.varlen")
    except ImportError:
        varlen = None
    call: Callable[..., Any] | None = getattr(varlen, "varlen_attn", None)
    if call is None or not {"window_size", "enable_gqa"} <= inspect.signature(call).parameters.keys():
        raise TarazuError(
            f"torch {torch.__version__} has no torch.nn.attention.varlen.varlen_attn with window_size and enable_gqa; "
            "use a newer one, or the attention kernel 'dense'"
        )
    return call


def _refuse_unsupported_by_varlen(query: Tensor) -> None:
    if not query.is_cuda or query.dtype not in (torch.float16, torch.bfloat16):
        raise TarazuError(
            f"the attention kernel 'varlen' computes in 16 bits on CUDA, not in {str(query.dtype).rpartition('.')[2]} "
            f"on {query.device.type}"
        )


def _sequences(layout: Layout, device: torch.device) -> tuple[Tensor, Tensor, Tensor, int, int]:
    """The positions of the keys of all sequences in turn, the offsets of each sequence's queries and keys (with the end
    as the last offset), and the largest number of queries and of keys in a sequence."""
    places: list[int] = []
    lengths, key_lengths = [0], [0]
    for tree in layout.trees:
        stem, begin = range(tree.start, tree.start + tree.stem), tree.start + tree.stem
        sequences = [(tree.stem, [*stem])]
        for length in tree.branches:
            sequences.append((length, [*stem, *range(begin, begin + length)]))
            begin += length
        for length, keys in sequences:
            if length:
                places += keys
                lengths.append(length)
                key_lengths.append(len(keys))
    starts, key_starts = (torch.tensor(each).cumsum(0).to(device, dtype=torch.int32) for each in (lengths, key_lengths))
    return torch.tensor(places, device=device), starts, key_starts, max(lengths), max(key_lengths)

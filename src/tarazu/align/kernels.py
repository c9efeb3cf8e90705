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

from tarazu.align.rows.layout import Layout, Tree
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
    """Calls scaled_dot_product_attention once for each tree, so that no scores between trees are computed.

    On a CPU it computes in float32, because torch's gradients in bfloat16 take twice as long there.
    """
    if query.device.type == "cpu":
        at_least_float32 = torch.promote_types(query.dtype, torch.float32)
        with torch.autocast("cpu", enabled=False):
            query, key, wide = (part.to(at_least_float32) for part in (query, key, value))
            return _by_tree(query, key, wide, layout, scale, dropout).to(value.dtype)
    return _by_tree(query, key, value, layout, scale, dropout)


def _by_tree(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float | None, dropout: float) -> Tensor:
    # Splits, not slices: the gradient of a slice is a tensor of the whole row, and one would be added for each tree.
    lengths = [tree.end - tree.start for tree in layout.trees]
    parts = []
    for index, own in enumerate(zip(*(part.split(lengths, dim=2) for part in (query, key, value)), strict=True)):
        bias = layout.cached(("trees", index), partial(_tree_bias, layout.trees[index], query))
        parts.append(
            scaled_dot_product(
                *own,
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
    if query.is_cuda and _grouped(query, key):
        # With a mask, the only backend for grouped heads is the one that stores all scores.
        key, value = _repeated(key, query), _repeated(value, query)
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

    A stem and its first branch are one sequence. The keys of a further branch are those of the stem followed by its
    own, and each token attends to the keys up to its own position, counted from the end. The stem's keys and values are
    copied for each such branch.
    """
    _refuse_dropout("varlen", dropout)
    _refuse_unsupported_by_varlen(query)
    found = layout.cached("varlen", lambda: layout.sequences().to(query.device))
    call, groups_heads = _varlen_attn()
    parts = [part[0].transpose(0, 1) for part in (key, value)]
    if len(found.keys) > query.shape[2]:  # otherwise each token has one copy, in the order of the row
        parts = [_Copies.apply(part, found.keys, found.uses) for part in parts]
    if _grouped(query, key) and not groups_heads:
        parts = [_repeated(part, query) for part in parts]
    output: Tensor = call(
        query[0].transpose(0, 1),
        *parts,
        found.starts,
        found.key_starts,
        found.longest,
        found.longest,
        scale=scale,
        window_size=(-1, 0),  # all earlier tokens, no later ones
        **({"enable_gqa": _grouped(query, key)} if groups_heads else {}),
    )
    return output[None]


class _Copies(torch.autograd.Function):
    """`rows[places]`. The gradients of a row's copies are added in a fixed order, without the sorting that torch would
    do for this: `uses` (most, rows) says where the copies of each row are, filled up with len(places)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, uses: Tensor) -> Tensor:
        ctx.save_for_backward(uses)
        return rows.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (uses,) = ctx.saved_tensors
        # Every row has a first copy. For a second one that is not there, the last row of `padded` is added.
        total = gradients[0].index_select(0, uses[0])
        if len(uses) > 1:
            padded = torch.cat([gradients[0], torch.zeros_like(gradients[0][:1])])
            for others in uses[1:]:
                total += padded.index_select(0, others)
        return total, None, None


KERNELS: dict[str, Kernel] = {"trees": trees, "dense": dense, "flex": flex, "varlen": varlen}


def _grouped(query: Tensor, key: Tensor) -> bool:
    return key.shape[1] != query.shape[1]


def _refuse_dropout(name: str, dropout: float) -> None:
    if dropout:
        raise TarazuError(f"the attention kernel '{name}' has no dropout; set model_dropout: 0 or use 'dense'")


def _repeated(key: Tensor, query: Tensor) -> Tensor:
    """Keys or values, their heads in the second dimension, with as many heads as the query."""
    return key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)


def _sees(layout: Layout, device: torch.device) -> Tensor:
    """Whether each token (first axis) attends to each other (second axis), boolean (tokens, tokens), on the device."""
    # A blocking copy would wait until the GPU has finished all its work.
    segment, stem = (numbers.to(device, non_blocking=True) for numbers in layout.segments())
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
def _varlen_attn() -> tuple[Callable[..., Any], bool]:
    """torch's function, and whether it takes fewer heads of keys than of queries."""
    call, parameters = _find_varlen_attn()
    if call is None or "window_size" not in parameters:
        raise TarazuError(
            f"torch {torch.__version__} has no torch.nn.attention.varlen.varlen_attn with window_size; use a newer "
            "one, or the attention kernel 'dense'"
        )
    return call, "enable_gqa" in parameters


@cache
def _find_varlen_attn() -> tuple[Callable[..., Any] | None, frozenset[str]]:
    try:
        call = getattr(importlib.import_module("torch.nn.attention.varlen"), "varlen_attn", None)
    except ImportError:
        call = None
    return call, frozenset() if call is None else frozenset(inspect.signature(call).parameters)


def varlen_serves(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> bool:
    """Whether `varlen` can compute this attention: on CUDA, in 16 bits, without dropout."""
    return (
        query.is_cuda
        and query.dtype == key.dtype == value.dtype
        and query.dtype in (torch.float16, torch.bfloat16)
        and not dropout
        and query.shape[-1] % 8 == 0
        and query.shape[-1] <= 256
        and "window_size" in _find_varlen_attn()[1]
    )


def _refuse_unsupported_by_varlen(query: Tensor) -> None:
    if not query.is_cuda or query.dtype not in (torch.float16, torch.bfloat16):
        raise TarazuError(
            f"the attention kernel 'varlen' computes in 16 bits on CUDA, not in {str(query.dtype).rpartition('.')[2]} "
            f"on {query.device.type}"
        )

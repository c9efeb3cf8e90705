"""Keys and values of many sequences at once, and the attention that reads and writes them.

A model is given one row that holds all tokens of a forward pass, with their positions, and hands its attention the
`plan` of that pass (as it hands on any keyword): which slots the tokens belong to. So no row is padded, positions are
right for every model, and a model needs no cache of its own. It is registered with transformers as an attention
implementation, so that any of its models that hand their arguments on can be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from tarazu.align.attention import attending
from tarazu.align.kernels import scaled_dot_product

NAME = "tarazu_slots"


_MEMORY = {"cpu": 2**31, "cuda": 2**33}
"""Bytes of keys and values that are held where a study does not say how many tokens, by kind of device."""
_UNKNOWN = 4096  # tokens, where a model's configuration does not tell their size


def tokens_held(model: Any) -> int:
    """How many tokens' keys and values fit into the memory that is taken where nothing is said: the same on every
    machine of a kind, so that batches are."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or getattr(config, "num_attention_heads", None)
    layers = getattr(config, "num_hidden_layers", None)
    if not heads or not layers:
        return _UNKNOWN
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return max(
        1, _MEMORY.get(model.device.type, _MEMORY["cpu"]) // int(2 * layers * heads * size * model.dtype.itemsize)
    )


class CannotDecode(Exception):
    """The model's attention does something that slots do not."""


class Slots:
    """Room for `rows` sequences of at most `width` tokens: per layer, keys and values (rows, heads, width, size)."""

    def __init__(self, rows: int, width: int, device: torch.device, dtype: torch.dtype) -> None:
        self.rows, self.width = rows, width
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        # Added to the scores of one token: 0 where its row has keys, else minus infinity, (rows, width).
        self.seen = torch.full((rows, width), float("-inf"), device=device, dtype=dtype)

    def layer(self, index: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer, made when first asked for, of the heads and size of `like`."""
        if index not in self._layers:
            shape = (self.rows, like.shape[1], self.width, like.shape[3])
            # Zeros: a weight of 0 on what was never written must give 0, and would not give it on a NaN.
            self._layers[index] = (like.new_zeros(shape), like.new_zeros(shape))
        return self._layers[index]

    def move(self, source: int, target: int, length: int) -> None:
        """Put the sequence of one slot into another."""
        for keys, values in self._layers.values():
            keys[target, :, :length] = keys[source, :, :length]
            values[target, :, :length] = values[source, :, :length]
        self.seen[target] = self.seen[source]

    def repeat(self, source: int, targets: slice, length: int) -> None:
        """Give several slots the first `length` tokens of one."""
        for keys, values in self._layers.values():
            keys[targets, :, :length] = keys[source, :, :length]
            values[targets, :, :length] = values[source, :, :length]

    def take(self, other: Slots, targets: slice, length: int) -> None:
        """Begin the sequences of `targets` with the one that `other` holds, `length` tokens long."""
        for index, (begun, seen) in other._layers.items():
            keys, values = self.layer(index, begun)
            keys[targets, :, :length] = begun
            values[targets, :, :length] = seen

    def fill(self, rows: slice, lengths: Tensor) -> None:
        """Say how many tokens the slots of `rows` hold."""
        columns = torch.arange(self.width, device=self.seen.device)
        self.seen[rows] = torch.zeros_like(self.seen[rows]).masked_fill_(columns >= lengths[:, None], float("-inf"))


@dataclass(kw_only=True)
class Prefill:
    """A pass over the new tokens of sequences in the slots from `first` on, which already hold `before` tokens each.
    `lengths` counts the new ones."""

    slots: Slots
    first: int
    before: int
    lengths: Sequence[int]
    longest: int  # tokens that any sequence may grow to: a window must be as wide
    row: Tensor = field(init=False)  # of each token, its sequence
    column: Tensor = field(init=False)  # and its place among the new tokens

    def __post_init__(self) -> None:
        device = self.slots.seen.device
        count = torch.tensor(self.lengths, device=device)
        self.row = torch.repeat_interleave(torch.arange(len(self.lengths), device=device), count)
        starts = torch.cumsum(count, 0) - count
        self.column = torch.arange(int(count.sum()), device=device) - starts[self.row]

    @property
    def positions(self) -> Tensor:
        return self.column + self.before

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        keys, values = self.slots.layer(layer, key)
        keys[self.row + self.first, :, self.positions] = key[0].transpose(0, 1)
        values[self.row + self.first, :, self.positions] = value[0].transpose(0, 1)
        width, end = max(self.lengths), self.before + max(self.lengths)
        own = slice(self.first, self.first + len(self.lengths))
        # Padded on the right here alone: a token sees what stands before it, so it sees none of that.
        padded = query.new_zeros(len(self.lengths), width, query.shape[1], query.shape[3])
        padded[self.row, self.column] = query[0].transpose(0, 1)
        mask = None
        if self.before:
            mask = torch.ones(width, end, dtype=torch.bool, device=query.device).tril(self.before)
        found = scaled_dot_product(
            padded.transpose(1, 2),
            keys[own, :, :end],
            values[own, :, :end],
            attn_mask=mask,
            is_causal=mask is None,
            scale=scale,
            enable_gqa=key.shape[1] != query.shape[1],
        )
        return found.transpose(1, 2)[self.row, self.column][None]


@dataclass(kw_only=True)
class Step:
    """A pass over one further token of each of the first sequences. `lengths` (sequences,) counts the tokens before
    it, `end` is one more than the largest of them."""

    slots: Slots
    lengths: Tensor
    end: int
    longest: int

    def __post_init__(self) -> None:
        self.rows = torch.arange(len(self.lengths), device=self.lengths.device)
        self.slots.seen[self.rows, self.lengths] = 0.0

    @property
    def positions(self) -> Tensor:
        return self.lengths

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        keys, values = self.slots.layer(layer, key)
        keys[self.rows, :, self.lengths] = key[0].transpose(0, 1)
        values[self.rows, :, self.lengths] = value[0].transpose(0, 1)
        count = len(self.lengths)
        found = scaled_dot_product(
            query[0].transpose(0, 1)[:, :, None],
            keys[:count, :, : self.end],
            values[:count, :, : self.end],
            attn_mask=self.slots.seen[:count, None, None, : self.end],
            scale=scale,
            enable_gqa=key.shape[1] != query.shape[1],
        )
        return found[:, :, 0][None]


def slot_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    plan: Prefill | Step | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of one row of tokens that belong to many sequences. `query` (1, heads, tokens, size); `key` and
    `value` may have fewer heads. Returns (1, tokens, heads, size).

    Raises CannotDecode where the model asks for more: it hands no plan on, its window is shorter than a sequence may
    become, it caps scores, has sinks or a bias of its own.
    """
    asked = [name for name in ("softcap", "s_aux", "position_bias") if options.get(name) is not None]
    layer = getattr(module, "layer_idx", None)
    if plan is None or layer is None or asked or (sliding_window is not None and sliding_window < plan.longest):
        raise CannotDecode
    return plan.attend(layer, query, key, value, scaling), None


def _no_mask(*_: Any, **__: Any) -> None:
    """The plan says who sees whom."""


AttentionInterface.register(NAME, slot_attention)
AttentionMaskInterface.register(NAME, _no_mask)


def attending_in_slots(model: Any) -> AbstractContextManager[None]:
    """Have a model use `slot_attention` for a while."""
    return attending(model, NAME)

"""Keys and values of many sequences, and the attention that reads and writes them.

The model gets a single row with all tokens of a forward pass and their positions. It passes the `plan` of that pass on
to its attention, as it does with any keyword; the plan assigns the tokens to slots. No row is padded, positions are
right for every model, and the model needs no cache of its own. The attention is registered with transformers, so it
works with every model that passes its keywords on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from tarazu.align.attention import use_attention
from tarazu.align.kernels import scaled_dot_product

NAME = "tarazu_slots"


_MEMORY = {"cpu": 2**31, "cuda": 2**33}
"""Bytes of keys and values to store if the study does not set the number of tokens, by kind of device."""
_UNKNOWN = 4096  # tokens to store if the size of one is not in the model's configuration


def default_batch_tokens(model: Any) -> int:
    """The number of tokens whose keys and values fit into the default memory. It is the same on all machines of a
    kind, so the batches are too."""
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
    """The model's attention needs a feature that slots lack."""


class Slots:
    """Storage for `rows` sequences of at most `width` tokens: per layer, keys and values (rows, heads, width, size)."""

    def __init__(self, rows: int, width: int, device: torch.device, dtype: torch.dtype) -> None:
        self.rows, self.width = rows, width
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        # Added to the scores of a token: 0 where its row has keys, otherwise minus infinity, (rows, width).
        self.seen = torch.full((rows, width), float("-inf"), device=device, dtype=dtype)

    def layer(self, index: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer, allocated at first use with the heads and size of `like`."""
        if index not in self._layers:
            shape = (self.rows, like.shape[1], self.width, like.shape[3])
            # Zeros, because a weight of 0 times an uninitialised NaN would not be 0.
            self._layers[index] = (like.new_zeros(shape), like.new_zeros(shape))
        return self._layers[index]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the sequence of one slot into another."""
        for keys, values in self._layers.values():
            keys[target, :, :length] = keys[source, :, :length]
            values[target, :, :length] = values[source, :, :length]
        self.seen[target] = self.seen[source]

    def repeat(self, source: int, targets: slice, length: int) -> None:
        """Copy the first `length` tokens of one slot into several."""
        for keys, values in self._layers.values():
            keys[targets, :, :length] = keys[source, :, :length]
            values[targets, :, :length] = values[source, :, :length]

    def take(self, other: Slots, targets: slice, length: int) -> None:
        """Copy the sequence in `other`, `length` tokens long, to the beginning of the slots `targets`."""
        for index, (other_keys, other_values) in other._layers.items():
            keys, values = self.layer(index, other_keys)
            keys[targets, :, :length] = other_keys
            values[targets, :, :length] = other_values

    def fill(self, rows: slice, lengths: Tensor) -> None:
        """Set the number of tokens that the slots `rows` hold."""
        columns = torch.arange(self.width, device=self.seen.device)
        self.seen[rows] = torch.zeros_like(self.seen[rows]).masked_fill_(columns >= lengths[:, None], float("-inf"))


class Span(NamedTuple):
    """Consecutive sequences whose attention is computed together, from `start` to before `stop`. `end` is the length of
    the longest."""

    start: int
    stop: int
    end: int


_LEAST_SPAN = 4  # sequences of a span that ends because the next sequence has another length
_ALIKE = 0.75


def spans_of(lengths: Sequence[int], device: torch.device) -> list[Span]:
    """Divides sequences into spans of similar lengths, because each is computed as if all were as long as its longest:
    twenty short sequences beside one of ten times their length would take ten times as long. On a GPU all are one span,
    since there the launches take longer."""
    starts, longest = [0], lengths[0]
    for place, length in enumerate(lengths):
        alike = _ALIKE * longest <= length <= longest / _ALIKE
        if device.type == "cpu" and not alike and place - starts[-1] >= _LEAST_SPAN:
            starts.append(place)
            longest = length
        longest = max(longest, length)
    return [Span(start, stop, max(lengths[start:stop])) for start, stop in pairwise([*starts, len(lengths)])]


@dataclass(kw_only=True)
class Prefill:
    """A pass over new tokens of the sequences in the slots from `first` on, which already have `before` tokens each.
    `lengths` counts the new tokens of each sequence."""

    slots: Slots
    first: int
    before: int
    lengths: Sequence[int]
    longest: int  # the greatest length of any sequence: the model's window must be at least as wide
    row: Tensor = field(init=False)  # the sequence of each token
    column: Tensor = field(init=False)  # the position of each token among the new tokens of its sequence
    spans: list[Span] = field(init=False)  # of the new tokens

    def __post_init__(self) -> None:
        device = self.slots.seen.device
        count = torch.tensor(self.lengths, device=device)
        self.row = torch.repeat_interleave(torch.arange(len(self.lengths), device=device), count)
        starts = torch.cumsum(count, 0) - count
        self.column = torch.arange(int(count.sum()), device=device) - starts[self.row]
        self.spans = spans_of(self.lengths, device)

    @property
    def positions(self) -> Tensor:
        return self.column + self.before

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        keys, values = self.slots.layer(layer, key)
        keys[self.row + self.first, :, self.positions] = key[0].transpose(0, 1)
        values[self.row + self.first, :, self.positions] = value[0].transpose(0, 1)
        outputs, tokens = [], 0
        for start, stop, width in self.spans:
            here = slice(tokens, tokens := tokens + sum(self.lengths[start:stop]))
            row, column, end = self.row[here] - start, self.column[here], self.before + width
            # Only here is there padding on the right. Tokens attend to earlier tokens only, hence never to padding.
            padded = query.new_zeros(stop - start, width, query.shape[1], query.shape[3])
            padded[row, column] = query[0, :, here].transpose(0, 1)
            mask = None
            if self.before:
                mask = torch.ones(width, end, dtype=torch.bool, device=query.device).tril(self.before)
            own = slice(self.first + start, self.first + stop)
            output = scaled_dot_product(
                padded.transpose(1, 2),
                keys[own, :, :end],
                values[own, :, :end],
                attn_mask=mask,
                is_causal=mask is None,
                scale=scale,
                enable_gqa=key.shape[1] != query.shape[1],
            )
            outputs.append(output.transpose(1, 2)[row, column])
        return torch.cat(outputs)[None]


@dataclass(kw_only=True)
class Step:
    """A pass over one more token of each of the first sequences. `lengths` (sequences,) counts the tokens before it,
    and `spans` those with it."""

    slots: Slots
    lengths: Tensor
    spans: Sequence[Span]
    longest: int

    def __post_init__(self) -> None:
        self.rows = torch.arange(len(self.lengths), device=self.lengths.device)
        # A number instead of a tensor would be copied to a GPU, which a graph cannot record.
        self.slots.seen.index_put_((self.rows, self.lengths), self.slots.seen.new_zeros(()))

    @property
    def positions(self) -> Tensor:
        return self.lengths

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        keys, values = self.slots.layer(layer, key)
        keys[self.rows, :, self.lengths] = key[0].transpose(0, 1)
        values[self.rows, :, self.lengths] = value[0].transpose(0, 1)
        count, heads, size = len(self.lengths), key.shape[1], query.shape[3]
        # Heads that share keys stand in the place of a sequence's tokens, so that keys are read once for all of them.
        grouped = query[0].transpose(0, 1).reshape(count, heads, -1, size)
        outputs = [
            scaled_dot_product(
                grouped[start:stop],
                keys[start:stop, :, :end],
                values[start:stop, :, :end],
                attn_mask=self.slots.seen[start:stop, None, None, :end],
                scale=scale,
            )
            for start, stop, end in self.spans
        ]
        return torch.cat(outputs).reshape(1, count, -1, value.shape[3])


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

    Raises CannotDecode if the model does not pass the plan on, has a window shorter than a sequence may become, caps
    scores, or has attention sinks or its own bias.
    """
    unsupported = [name for name in ("softcap", "s_aux", "position_bias") if options.get(name) is not None]
    layer = getattr(module, "layer_idx", None)
    if plan is None or layer is None or unsupported or (sliding_window is not None and sliding_window < plan.longest):
        raise CannotDecode
    return plan.attend(layer, query, key, value, scaling), None


def _no_mask(*_: Any, **__: Any) -> None:
    """No mask: the plan determines which tokens attend to which."""


AttentionInterface.register(NAME, slot_attention)
AttentionMaskInterface.register(NAME, _no_mask)


def use_slot_attention(model: Any) -> AbstractContextManager[None]:
    """Make a model use `slot_attention` within the context."""
    return use_attention(model, NAME)

"""Chooses the next token of each sequence from the model's hidden states."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tarazu.study.generation import Sampling

NOT_FINITE = -1
"""In place of a token: the row's logits hold NaN or infinity, or are all minus infinity."""

_CHUNK = 2048  # vocabulary entries at a time on a CPU, so that their logits stay in its cache


class Head:
    """The vocabulary head of a causal language model, applied to hidden states (tokens, size)."""

    def __init__(self, model: Any) -> None:
        linear = model.get_output_embeddings()
        self.weight: Tensor = linear.weight.detach()
        bias = getattr(linear, "bias", None)
        self.bias: Tensor | None = None if bias is None else bias.detach()
        self._buffer: Tensor | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        return torch.nn.functional.linear(hidden, self.weight, self.bias)

    def best(self, hidden: Tensor) -> Tensor:
        """The most likely token of each row, (tokens,), or `NOT_FINITE`. The first one wins a tie.

        On a CPU the complete row of logits (50,000 and more) is never stored: a product that stays within the cache is
        up to twice as fast.
        """
        if not hidden.is_cpu:
            logits = self.logits(hidden)
            best = logits.argmax(dim=-1)
            return _checked(best, logits.gather(1, best[:, None])[:, 0])
        rows = hidden.shape[0]
        if self._buffer is None or self._buffer.shape[0] < rows:
            self._buffer = hidden.new_empty(rows, _CHUNK)
        top = hidden.new_full((rows,), float("-inf"))
        best = torch.zeros(rows, dtype=torch.long)
        for start in range(0, self.weight.shape[0], _CHUNK):
            block = self.weight[start : start + _CHUNK]
            logits = self._buffer[:rows, : block.shape[0]]
            torch.mm(hidden, block.t(), out=logits)
            if self.bias is not None:
                logits += self.bias[start : start + _CHUNK]
            value, index = logits.max(dim=1)
            above = value > top
            top = torch.maximum(top, value)  # passes NaN on
            best = torch.where(above, index + start, best)
        return _checked(best, top)


def _checked(tokens: Tensor, values: Tensor) -> Tensor:
    """Tokens with `NOT_FINITE` where the value that they were chosen by is NaN or infinite."""
    return torch.where(values.isfinite(), tokens, NOT_FINITE)


def sample(logits: Tensor, sampling: Sampling, uniform: Tensor) -> Tensor:
    """One token of each row (rows, words), chosen by the row's own number in [0, 1): the token at which the cumulative
    probability exceeds it, or `NOT_FINITE`. A row's draw therefore does not depend on its neighbours. (rows,)

    Applies the temperature, then keeps the smallest set of most likely tokens whose total is at least `top_p`
    (Holtzman et al. 2020).
    """
    probs = torch.softmax(logits.double() / sampling.temperature, dim=-1)
    if sampling.top_p == 1:
        total = probs.cumsum(dim=-1)
        place = torch.searchsorted(total, uniform[:, None] * total[:, -1:], right=True)
        return _checked(place.clamp(max=total.shape[1] - 1)[:, 0], total[:, -1])
    probs, order = probs.sort(dim=-1, descending=True, stable=True)
    total = probs.cumsum(dim=-1)
    last = ((total - probs < sampling.top_p).sum(dim=-1, keepdim=True) - 1).clamp(min=0)
    place = torch.searchsorted(total, uniform[:, None] * total.gather(1, last), right=True).minimum(last)
    return _checked(order.gather(1, place)[:, 0], total[:, -1])

"""The next token of each sequence, from what the model made of the last."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tarazu.study.generation import Sampling

_CHUNK = 2048  # words of the vocabulary at a time on a CPU: their logits stay in its cache


class Head:
    """The last product of a causal language model, over hidden states (tokens, size)."""

    def __init__(self, model: Any) -> None:
        linear = model.get_output_embeddings()
        self.weight: Tensor = linear.weight.detach()
        bias = getattr(linear, "bias", None)
        self.bias: Tensor | None = None if bias is None else bias.detach()
        self._room: Tensor | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        return torch.nn.functional.linear(hidden, self.weight, self.bias)

    def best(self, hidden: Tensor) -> Tensor:
        """The likeliest token of each row, (tokens,); of equals the first.

        On a CPU the whole row of logits (50,000 and more) is never written out: a product that stays within the cache
        is up to twice as fast.
        """
        if not hidden.is_cpu:
            return self.logits(hidden).argmax(dim=-1)
        rows = hidden.shape[0]
        if self._room is None or self._room.shape[0] < rows:
            self._room = hidden.new_empty(rows, _CHUNK)
        top = hidden.new_full((rows,), float("-inf"))
        best = torch.zeros(rows, dtype=torch.long)
        for start in range(0, self.weight.shape[0], _CHUNK):
            part = self.weight[start : start + _CHUNK]
            logits = self._room[:rows, : part.shape[0]]
            torch.mm(hidden, part.t(), out=logits)
            if self.bias is not None:
                logits += self.bias[start : start + _CHUNK]
            value, index = logits.max(dim=1)
            above = value > top
            top = torch.where(above, value, top)
            best = torch.where(above, index + start, best)
        return best


def sample(logits: Tensor, sampling: Sampling, uniform: Tensor) -> Tensor:
    """One token of each row (rows, words), by the row's own number in [0, 1): where it falls among the cumulated
    probabilities. So what a row draws does not hang on its neighbours. (rows,)

    Temperature comes first, then the smallest set of likeliest tokens that holds `top_p` (Holtzman et al. 2020).
    """
    chances = torch.softmax(logits.double() / sampling.temperature, dim=-1)
    if sampling.top_p == 1:
        total = chances.cumsum(dim=-1)
        place = torch.searchsorted(total, uniform[:, None] * total[:, -1:], right=True)
        return place.clamp(max=total.shape[1] - 1)[:, 0]
    chances, order = chances.sort(dim=-1, descending=True, stable=True)
    total = chances.cumsum(dim=-1)
    last = (total - chances < sampling.top_p).sum(dim=-1, keepdim=True) - 1
    place = torch.searchsorted(total, uniform[:, None] * total.gather(1, last), right=True).minimum(last)
    return order.gather(1, place)[:, 0]

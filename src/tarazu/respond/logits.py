"""Checks the logits of transformers' generate while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor


class FiniteLogits(LogitsProcessor):
    """Records the rows that get a logit of NaN or infinity, or none above minus infinity, before they have ended.

    The rows are read once, after generation. Until then a bad row gets zeros, because sampling fails on NaN.
    """

    def __init__(self, prompt_length: int, ends: Sequence[int]) -> None:
        self.prompt_length, self.ends = prompt_length, list(ends)
        self._bad: Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        # A single logit of minus infinity is a word that the model excludes. The maximum passes NaN on.
        bad = ~scores.amax(dim=-1).isfinite()
        ends = torch.tensor(self.ends, device=input_ids.device)
        ended = torch.isin(input_ids[:, self.prompt_length :], ends).any(dim=-1)
        self._bad = (bad & ~ended) if self._bad is None else self._bad | (bad & ~ended)
        return scores.masked_fill(bad[:, None], 0.0)  # type: ignore[return-value]

    def first(self) -> int | None:
        """The first row that got logits that are not finite."""
        if self._bad is None or not bool(self._bad.any()):
            return None
        return int(self._bad.nonzero()[0])

"""Token pairs as right-padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tarazu.align.tokens import TokenPair

IGNORED = -100
"""Label of a token that is not predicted (torch's convention)."""


def pad_rows(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of unequal length as one tensor (rows, longest), filled with `value` on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.long)


def _batch(rows: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], pad_id: int) -> dict[str, Tensor]:
    return {
        "input_ids": pad_rows(rows, pad_id),
        "attention_mask": pad_rows([[1] * len(row) for row in rows], 0),
        "labels": pad_rows(labels, IGNORED),
    }


@dataclass(frozen=True, kw_only=True)
class TranscriptCollator:
    """Chosen transcripts for SFT. Labels: all tokens but the first, or those of the last answer alone."""

    pad_id: int
    loss_on: Literal["transcript", "response"]

    def __call__(self, pairs: Sequence[TokenPair]) -> dict[str, Tensor]:
        rows = [pair.prompt + pair.chosen for pair in pairs]
        # The first token has nothing before it to be predicted from.
        unlabelled = [1 if self.loss_on == "transcript" else max(1, len(pair.prompt)) for pair in pairs]
        labels = [[IGNORED] * skip + row[skip:] for row, skip in zip(rows, unlabelled, strict=True)]
        return _batch(rows, labels, self.pad_id)


@dataclass(frozen=True, kw_only=True)
class PreferenceCollator:
    """Pairs for DPO: the chosen rows, then the rejected rows. Labels: the tokens of the answers."""

    pad_id: int

    def __call__(self, pairs: Sequence[TokenPair]) -> dict[str, Tensor]:
        rows, labels = [], []
        for answers in ("chosen", "rejected"):
            for pair in pairs:
                answer = getattr(pair, answers)
                rows.append(pair.prompt + answer)
                labels.append([IGNORED] * len(pair.prompt) + answer)
        return _batch(rows, labels, self.pad_id)

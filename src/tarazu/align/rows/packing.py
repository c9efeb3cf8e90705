"""Packed rows: several documents in a single row without padding, with each shared prompt stored once.

A token attends to the stem of its document and to earlier tokens of its own branch. Positions in each branch continue
those of the stem, so every branch gets the same predictions as in a row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

from tarazu.align.rows.documents import Document
from tarazu.align.rows.layout import Layout, Tree, power_of_two, round_up


class Batch(TypedDict, total=False):
    """The inputs of a forward pass. `pack` and `pad` say which entries a packed row and padded rows have. The trainer
    adds the `reference` and the number (`branch`) of each branch, the row's `weight` and the `count` of its documents.
    """

    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    layout: Layout
    source: Tensor
    target: Tensor
    lengths: Tensor
    last: Tensor
    reference: Tensor
    branch: Tensor
    weight: float
    count: int


Shape = tuple[int, ...]
"""What a row's computation depends on besides its values: tokens, predictions, branches, keys, sequences, the longest
sequence's number of keys, and the most uses of a token."""


def shape_of(batch: Batch) -> Shape:
    found = batch["layout"].sequences()
    numbers = len(batch["target"]), len(batch["lengths"]), len(found.keys), len(found.starts) - 1
    return batch["input_ids"].shape[1], *numbers, found.longest, len(found.uses)


def planned_shape(documents: Sequence[Document], multiple: int) -> Shape:
    """`shape_of(pack(documents, multiple=multiple))`, without packing them."""
    tokens = sum(document.tokens for document in documents)
    padded = round_up(tokens + 1, multiple)
    keys = [padded - tokens]
    for document in documents:
        stem, (first, *others) = len(document.stem), map(len, document.branches)
        keys += [length for length in (stem + first, *(stem + own for own in others if own)) if length]
    return (
        padded,
        round_up(sum(document.predicted for document in documents), PREDICTIONS_MULTIPLE),
        sum(len(document.branches) for document in documents),
        round_up(sum(keys), padded),
        len(keys),
        power_of_two(max(keys)),
        max(len(document.branches) for document in documents),
    )


CUDA_MULTIPLE = 256
"""Row lengths are rounded up to a multiple of this on CUDA, where the first use of a shape costs more than a step, and
where rows of one shape share a graph of launches (graphs.py)."""
PREDICTIONS_MULTIPLE = 512
"""The same for a padded row's predictions."""


def row_multiple(device: torch.device) -> int:
    """The multiple to which `pack` should round row lengths up for a model on `device`."""
    return CUDA_MULTIPLE if device.type == "cuda" else 1


def pack(documents: Sequence[Document], *, multiple: int = 1) -> Batch:
    """Documents as one row, with these entries:

    - `input_ids`, `position_ids` (1, tokens), and `layout`
    - `source` (predicted,): positions in the row that predict a token
    - `target` (predicted,): the token ids to predict there
    - `lengths` (branches,): the number of predicted tokens of each branch
    - `last` (branches,): the position of each branch's last token, or of its stem's if the branch is empty

    Unless `multiple` is 1, tokens are padded to a multiple of it, with one at least, and predictions to one of
    PREDICTIONS_MULTIPLE. Padding tokens form a last tree that predicts nothing. Predictions beyond the sum of `lengths`
    are padding and must be ignored.
    """
    ids: list[int] = []
    positions: list[int] = []
    trees: list[Tree] = []
    source: list[int] = []
    target: list[int] = []
    lengths: list[int] = []
    last: list[int] = []
    for document in documents:
        start, stem = len(ids), len(document.stem)
        trees.append(Tree(start, stem, tuple(map(len, document.branches))))
        ids += document.stem
        positions += range(stem)
        for tokens, counted in zip(document.branches, document.counted, strict=True):
            begin = len(ids)
            ids += tokens
            positions += range(stem, stem + len(tokens))
            # The stem's last token predicts the first token of a branch; every other token is predicted by the one
            # before it.
            predicting = [start + stem - 1, *range(begin, len(ids) - 1)] if tokens else []
            before = [place for place, one in zip(predicting, counted, strict=True) if one]
            source += before
            target += [token for token, one in zip(tokens, counted, strict=True) if one]
            lengths.append(len(before))
            last.append(len(ids) - 1 if tokens else start + stem - 1)
    layout = Layout(trees, padded=multiple > 1)
    if multiple > 1:
        missing = round_up(len(ids) + 1, multiple) - len(ids)
        layout.trees += (Tree(len(ids), missing, ()),)  # not counted in `deepest`
        ids += [ids[0]] * missing
        positions += range(missing)
        padding = [0] * (-len(source) % PREDICTIONS_MULTIPLE)
        source += padding
        target += padding
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "layout": layout,
        "source": torch.tensor(source, dtype=torch.long),
        "target": torch.tensor(target, dtype=torch.long),
        "lengths": torch.tensor(lengths, dtype=torch.long),
        "last": torch.tensor(last, dtype=torch.long),
    }


IGNORED = -100
"""The label of a token that is not predicted (torch's convention)."""


def pad(documents: Sequence[Document], pad_id: int) -> Batch:
    """Documents as right-padded rows, one for each branch after its stem, for models that cannot be packed.

    `input_ids`, `attention_mask`, `labels` (branches, longest). Labels are -100 for tokens that are not predicted.
    """
    rows, labels = [], []
    for document in documents:
        for tokens, counted in zip(document.branches, document.counted, strict=True):
            rows.append([*document.stem, *tokens])
            own = [token if one else IGNORED for token, one in zip(tokens, counted, strict=True)]
            labels.append([IGNORED] * len(document.stem) + own)
    return {
        "input_ids": pad_rows(rows, pad_id),
        "attention_mask": pad_rows([[1] * len(row) for row in rows], 0),
        "labels": pad_rows(labels, IGNORED),
    }


def pad_rows(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of unequal length as one tensor (rows, longest), filled with `value` on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.long)

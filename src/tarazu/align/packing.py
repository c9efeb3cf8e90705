"""Packed rows: documents one after another in a single row, without padding, each shared prompt once.

A tree is a stem and the branches that continue it: a preference pair is its prompt with two answers, a transcript is
one branch without a stem. A token sees the stem and what stands before it in its own branch, and positions go on from
the stem in each branch, so that every branch is predicted as if it stood behind its stem alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from tarazu.align.tokens import TokenPair
from tarazu.study.schema import SFTArm, Training

Made = TypeVar("Made")
Batch = dict[str, Any]
"""What a forward pass takes: tensors by name and, in a packed row, its layout."""


@dataclass(frozen=True, slots=True)
class Document:
    """Token ids of a stem and of the branches that continue it."""

    stem: Sequence[int]
    branches: Sequence[Sequence[int]]

    @property
    def tokens(self) -> int:
        """Tokens in a packed row."""
        return len(self.stem) + sum(map(len, self.branches))

    @property
    def predicted(self) -> int:
        """Tokens that are predicted: those of the branches, save a first one that nothing precedes."""
        return sum(len(tokens) - (not self.stem) for tokens in self.branches if len(tokens))

    @property
    def deepest(self) -> int:
        """Tokens from the first to the last of the longest branch."""
        return len(self.stem) + max(map(len, self.branches), default=0)

    def beginning(self, tokens: int) -> Document:
        """The document with the last `tokens` of its stem and the first `tokens` of each branch."""
        return Document(self.stem[-tokens:], [branch[:tokens] for branch in self.branches])


def documents_of(pairs: Sequence[TokenPair], settings: Training) -> list[Document]:
    """What a method trains on: transcripts (or last answers behind their prompts) for SFT, else both answers behind
    their prompt."""
    if isinstance(settings, SFTArm):
        if settings.loss_on == "transcript":
            return [Document([], [pair.prompt + pair.chosen]) for pair in pairs]
        return [Document(pair.prompt, [pair.chosen]) for pair in pairs]
    return [Document(pair.prompt, [pair.chosen, pair.rejected]) for pair in pairs]


@dataclass(frozen=True, slots=True)
class Tree:
    """Where a document lies in a row: at `start`, `stem` tokens, then the branches one after another."""

    start: int
    stem: int
    branches: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.start + self.stem + sum(self.branches)

    @property
    def deepest(self) -> int:
        """Tokens from the first to the last of the longest branch."""
        return self.stem + max(self.branches, default=0)

    def sees(self) -> Tensor:
        """Which token (row) sees which (column), boolean (tokens, tokens)."""
        branch = torch.repeat_interleave(
            torch.arange(-1, len(self.branches)), torch.tensor([self.stem, *self.branches])
        )
        return ((branch[None, :] == -1) | (branch[None, :] == branch[:, None])).tril()


class Layout:
    """The trees of a row, and what attention needs of them, kept from layer to layer."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = tuple(trees)
        self.deepest = max((tree.deepest for tree in self.trees), default=0)
        """The longest sequence that a token of the row ends."""
        self._kept: dict[Hashable, Any] = {}

    def kept(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` makes, the first time; the same again afterwards."""
        if name not in self._kept:
            self._kept[name] = make()
        found: Made = self._kept[name]
        return found

    def owners(self) -> tuple[Tensor, Tensor]:
        """For each token a number of the stem or branch that it is in, and the number of its tree's stem."""
        part: list[int] = []
        stem: list[int] = []
        number = 0
        for tree in self.trees:
            first = number
            for length in (tree.stem, *tree.branches):
                part += [number] * length
                stem += [first] * length
                number += 1
        return torch.tensor(part, dtype=torch.long), torch.tensor(stem, dtype=torch.long)


CUDA_MULTIPLE = 128
"""What rows are filled up to a multiple of on CUDA, where the first use of every new shape costs more than a step."""


def row_multiple(device: torch.device) -> int:
    """What `pack` should fill rows up to a multiple of, for a model on `device`."""
    return CUDA_MULTIPLE if device.type == "cuda" else 1


def pack(documents: Sequence[Document], *, multiple: int = 1) -> Batch:
    """Documents as one row.

    `input_ids`, `position_ids` (1, tokens); `layout`; `source` (predicted,): the places in the row that predict, and
    `target` (predicted,): the ids that they should; `lengths` (branches,): how many of those each branch has, and
    `predicted`, how many they have together; `last` (branches,): the place of each branch's last token (its stem's,
    where it is empty).

    Tokens and predictions are filled up to a multiple of `multiple`: a last tree that nothing is predicted from, and
    predictions after the first `predicted` ones that nobody reads.
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
        for tokens in document.branches:
            begin = len(ids)
            ids += tokens
            positions += range(stem, stem + len(tokens))
            # The first token of a branch is predicted by the last of the stem, each other by the one before it.
            before = [*([start + stem - 1] if stem else []), *range(begin, len(ids) - 1)] if tokens else []
            source += before
            target += tokens[len(tokens) - len(before) :]
            lengths.append(len(before))
            last.append(len(ids) - 1 if tokens else start + stem - 1)
    layout = Layout(trees)
    predicted = len(source)
    if missing := -len(ids) % multiple:
        layout.trees += (Tree(len(ids), missing, ()),)  # counted in no sequence's depth
        ids += [ids[0]] * missing
        positions += range(missing)
    source += [0] * (-predicted % multiple)
    target += [0] * (-predicted % multiple)
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "layout": layout,
        "source": torch.tensor(source, dtype=torch.long),
        "target": torch.tensor(target, dtype=torch.long),
        "lengths": torch.tensor(lengths, dtype=torch.long),
        "predicted": predicted,
        "last": torch.tensor(last, dtype=torch.long),
    }


IGNORED = -100
"""Label of a token that is not predicted (torch's convention)."""


def pad(documents: Sequence[Document], pad_id: int) -> Batch:
    """Documents as right-padded rows, one per branch with its stem before it, for models that cannot be packed.

    `input_ids`, `attention_mask`, `labels` (branches, longest); labels are the predicted tokens, else -100.
    """
    rows, labels = [], []
    for document in documents:
        # The first token of a row has nothing before it to be predicted from.
        unlabelled = max(1, len(document.stem))
        for tokens in document.branches:
            row = [*document.stem, *tokens]
            rows.append(row)
            labels.append([IGNORED] * unlabelled + row[unlabelled:])
    return {
        "input_ids": pad_rows(rows, pad_id),
        "attention_mask": pad_rows([[1] * len(row) for row in rows], 0),
        "labels": pad_rows(labels, IGNORED),
    }


def pad_rows(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of unequal length as one tensor (rows, longest), filled with `value` on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.long)

"""Packed rows: several documents in a single row without padding, with each shared prompt stored once.

A document is a tree: a stem and the branches that continue it. A preference pair is a prompt with two answers, and a
transcript is one branch without a stem. A token attends to the stem and to earlier tokens of its own branch. Positions
in each branch continue those of the stem, so every branch gets the same predictions as in a row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar

import torch
from torch import Tensor

from tarazu.align.tokens import TokenPair
from tarazu.study.schema import SFTArm, Training

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document:
    """Token ids of a stem and of the branches that continue it. `learned` says of each token of the branches whether it
    counts; without it, all do."""

    stem: Sequence[int]
    branches: Sequence[Sequence[int]]
    learned: Sequence[Sequence[bool]] | None = None

    @property
    def tokens(self) -> int:
        """Tokens in a packed row."""
        return len(self.stem) + sum(map(len, self.branches))

    @property
    def predicted(self) -> int:
        """Predicted tokens: those of the branches that count, except a first token without a stem before it."""
        return sum(map(sum, self.counted))

    @property
    def counted(self) -> list[list[bool]]:
        """For each token of each branch whether it is predicted."""
        learned = self.learned or [[True] * len(tokens) for tokens in self.branches]
        return [[one and bool(self.stem or place) for place, one in enumerate(branch)] for branch in learned]

    @property
    def deepest(self) -> int:
        """The number of tokens in the stem and its longest branch."""
        return len(self.stem) + max(map(len, self.branches), default=0)

    def beginning(self, tokens: int) -> Document:
        """A short version: the last `tokens` of the stem and the first `tokens` of each branch."""
        learned = self.learned and [branch[:tokens] for branch in self.learned]
        return Document(self.stem[-tokens:], [branch[:tokens] for branch in self.branches], learned)


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
    predicted: int
    last: Tensor
    reference: Tensor
    branch: Tensor
    weight: float
    count: int


def documents_of(pairs: Sequence[TokenPair], settings: Training) -> list[Document]:
    """The documents that a method trains on: conversations (or prompts with their chosen answers) for SFT, and prompts
    with both answers for other methods."""
    if isinstance(settings, SFTArm):
        return [_conversation(pair, settings.loss_on) for pair in pairs]
    return [Document(pair.prompt, [pair.chosen, pair.rejected]) for pair in pairs]


def _conversation(pair: TokenPair, loss_on: str | None) -> Document:
    """A conversation with the tokens that its SFT counts; by default, what the model writes if the format says that."""
    if loss_on == "response":
        return Document(pair.prompt, [pair.chosen])
    tokens = pair.prompt + pair.chosen
    if loss_on == "transcript" or pair.written is None:
        return Document([], [tokens])
    return Document([], [tokens], [pair.written])


@dataclass(frozen=True, slots=True)
class Tree:
    """The place of a document in a row: `stem` tokens from `start` on, followed by branches of the given lengths."""

    start: int
    stem: int
    branches: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.start + self.stem + sum(self.branches)

    @property
    def deepest(self) -> int:
        """The number of tokens in the stem and its longest branch."""
        return self.stem + max(self.branches, default=0)

    def sees(self) -> Tensor:
        """Whether each token (first axis) attends to each other (second axis), boolean (tokens, tokens)."""
        branch = torch.repeat_interleave(
            torch.arange(-1, len(self.branches)), torch.tensor([self.stem, *self.branches])
        )
        return ((branch[None, :] == -1) | (branch[None, :] == branch[:, None])).tril()


class Layout:
    """The trees of a row, with a cache of masks and indices that the attention of all layers shares."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = tuple(trees)
        self.deepest = max((tree.deepest for tree in self.trees), default=0)
        """The length of the longest sequence (a stem with one branch) in the row."""
        self._cache: dict[Hashable, Any] = {}

    def cached(self, name: Hashable, make: Callable[[], T]) -> T:
        """The cached value of `make()`, which is called only once for each name."""
        if name not in self._cache:
            self._cache[name] = make()
        value: T = self._cache[name]
        return value

    def segments(self) -> tuple[Tensor, Tensor]:
        """For each token, the number of its stem or branch, and the number of its tree's stem."""
        segment: list[int] = []
        stem: list[int] = []
        number = 0
        for tree in self.trees:
            first = number
            for length in (tree.stem, *tree.branches):
                segment += [number] * length
                stem += [first] * length
                number += 1
        return torch.tensor(segment, dtype=torch.long), torch.tensor(stem, dtype=torch.long)


CUDA_MULTIPLE = 128
"""Row lengths are rounded up to a multiple of this on CUDA, where the first use of a shape costs more than a step."""


def row_multiple(device: torch.device) -> int:
    """The multiple to which `pack` should round row lengths up for a model on `device`."""
    return CUDA_MULTIPLE if device.type == "cuda" else 1


def pack(documents: Sequence[Document], *, multiple: int = 1) -> Batch:
    """Documents as one row, with these entries:

    - `input_ids`, `position_ids` (1, tokens), and `layout`
    - `source` (predicted,): positions in the row that predict a token
    - `target` (predicted,): the token ids to predict there
    - `lengths` (branches,): the number of predicted tokens of each branch, and `predicted`, their total
    - `last` (branches,): the position of each branch's last token, or of its stem's if the branch is empty

    Tokens and predictions are padded to a multiple of `multiple`. Padding tokens form a last tree that predicts
    nothing. Predictions beyond the first `predicted` are padding and must be ignored.
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
    layout = Layout(trees)
    predicted = len(source)
    if missing := -len(ids) % multiple:
        layout.trees += (Tree(len(ids), missing, ()),)  # not counted in `deepest`
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

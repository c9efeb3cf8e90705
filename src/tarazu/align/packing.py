"""Packed rows: several documents in a single row without padding, with each shared prompt stored once.

A document is a tree: a stem and the branches that continue it. A preference pair is a prompt with two answers, and a
transcript is one branch without a stem. A token attends to the stem and to earlier tokens of its own branch. Positions
in each branch continue those of the stem, so every branch gets the same predictions as in a row of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, TypeVar

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


class Sequences(NamedTuple):
    """The sequences of a row for attention over sequences of unequal length: each stem, and each branch after its stem.

    The queries of sequence i are the tokens from `starts[i]` to `starts[i + 1]`, and its keys the tokens
    `keys[key_starts[i] : key_starts[i + 1]]`: those of the stem followed by its own. `uses` (tokens, most) says where
    in `keys` each token is, filled up with len(keys). `longest` and `longest_keys` are at least the largest numbers of
    queries and of keys of a sequence.
    """

    keys: Tensor
    starts: Tensor
    key_starts: Tensor
    uses: Tensor
    longest: int
    longest_keys: int

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.keys, self.starts, self.key_starts, self.uses

    def to(self, device: torch.device) -> Sequences:
        """The same on a device. The copies may still be under way."""
        keys, starts, key_starts, uses = (part.to(device, non_blocking=True) for part in self.tensors)
        return self._replace(keys=keys, starts=starts, key_starts=key_starts, uses=uses)


class Layout:
    """The trees of a row, with a cache of masks and indices that the attention of all layers shares. If the row is
    padded, the last tree is its padding."""

    def __init__(self, trees: Sequence[Tree], *, padded: bool = False) -> None:
        self.trees = tuple(trees)
        self.padded = padded
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

    def sequences(self) -> Sequences:
        """The sequences of all trees. With padding, the last one has as many more keys as make their number a multiple
        of the row's tokens. The gradients of these are 0, and `uses` leaves them out."""
        return self.cached("sequences", self._sequences)

    def _sequences(self) -> Sequences:
        keys: list[int] = []
        starts, key_starts = [0], [0]
        uses: list[list[int]] = []
        for tree in self.trees:
            stem, end = range(tree.start, tree.start + tree.stem), tree.start + tree.stem
            if self.padded and tree is self.trees[-1]:
                keys += [tree.start] * (-(len(keys) + tree.stem) % tree.end)
            of_stem = [[len(keys) + place] for place in range(tree.stem)]
            uses += of_stem
            keys += stem
            parts = [tree.stem]
            if tree.stem:
                key_starts.append(len(keys))
            for length in tree.branches:
                if length:
                    for place, one in enumerate(of_stem):
                        one.append(len(keys) + place)
                    keys += stem
                    uses += [[len(keys) + place] for place in range(length)]
                    keys += range(end, end + length)
                    key_starts.append(len(keys))
                end += length
                parts.append(length)
            starts += [length for length in parts if length]
        most = max(1 + len(tree.branches) for tree in self.trees)
        longest = max(starts), max(b - a for a, b in itertools.pairwise(key_starts))
        if self.padded:
            longest = round_up(longest[0], QUERIES_MULTIPLE), round_up(longest[1], LONGEST_KEYS_MULTIPLE)
        return Sequences(
            torch.tensor(keys, dtype=torch.long),
            torch.tensor(starts).cumsum(0).to(torch.int32),
            torch.tensor(key_starts, dtype=torch.int32),
            torch.tensor([[*one, *[len(keys)] * (most - len(one))] for one in uses], dtype=torch.long),
            *longest,
        )


Shape = tuple[int, ...]
"""What a row's computation depends on besides its values: tokens, predictions, branches, keys, sequences, the longest
numbers of queries and of keys of a sequence, and the most uses of a token."""


def shape_of(batch: Batch) -> Shape:
    found = batch["layout"].sequences()
    numbers = len(batch["target"]), len(batch["lengths"]), len(found.keys), len(found.starts) - 1
    return batch["input_ids"].shape[1], *numbers, found.longest, found.longest_keys, found.uses.shape[1]


def planned_shape(documents: Sequence[Document], multiple: int) -> Shape:
    """`shape_of(pack(documents, multiple=multiple))`, without packing them."""
    tokens = sum(document.tokens for document in documents)
    padding = round_up(tokens + 1, multiple) - tokens
    sequences = [
        (length, before + length)
        for document in documents
        for before, lengths in ((0, [len(document.stem)]), (len(document.stem), map(len, document.branches)))
        for length in lengths
        if length
    ]
    keys = sum(own for _, own in sequences) + padding
    all_keys = round_up(keys, tokens + padding)
    sequences.append((padding, padding + all_keys - keys))
    return (
        tokens + padding,
        round_up(sum(document.predicted for document in documents), PREDICTIONS_MULTIPLE),
        sum(len(document.branches) for document in documents),
        all_keys,
        len(sequences),
        round_up(max(length for length, _ in sequences), QUERIES_MULTIPLE),
        round_up(max(own for _, own in sequences), LONGEST_KEYS_MULTIPLE),
        1 + max(len(document.branches) for document in documents),
    )


CUDA_MULTIPLE = 256
"""Row lengths are rounded up to a multiple of this on CUDA, where the first use of a shape costs more than a step, and
where rows of one shape share a graph of launches (graphs.py)."""
PREDICTIONS_MULTIPLE, QUERIES_MULTIPLE, LONGEST_KEYS_MULTIPLE = 512, 512, 4096
"""The same for other numbers of a padded row's shape."""


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


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

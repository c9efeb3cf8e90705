"""Where the documents of a packed row are, and which tokens attend to which."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

QUERIES_MULTIPLE, LONGEST_KEYS_MULTIPLE = 512, 4096
"""To multiples of these, the longest numbers of queries and of keys of a padded row's sequences are rounded up, so that
rows of one shape recur (graphs.py)."""


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


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

"""Where the documents of a packed row are, and which tokens attend to which."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")

SHORTEST = 512
"""The least number that a padded row gives for its longest sequence: a power of two, so that rows of one shape recur
(graphs.py)."""


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def power_of_two(number: int) -> int:
    """The smallest power of two that is at least `number` and SHORTEST."""
    return max(SHORTEST, 1 << (number - 1).bit_length())


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
    """The sequences of a row for attention over sequences of unequal length: each stem with its first branch, and each
    further branch after its stem.

    The queries of sequence i are the tokens from `starts[i]` to `starts[i + 1]`, and its keys the tokens
    `keys[key_starts[i] : key_starts[i + 1]]`: those of the stem followed by its own. No query sees the keys behind
    `key_starts[-1]`. `uses` (most, tokens) says where in `keys` each token is, filled up with len(keys). `longest` is
    at least the largest number of keys of a sequence.
    """

    keys: Tensor
    starts: Tensor
    key_starts: Tensor
    uses: Tensor
    longest: int

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
        lengths = [length for tree in self.trees for length in (tree.stem, *tree.branches)]
        counts = np.array([1 + len(tree.branches) for tree in self.trees])
        stems = np.repeat(counts.cumsum() - counts, counts)
        segment, stem = (torch.from_numpy(np.repeat(part, lengths)) for part in (np.arange(len(lengths)), stems))
        return segment, stem

    def sequences(self) -> Sequences:
        """The sequences of all trees. A padded row has as many more keys as make their number a multiple of the row's
        tokens."""
        return self.cached("sequences", self._sequences)

    def _sequences(self) -> Sequences:
        tokens = self.trees[-1].end
        most = max(1, *(len(tree.branches) for tree in self.trees))
        lengths, key_lengths = [0], [0]
        keys: list[np.ndarray] = []
        uses = np.full((most, tokens), -1)
        place = 0
        for tree in self.trees:
            first, *others = tree.branches or (0,)
            begin = tree.start
            for use, (before, own) in enumerate([(0, tree.stem + first), *((tree.stem, length) for length in others)]):
                if own:
                    lengths.append(own)
                    key_lengths.append(before + own)
                    keys += [np.arange(tree.start, tree.start + before), np.arange(begin, begin + own)]
                    uses[use, tree.start : tree.start + before] = np.arange(place, place + before)
                    uses[0, begin : begin + own] = np.arange(place + before, place + before + own)
                    place += before + own
                begin += own
        total = round_up(place, tokens) if self.padded else place
        uses[uses < 0] = total
        longest = max(key_lengths)
        return Sequences(
            torch.from_numpy(np.concatenate([*keys, np.zeros(total - place, dtype=np.int64)])),
            torch.tensor(lengths).cumsum(0).to(torch.int32),
            torch.tensor(key_lengths).cumsum(0).to(torch.int32),
            torch.from_numpy(uses),
            power_of_two(longest) if self.padded else longest,
        )

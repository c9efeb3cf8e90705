"""Attention of a packed row, computed token by token."""

from __future__ import annotations

import torch
from torch import Tensor

from tarazu.align.rows.layout import Layout, Tree


def alone(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float | None) -> Tensor:
    """Each token attends to its stem and to earlier tokens of its branch."""
    heads, key_heads = query.shape[1], key.shape[1]
    found = torch.zeros_like(query)
    for tree in layout.trees:
        begin = tree.start + tree.stem
        parts = [(tree.start, tree.stem, [])]
        for length in tree.branches:
            parts.append((begin, length, [*range(tree.start, tree.start + tree.stem)]))
            begin += length
        for start, length, before in parts:
            for token in range(start, start + length):
                seen = [*before, *range(start, token + 1)]
                for head in range(heads):
                    group = head // (heads // key_heads)
                    scores = key[0, group, seen] @ query[0, head, token] * (scale or query.shape[-1] ** -0.5)
                    found[0, head, token] = scores.softmax(0) @ value[0, group, seen]
    return found.transpose(1, 2)


def layout_of(sizes: list[tuple[int, list[int]]], *, padded: bool = False) -> Layout:
    """A layout of stems with branches of these lengths. The last stem of a padded one is its padding."""
    found, start = [], 0
    for stem, branches in sizes:
        found.append(Tree(start, stem, tuple(branches)))
        start = found[-1].end
    return Layout(found, padded=padded)

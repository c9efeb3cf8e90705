"""Which documents make each optimizer step, and how a step's documents are packed into rows."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Row:
    """Documents (by index) of one forward pass. `weight` turns the sum of their losses into their part of a step's
    mean, times the rows of a step (which the Trainer divides by)."""

    documents: tuple[int, ...]
    weight: float


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """`steps[i]` are the rows of optimizer step i, as many in each; `per_epoch` is the number of steps of an epoch."""

    steps: list[list[Row]]
    per_epoch: int

    @property
    def rows_per_step(self) -> int:
        return len(self.steps[0])


def schedule(
    sizes: Sequence[int],
    counts: Sequence[int],
    *,
    per_step: int,
    epochs: float,
    row_tokens: int,
    seed: int,
    processes: int = 1,
) -> Schedule:
    """Documents in a random order of their own in each epoch, `per_step` of them in each step, packed into rows.

    `sizes` are the documents' tokens, `counts` what each counts in a step's mean loss (1, or its predicted tokens).
    Each step has the same number of rows, a multiple of `processes`: the least that keeps every row of every step
    within `row_tokens`, where no document alone is longer. A step's documents go into its rows longest first, each into
    the emptiest, which is within a third of the best balance (Graham 1969). A row without a document of its own takes
    the step's shortest, with weight 0. The mean loss of a step does not depend on `row_tokens` or `processes`.
    """
    n = len(sizes)
    per_epoch = -(-n // per_step)
    orders = [np.random.default_rng([seed, epoch]).permutation(n) for epoch in range(math.ceil(epochs))]
    groups = [
        [int(index) for index in order[start : start + per_step]] for order in orders for start in range(0, n, per_step)
    ][: math.ceil(per_epoch * epochs)]
    rows = processes * max(-(-_rows_needed([sizes[i] for i in group], row_tokens) // processes) for group in groups)
    return Schedule(steps=[_step(group, sizes, counts, rows) for group in groups], per_epoch=per_epoch)


def _step(group: Sequence[int], sizes: Sequence[int], counts: Sequence[int], rows: int) -> list[Row]:
    weight = rows / max(1, sum(counts[i] for i in group))
    shortest = min(group, key=lambda i: (sizes[i], i))
    bins = _balanced([sizes[i] for i in group], rows)
    return [Row(tuple(group[k] for k in places), weight) if places else Row((shortest,), 0.0) for places in bins]


def _rows_needed(sizes: Sequence[int], row_tokens: int) -> int:
    rows = max(1, -(-sum(sizes) // row_tokens))
    while rows < len(sizes):
        if max(sum(sizes[k] for k in places) for places in _balanced(sizes, rows)) <= row_tokens:
            break
        rows += 1
    return min(rows, len(sizes))


def _balanced(sizes: Sequence[int], rows: int) -> list[list[int]]:
    """Places of `sizes` in `rows` bins of nearly equal totals; within a bin in their order."""
    bins: list[list[int]] = [[] for _ in range(rows)]
    heap = [(0, row) for row in range(rows)]
    for place in sorted(range(len(sizes)), key=lambda k: -sizes[k]):
        total, row = heapq.heappop(heap)
        bins[row].append(place)
        heapq.heappush(heap, (total + sizes[place], row))
    return [sorted(places) for places in bins]

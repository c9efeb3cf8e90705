"""Assigns documents to optimizer steps, and packs the documents of a step into rows."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Row:
    """The documents (by index) of one forward pass.

    `weight` times the sum of their losses is their share of the step's mean loss, multiplied by the number of rows in a
    step because the Trainer divides by it.
    """

    documents: tuple[int, ...]
    weight: float


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """`steps[i]` holds the rows of optimizer step i. All steps have the same number of rows. `per_epoch` is the number
    of steps in an epoch."""

    steps: list[list[Row]]
    per_epoch: int

    @property
    def rows_per_step(self) -> int:
        return len(self.steps[0])


@dataclass(frozen=True, kw_only=True)
class StepSize:
    """The number of documents of an optimizer step, the most tokens of a row, and the processes that share the step."""

    documents: int
    row_tokens: int
    processes: int = 1


def schedule(sizes: Sequence[int], counts: Sequence[int], step: StepSize, *, epochs: float, seed: int) -> Schedule:
    """Shuffles the documents for each epoch, takes `step.documents` of them for each step and packs them into rows.

    1. `sizes` are the documents' numbers of tokens. `counts` are their weights in the mean loss of a step (1, or the
       number of predicted tokens).
    2. All steps have the same number of rows, a multiple of `step.processes`. It is the smallest that keeps every row
       within `step.row_tokens`, unless a single document is longer.
    3. The documents of a step are assigned longest first, each to the row with the fewest tokens. The longest row is
       then at most a third longer than in the best assignment (Graham 1969).
    4. A row that gets no document repeats the step's shortest document with weight 0.

    The mean loss of a step does not depend on `step.row_tokens` or `step.processes`.
    """
    n, per_step, processes = len(sizes), step.documents, step.processes
    per_epoch = -(-n // per_step)
    orders = [np.random.default_rng([seed, epoch]).permutation(n) for epoch in range(math.ceil(epochs))]
    groups = [
        [int(index) for index in order[start : start + per_step]] for order in orders for start in range(0, n, per_step)
    ][: math.ceil(per_epoch * epochs)]
    needed = (_rows_needed([sizes[i] for i in group], step.row_tokens) for group in groups)
    rows = processes * max(-(-count // processes) for count in needed)
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
    """Distribute the indices of `sizes` over `rows` bins of nearly equal totals, in ascending order within a bin."""
    bins: list[list[int]] = [[] for _ in range(rows)]
    heap = [(0, row) for row in range(rows)]
    for place in sorted(range(len(sizes)), key=lambda k: -sizes[k]):
        total, row = heapq.heappop(heap)
        bins[row].append(place)
        heapq.heappush(heap, (total + sizes[place], row))
    return [sorted(places) for places in bins]

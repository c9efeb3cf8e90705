"""CUDA graphs of training: the launches of a row's forward and backward passes, recorded once for each shape of row.

A small model's kernels take less time than the processor needs to launch them one by one, and a graph launches all of
them at once. Rows of one shape recur, because `pack` rounds their lengths up on CUDA.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tarazu.align.rows.documents import Document
from tarazu.align.rows.layout import Layout, Sequences
from tarazu.align.rows.packing import Batch, Shape, planned_shape, shape_of

LEAST_ROWS = 4
"""Rows of one shape in a training from which on a graph is worth its recording, which takes as long as several rows."""


@dataclass(frozen=True)
class Passes:
    """What a row's forward and backward passes return, detached: its loss, the scores of its branches, and sums for the
    training curve. The gradients are in the parameters."""

    loss: Tensor
    scores: Tensor
    sums: dict[str, Tensor]


def recurring_shapes(rows: Iterable[Sequence[Document]], multiple: int) -> frozenset[Shape]:
    """The shapes of which a training has enough rows. They depend on the plan only, so that a training that resumes
    records the same graphs."""
    shapes = Counter(planned_shape(row, multiple) for row in rows)
    return frozenset(shape for shape, count in shapes.items() if count >= LEAST_ROWS)


class RowGraphs:
    """Runs the passes of rows by graphs, which it records when it first meets a shape.

    `passes` computes the loss of a batch with a model and adds its gradients to the parameters. All graphs share one
    pool of memory, and one set of gradients outside of it.
    """

    def __init__(self, passes: Callable[[Any, Batch], Passes]) -> None:
        self._passes = passes
        self._pool = torch.cuda.graph_pool_handle()
        self._graphs: dict[Shape, tuple[Any, Any, Passes]] = {}
        self._gradients: dict[Any, Tensor] = {}

    def run(self, model: Any, batch: Batch) -> Passes:
        """Raises RuntimeError if the model's passes cannot be recorded, for example because they read a value back."""
        shape = shape_of(batch)
        if shape not in self._graphs:
            self._graphs[shape] = self._record(model, batch)
        graph, inputs, outputs = self._graphs[shape]
        _fill(inputs, batch)
        self._attach()
        graph.replay()
        # The next replay overwrites the outputs.
        sums = {name: value.clone() for name, value in outputs.sums.items()}
        return Passes(outputs.loss.clone(), outputs.scores.clone(), sums)

    def _record(self, model: Any, batch: Batch) -> tuple[Any, Any, Passes]:
        inputs = _inputs(batch)
        parameters = [one for one in model.parameters() if one.requires_grad]
        gradients = [one.grad for one in parameters]
        random = torch.cuda.get_rng_state()
        for one in parameters:
            one.grad = None
        # Passes outside of a graph first: kernels are chosen, and the parameters that get gradients are found.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._passes(model, inputs)
        torch.cuda.current_stream().wait_stream(stream)
        for one in parameters:
            if one.grad is not None:
                one.grad = self._gradients.setdefault(one, torch.zeros_like(one))
        graph = torch.cuda.CUDAGraph()
        inputs["layout"] = _FixedLayout(batch["layout"], inputs["input_ids"].device)  # without the cache of that pass
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                outputs = self._passes(model, inputs)
        finally:
            for one, gradient in zip(parameters, gradients, strict=True):
                one.grad = gradient
            torch.cuda.set_rng_state(random)
        return graph, inputs, outputs

    def _attach(self) -> None:
        """Give the parameters the gradients that graphs add to, with the sums so far of this step."""
        for one, gradient in self._gradients.items():
            if one.grad is not gradient and one.grad is not None:
                gradient.copy_(one.grad)
        if new := [gradient for one, gradient in self._gradients.items() if one.grad is None]:
            torch._foreach_zero_(new)
        for one, gradient in self._gradients.items():
            one.grad = gradient


class _FixedLayout(Layout):
    """A layout as tensors on the GPU, which each row overwrites."""

    def __init__(self, like: Layout, device: torch.device) -> None:
        super().__init__((), padded=like.padded)
        self.deepest = like.deepest
        self._segments = tuple(numbers.to(device) for numbers in like.segments())
        self._found = like.sequences().to(device)

    def segments(self) -> tuple[Tensor, Tensor]:
        segment, stem = self._segments
        return segment, stem

    def sequences(self) -> Sequences:
        return self._found

    def tensors(self) -> tuple[Tensor, ...]:
        return (*self._segments, *self._found.tensors)


def _inputs(batch: Batch) -> Any:
    """The inputs of a graph: copies of a batch's tensors, and its weight and layout as tensors."""
    device = batch["input_ids"].device
    inputs = {name: part.clone() if isinstance(part, Tensor) else part for name, part in batch.items()}
    inputs["layout"] = _FixedLayout(batch["layout"], device)
    inputs["weight"] = torch.tensor(batch["weight"], dtype=torch.float64, device=device)
    return inputs


def _fill(inputs: Any, batch: Batch) -> None:
    for name, part in batch.items():
        if isinstance(part, Tensor):
            inputs[name].copy_(part, non_blocking=True)
    layout = batch["layout"]
    new = (*layout.segments(), *layout.sequences().tensors)
    for mine, part in zip(inputs["layout"].tensors(), new, strict=True):
        mine.copy_(part, non_blocking=True)
    inputs["weight"].fill_(batch["weight"])

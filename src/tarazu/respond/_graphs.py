"""CUDA graphs of decoding: the launches of a step, recorded once for each number of rows.

Launching a step's kernels one by one takes the processor longer than the GPU needs to run them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tarazu.respond._slots import Slots, Span, Step

_SIZES = 4  # numbers of rows for which graphs are recorded: quarters of the slots


class StepGraphs:
    """Decodes a token of each of the first slots by a graph.

    A graph has a fixed number of rows and reads whole slots. Rows beyond those in use compute in free slots, whose
    contents the next prompt overwrites. `hidden` runs the model: tokens (1, rows) and a step to hidden states
    (rows, size).
    """

    def __init__(self, hidden: Callable[[Tensor, Step], Tensor], slots: Slots, longest: int) -> None:
        self._hidden, self._slots, self._longest = hidden, slots, longest
        self._pool = torch.cuda.graph_pool_handle()
        self._graphs: dict[int, tuple[Any, Tensor, Tensor, Tensor]] = {}

    def __call__(self, tokens: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """Hidden states (rows, size) after the last `tokens` of rows that hold `lengths` tokens before them. Raises
        RuntimeError if the model cannot be recorded."""
        quarter = -(-self._slots.rows // _SIZES)
        rows = min(self._slots.rows, -(-len(tokens) // quarter) * quarter)
        free = [0] * (rows - len(tokens))
        now = torch.tensor([[*tokens, *free], [*lengths, *free]], device=self._slots.seen.device)
        if rows not in self._graphs:
            self._graphs[rows] = self._record(now)
        graph, ids, held, hidden = self._graphs[rows]
        ids.copy_(now[:1])
        held.copy_(now[1])
        graph.replay()
        return hidden[: len(tokens)].clone()

    def _record(self, now: Tensor) -> tuple[Any, Tensor, Tensor, Tensor]:
        ids, held, rows = now[:1].clone(), now[1].clone(), now.shape[1]

        def step() -> Tensor:
            whole = [Span(0, rows, self._slots.width)]
            plan = Step(slots=self._slots, lengths=held, spans=whole, longest=self._longest)
            return self._hidden(ids, plan)

        # A pass outside of a graph first, in which kernels are chosen. It stores what the replay stores again.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            hidden = step()
        return graph, ids, held, hidden

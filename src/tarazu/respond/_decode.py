"""Decodes many sequences together: prompts take free slots, and finished rows release them.

sorted requests -> prefill (packed, after the prefix that all share) -> steps of one token per row -> tokens
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tarazu.respond._graphs import StepGraphs
from tarazu.respond._pick import NOT_FINITE, Head, sample
from tarazu.respond._slots import (
    CannotDecode,
    Prefill,
    Slots,
    Step,
    default_batch_tokens,
    spans_of,
    use_slot_attention,
)
from tarazu.respond.engine import Request
from tarazu.respond.finish import not_finite
from tarazu.study.generation import Sampling

_PREFILL_TOKENS = 4096  # of one forward pass over prompts: activations stay small beside the keys and values
_CHECK_INTERVAL = 8  # steps between checks for responses that may end early
_REPORT_INTERVAL = 4  # steps between reports of progress


@dataclass(kw_only=True)
class Row:
    """A sequence that is being decoded: the requests that it answers, and its tokens so far."""

    request: Request
    answers: list[int]
    draws: np.ndarray | None
    tokens: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        """The number of tokens with stored keys and values: all but the last."""
        return len(self.request.ids) + len(self.tokens) - 1


class Decoder:
    """Decodes with a causal language model in slots. Greedy unless `sampling` is given.

    `is_over` reports for the tokens of each row whether its response is complete although the model would continue.
    """

    def __init__(
        self,
        model: Any,
        ends: Sequence[int],
        *,
        batch_tokens: int | None = None,
        sampling: Sampling | None = None,
        is_over: Callable[[Sequence[Sequence[int]]], Sequence[bool]] | None = None,
    ) -> None:
        self.model, self.ends = model, frozenset(ends)
        self.batch_tokens = batch_tokens or default_batch_tokens(model)
        self.sampling, self.is_over = sampling, is_over
        self.head = Head(model)
        self.device = model.device
        self.records = self.device.type == "cuda"
        """Whether steps are recorded as CUDA graphs: on a GPU, unless that failed."""

    @torch.no_grad()
    def decode(self, requests: Sequence[Request], progress: Callable[[int, int], None]) -> list[list[int]]:
        """The tokens generated for each request, including the end token if there is one.

        `progress` counts a response that is being generated as the share of its budget that it has: a thousand that are
        generated together end together, and until then the count of finished ones stays at 0.
        """
        generated: list[list[int]] = [[] for _ in requests]
        rows: Sequence[Row] = self._rows(requests)
        done = 0

        def finish(row: Row) -> None:
            nonlocal done
            for index in row.answers:
                generated[index] = row.tokens
            done += len(row.answers)

        def report(active: Sequence[Row]) -> None:
            begun = sum(len(row.tokens) / row.request.budget * len(row.answers) for row in active)
            progress(done + int(begun), len(requests))

        with use_slot_attention(self.model):
            while rows:
                group, rows = _first_group(rows)
                self._decode_group(group, _width(group[0]), finish, report)
        return generated

    def _rows(self, requests: Sequence[Request]) -> list[Row]:
        """The rows to generate, longest first. Equal requests share a row if their answers would be the same."""
        alike: dict[Any, Row] = {}
        for index, request in enumerate(requests):
            key = (request.ids, request.budget, request.seed if self.sampling else 0)
            if key not in alike:
                draws = np.random.default_rng(request.seed).random(request.budget) if self.sampling else None
                alike[key] = Row(request=request, answers=[], draws=draws)
            alike[key].answers.append(index)
        return sorted(alike.values(), key=lambda row: (-_width(row), -len(row.request.ids), row.request.ids))

    def _decode_group(
        self,
        group: Sequence[Row],
        width: int,
        finish: Callable[[Row], None],
        report: Callable[[Sequence[Row]], None],
    ) -> None:
        room = max(1, self.batch_tokens // width)
        room = -(-len(group) // -(-len(group) // room))  # the fewest full batches, of equal sizes
        longest = width
        slots = Slots(room, width, self.device, self.model.dtype)
        shared = _common_prefix([row.request.ids for row in group])
        prefix = self._prefix(group[0].request.ids[:shared], longest)
        graphs = StepGraphs(self._hidden, slots, longest) if self.records else None
        waiting, active = deque(group), list[Row]()
        steps = 0
        while waiting or active:
            if waiting and (not active or 4 * (room - len(active)) >= room):
                before = len(active)
                while waiting and len(active) < room:
                    active += self._admit(waiting, slots, slice(len(active), room), prefix, longest)
                active = self._drop(active, slots, finish, since=before)
                report(active)
                continue
            last, lengths = [row.tokens[-1] for row in active], [row.length for row in active]
            if graphs is None:
                held = torch.tensor(lengths, device=self.device)
                spans = spans_of([length + 1 for length in lengths], self.device)
                plan = Step(slots=slots, lengths=held, spans=spans, longest=longest)
                hidden = self._hidden(torch.tensor([last], device=self.device), plan)
            else:
                try:
                    hidden = graphs(last, lengths)
                except torch.OutOfMemoryError:
                    raise
                except RuntimeError:  # the model reads a value back, for example
                    graphs, self.records = None, False
                    continue
            self._extend(active, hidden)
            steps += 1
            active = self._drop(active, slots, finish, check=steps % _CHECK_INTERVAL == 0)
            if steps % _REPORT_INTERVAL == 0 or not active:
                report(active)

    def _prefix(self, ids: Sequence[int], longest: int) -> Slots | None:
        """A slot with the keys and values of the tokens that all prompts begin with."""
        if not ids:
            return None
        slots = Slots(1, len(ids), self.device, self.model.dtype)
        plan = Prefill(slots=slots, first=0, before=0, lengths=[len(ids)], longest=longest)
        self._hidden(torch.tensor([ids], device=self.device), plan)
        return slots

    def _admit(self, waiting: deque[Row], slots: Slots, free: slice, prefix: Slots | None, longest: int) -> list[Row]:
        """Prefill the next prompts into the slots `free`, and give each its first token. Rows with the same prompt
        (several samples) share a prefill."""
        first, shared = free.start, 0 if prefix is None else prefix.width
        admitted: list[Row] = []
        sizes: list[int] = []  # rows of each distinct prompt
        tokens = 0
        while waiting and first + len(admitted) < free.stop:
            row = waiting[0]
            if admitted and row.request.ids == admitted[-1].request.ids:
                sizes[-1] += 1
            elif tokens and tokens + len(row.request.ids) - shared > _PREFILL_TOKENS:
                break
            else:
                tokens += len(row.request.ids) - shared
                sizes.append(1)
            admitted.append(waiting.popleft())
        starts = np.cumsum([0, *sizes[:-1]]).tolist()
        prompts = [admitted[start].request.ids[shared:] for start in starts]
        if prefix is not None:
            slots.take(prefix, slice(first, first + len(prompts)), shared)
        plan = Prefill(slots=slots, first=first, before=shared, lengths=[len(ids) for ids in prompts], longest=longest)
        flat = torch.tensor([[token for ids in prompts for token in ids]], device=self.device)
        hidden = self._hidden(flat, plan)[torch.tensor(plan.lengths, device=self.device).cumsum(0) - 1]
        # From the last prompt to the first, so that no prompt is overwritten before it has been copied.
        for index in reversed(range(len(prompts))):
            target = slice(first + starts[index], first + starts[index] + sizes[index])
            if (target.start, target.stop) != (first + index, first + index + 1):
                slots.repeat(first + index, target, len(prompts[index]) + shared)
        lengths = torch.tensor([len(row.request.ids) for row in admitted], device=self.device)
        slots.fill(slice(first, first + len(admitted)), lengths)
        self._extend(admitted, hidden.repeat_interleave(torch.tensor(sizes, device=self.device), dim=0))
        return admitted

    def _hidden(self, ids: Tensor, plan: Prefill | Step) -> Tensor:
        """The model's last hidden states for one row of tokens, (tokens, size)."""
        output = self.model.base_model(
            input_ids=ids, position_ids=plan.positions[None], attention_mask=None, use_cache=False, plan=plan
        )
        return output.last_hidden_state[0]

    def _extend(self, rows: Sequence[Row], hidden: Tensor) -> None:
        """Add the next token to each row. Raises NotFinite."""
        if self.sampling is None:
            picked = self.head.best(hidden)
        else:
            draws = [row.draws[len(row.tokens)] for row in rows if row.draws is not None]
            picked = sample(
                self.head.logits(hidden), self.sampling, torch.tensor(draws, device=self.device, dtype=torch.float64)
            )
        for row, token in zip(rows, picked.tolist(), strict=True):
            if token == NOT_FINITE:
                raise not_finite(self.model, row.request)
            row.tokens.append(token)

    def _drop(
        self, rows: list[Row], slots: Slots, finish: Callable[[Row], None], *, since: int = 0, check: bool = False
    ) -> list[Row]:
        """Finish the rows that have ended, and move the others together in their slots. Rows before `since` have not
        changed and need no check."""
        ended = [
            index >= since and (row.tokens[-1] in self.ends or len(row.tokens) >= row.request.budget)
            for index, row in enumerate(rows)
        ]
        if check and self.is_over is not None:
            early = self.is_over([row.tokens for row in rows])
            ended = [one or other for one, other in zip(ended, early, strict=True)]
        if not any(ended):
            return rows
        for row, has_ended in zip(rows, ended, strict=True):
            if has_ended:
                finish(row)
        left = len(rows) - sum(ended)
        holes = [index for index in range(left) if ended[index]]
        movers = [index for index in range(left, len(rows)) if not ended[index]]
        kept = rows[:left]
        for hole, mover in zip(holes, movers, strict=True):
            slots.move(mover, hole, rows[mover].length)
            kept[hole] = rows[mover]
        return kept

    @torch.no_grad()
    def can_decode(self, prompts: Sequence[Sequence[int]], longest: int) -> bool:
        """Whether the model gives the same logits in slots as for a single text.

        Tests the beginnings of some prompts. Their last tokens are decoded one by one.
        """
        texts = [list(ids[:_PROBED]) for ids in prompts if len(ids) > 2]
        if _stretches(self.model.config) or not texts:
            return False
        alone = [self.model(torch.tensor([ids], device=self.device), use_cache=False).logits[0, -1] for ids in texts]
        heads = [len(ids) - 2 for ids in texts]
        try:
            with use_slot_attention(self.model):
                slots = Slots(len(texts), _PROBED, self.device, self.model.dtype)
                plan = Prefill(slots=slots, first=0, before=0, lengths=heads, longest=longest)
                flat = [token for ids, head in zip(texts, heads, strict=True) for token in ids[:head]]
                self._hidden(torch.tensor([flat], device=self.device), plan)
                lengths = torch.tensor(heads, device=self.device)
                slots.fill(slice(0, len(texts)), lengths)
                for back in (2, 1):
                    spans = spans_of((lengths + 1).tolist(), self.device)
                    step = Step(slots=slots, lengths=lengths, spans=spans, longest=longest)
                    last = torch.tensor([[ids[-back] for ids in texts]], device=self.device)
                    hidden = self._hidden(last, step)
                    lengths = lengths + 1
        except (CannotDecode, TypeError, ValueError, NotImplementedError, AttributeError):
            return False
        expected, actual = torch.stack(alone).float(), self.head.logits(hidden).float()
        # A token that attends to a wrong token, or a scaled head, causes a larger difference than rounding.
        tolerance = 2e-3 if self.model.dtype == torch.float32 else 3e-2
        return bool((expected - actual).abs().max() < tolerance * expected.abs().max().clamp(min=1.0))


_PROBED = 16  # tokens
_LEAST_ROWS = 64  # in a group


def _stretches(config: Any) -> bool:
    """Whether rotary positions depend on the longest sequence of a pass, which here has many sequences."""
    parameters = getattr(config, "rope_parameters", None) or {}
    kinds = {parameters.get("rope_type")}
    kinds |= {part.get("rope_type") for part in parameters.values() if isinstance(part, dict)}
    return bool(kinds & {"dynamic", "longrope"})


def _width(row: Row) -> int:
    return len(row.request.ids) + row.request.budget


def _first_group(rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """The rows to decode together, and the others; `rows` has the longest first.

    All slots of a group are as wide as its longest sequence, so much shorter sequences form groups of their own, unless
    they are few: then reading the weights is most of a pass, and a group of its own would read them again.
    """
    long = sum(2 * _width(row) >= _width(rows[0]) for row in rows)
    count = max(long, _LEAST_ROWS)
    if len(rows) - count < _LEAST_ROWS:
        count = len(rows)
    return rows[:count], rows[count:]


def _common_prefix(prompts: Sequence[tuple[int, ...]]) -> int:
    """The number of tokens that all prompts begin with. Each prompt keeps at least one token of its own."""
    low, high = min(prompts), max(prompts)
    most = min(len(ids) for ids in prompts) - 1
    differing = (index for index, (a, b) in enumerate(zip(low, high, strict=False)) if a != b)
    return min(most, next(differing, min(len(low), len(high)))) if len(prompts) > 1 else 0

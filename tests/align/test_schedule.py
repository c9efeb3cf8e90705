"""The schedule has every document once per epoch, keeps rows within their limit, and gives means independent of
packing."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazu.align.rows.schedule import StepSize, schedule

sizes_ = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(
    sizes=sizes_,
    per_step=st.integers(1, 12),
    epochs=st.sampled_from([0.5, 1, 1.7, 3]),
    row_tokens=st.integers(8, 200),
    processes=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_a_schedule(sizes: list[int], per_step: int, epochs: float, row_tokens: int, processes: int, seed: int) -> None:
    counts = [1 + size % 7 for size in sizes]
    plan = schedule(
        sizes,
        counts,
        StepSize(documents=per_step, row_tokens=row_tokens, processes=processes),
        epochs=epochs,
        seed=seed,
    )
    assert len(plan.steps) == math.ceil(math.ceil(len(sizes) / per_step) * epochs)
    assert {len(step) for step in plan.steps} == {plan.rows_per_step}
    assert plan.rows_per_step % processes == 0
    for step in plan.steps:
        real = [row for row in step if row.weight]
        chosen = [index for row in real for index in row.documents]
        assert 1 <= len(chosen) <= per_step
        # The Trainer divides by the number of rows in a step, which leaves one over the total count.
        assert real[0].weight / plan.rows_per_step == pytest.approx(1 / sum(counts[i] for i in chosen))
        for row in step:
            assert row.documents
            assert len(row.documents) == 1 or sum(sizes[i] for i in row.documents) <= row_tokens
    for epoch in range(int(epochs)):
        own = plan.steps[epoch * plan.per_epoch : (epoch + 1) * plan.per_epoch]
        seen = Counter(index for step in own for row in step if row.weight for index in row.documents)
        assert seen == Counter(range(len(sizes)))


@given(sizes=sizes_, seed=st.integers(0, 5))
def test_steps_do_not_depend_on_packing_or_processes(sizes: list[int], seed: int) -> None:
    def members(row_tokens: int, processes: int) -> list[set[int]]:
        size = StepSize(documents=4, row_tokens=row_tokens, processes=processes)
        plan = schedule(sizes, sizes, size, epochs=2, seed=seed)
        return [{index for row in step if row.weight for index in row.documents} for step in plan.steps]

    assert members(8, 1) == members(500, 1) == members(60, 3)


def test_epochs_differ_in_order_and_seeds_in_schedule() -> None:
    def order(seed: int) -> list[int]:
        plan = schedule([1] * 50, [1] * 50, StepSize(documents=1, row_tokens=8), epochs=2, seed=seed)
        return [row.documents[0] for step in plan.steps for row in step]

    assert order(1)[:50] != order(1)[50:]
    assert order(1) != order(2)
    assert order(1) == order(1)

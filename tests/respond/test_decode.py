"""Greedy decoding in slots agrees token for token with plain generate without padding."""

from __future__ import annotations

import random
from typing import Any

import pytest
import tiny
import torch
from decoding import ENDS, MODELS, compared, likely_to_end, requests
from hypothesis import given
from hypothesis import strategies as st

from tarazu.respond._plain import generate_alone
from tarazu.respond._slots import default_batch_tokens, spans_of
from tarazu.respond._transformers import TransformersEngine
from tarazu.respond.agreement import NEAR_TIE, Agreement, agreement
from tarazu.respond.engine import Request
from tarazu.respond.finish import response
from tarazu.study.generation import Generation


@pytest.mark.parametrize("name", MODELS)
def test_greedy_tokens_are_those_of_plain_generate(name: str) -> None:
    queries = requests(70, seed=2)
    counted = compared(likely_to_end(MODELS[name]()), queries, batch_tokens=700)
    assert counted.differing == 0
    assert counted.equal >= 0.97 * len(queries)


@pytest.mark.proof
@pytest.mark.parametrize("batch_tokens", [60, 700, 16384])
@pytest.mark.parametrize("name", MODELS)
def test_thousands_of_greedy_responses(name: str, batch_tokens: int) -> None:
    counted = compared(likely_to_end(MODELS[name]()), requests(1200, seed=3), batch_tokens=batch_tokens)
    print(f"{name}, {batch_tokens} tokens at a time: {counted}")
    assert counted.differing == 0
    assert counted.equal >= 0.97 * 1200


def test_rows_end_and_others_reuse_their_slots() -> None:
    """Only some rows end early, so slots are filled again and rows move."""
    model = likely_to_end(tiny.opt())
    queries = [Request(ids=one.ids, budget=20) for one in requests(60, seed=5)]
    with torch.no_grad():
        model.get_output_embeddings().weight[2] += 0.35 * model.get_output_embeddings().weight[20:60].sum(dim=0)
    engine = TransformersEngine(model, tiny.tokenizer(), Generation(cut_at_next_turn=False))
    lengths = {len(row) for row in engine.tokens(queries, tiny.silent)[0]}
    assert len(lengths) > 3
    assert compared(model, queries, batch_tokens=400).differing == 0


@pytest.mark.parametrize(("short", "groups"), [(20, 1), (63, 1), (64, 2)])
def test_a_few_short_prompts_are_decoded_with_the_long_ones(short: int, groups: int) -> None:
    """A pass reads all weights, so few rows share it whatever their lengths. Many short rows get slots of their own."""
    draw, budget, passes = random.Random(1), 12, 0
    queries = [
        Request(ids=tuple(draw.randrange(4, 260) for _ in range(size)), budget=budget)
        for size in [100] * 64 + [9] * short
    ]
    model = tiny.perturbed(tiny.opt(), seed=1, size=0.4)
    engine = TransformersEngine(model, tiny.tokenizer(), Generation(cut_at_next_turn=False))
    engine.decoder.ends = set()  # so that every row takes its budget

    def count(*_: Any) -> None:
        nonlocal passes
        passes += 1

    handle = model.model.register_forward_hook(count)
    engine.decoder.decode(queries, lambda *_: None)
    handle.remove()
    steps = groups * (budget - 1)
    assert steps < passes < steps + budget
    assert compared(model, queries).differing == 0


@given(st.lists(st.integers(1, 400), min_size=1, max_size=80))
def test_attention_reads_few_keys_that_no_sequence_has(lengths: list[int]) -> None:
    """Of sorted sequences, all of a span but its first four have three quarters of its length at least."""
    for rows in (lengths, sorted(lengths, reverse=True)):
        spans = spans_of(rows, torch.device("cpu"))
        assert [place for span in spans for place in range(span.start, span.stop)] == list(range(len(rows)))
        assert all(span.end == max(rows[span.start : span.stop]) for span in spans)
        assert sum(span.stop - span.start >= 4 for span in spans) >= len(spans) - 1
    assert all(length >= 0.75 * end for start, stop, end in spans for length in rows[start + 4 : stop])
    assert spans_of(lengths, torch.device("cuda")) == [(0, len(lengths), max(lengths))]


def test_progress_counts_what_is_being_generated() -> None:
    """All responses end together here; the reports must not wait for the end."""
    queries = [Request(ids=one.ids, budget=20) for one in requests(30, seed=6)]
    counts: list[int] = []
    engine = TransformersEngine(tiny.opt(), tiny.tokenizer(), Generation(cut_at_next_turn=False))
    engine.answer(queries, lambda done, of, state: counts.append(done))
    assert counts == sorted(counts) and counts[-1] == 30
    assert min(abs(count - 15) for count in counts) <= 2


@pytest.mark.parametrize("model", [tiny.bloom, lambda: tiny.windowed(16)], ids=["alibi", "window"])
def test_a_model_that_slots_do_not_support_uses_plain_generate_and_reports_it(model: Any) -> None:
    made = likely_to_end(model())
    queries = requests(12, seed=4)
    engine = TransformersEngine(made, tiny.tokenizer(), Generation(cut_at_next_turn=False))
    states: list[str] = []
    found, notes = engine.answer(queries, lambda done, of, state: states.append(state))
    assert notes == {"responses by plain generate: the model cannot be decoded in slots": 12}
    assert set(states) == {"responses by plain generate"}
    rows, _ = engine.tokens(queries, tiny.silent)
    for one, row, answer in zip(queries, rows, found, strict=True):
        alone, _ = generate_alone(made, one.ids, one.budget, ENDS, 1)
        assert row[: len(alone)] == alone
        assert answer.tokens == len([token for token in alone if token != 2])


def test_a_window_longer_than_every_sequence_is_supported() -> None:
    assert compared(likely_to_end(tiny.windowed(400)), requests(10, seed=4)).differing == 0


def test_early_cuts_change_no_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that begins a new turn in the middle of its output is stopped soon after, with the same response."""
    model, tokens = likely_to_end(tiny.opt()), tiny.tokenizer()
    queries = [Request(ids=one.ids, budget=40) for one in requests(10, seed=6)]
    complete = [generate_alone(model, one.ids, 40, ENDS, 1)[0] for one in queries]
    turn = tokens.decode(max(complete, key=len)[9:11])
    monkeypatch.setattr("tarazu.respond._transformers.TURN_HUMAN", turn)
    monkeypatch.setattr("tarazu.respond.finish.TURN_HUMAN", turn)
    engine = TransformersEngine(model, tokens, Generation())
    rows, _ = engine.tokens(queries, tiny.silent)
    assert sum(map(len, rows)) < sum(map(len, complete))
    found, _ = engine.answer(queries, tiny.silent)
    assert found == [response(row, ENDS, tokens, True) for row in complete]
    assert "cut" in {one.finish for one in found}


def test_near_ties_are_counted_separately() -> None:
    plain, leads = [[5, 6, 7], [5, 6, 7], [5, 6, 7]], [[1.0, NEAR_TIE / 2, 1.0]] * 3
    assert agreement([[5, 6, 7], [5, 9, 7], [9, 6, 7]], plain, leads) == Agreement(equal=1, near_ties=1, differing=1)
    assert agreement([[5, 6]], [[5, 6, 7]], [[1.0, 1.0, 1.0]]).differing == 1


def test_the_default_batch_tokens_follow_from_memory() -> None:
    model = tiny.llama()  # 2 layers, keys and values of 2 heads of 8 numbers, 4 bytes each
    assert default_batch_tokens(model) == 2**31 // (2 * 2 * 2 * 8 * 4)
    assert default_batch_tokens(model.half()) == 2 * default_batch_tokens(tiny.llama())

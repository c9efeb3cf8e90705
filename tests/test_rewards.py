"""Rewards against the model called on one row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny
import torch

from tarazu.reward.score import score
from tarazu.study.schema import RewardModel

ROWS = [
    ("Why?", "Because."),
    ("How is rice cooked?", "In water, until it is soft."),
    ("Hi", ""),
    ("Why?", "No."),
    ("Hi", ""),
]


def settings(**changes: Any) -> RewardModel:
    return RewardModel(model="tiny", **changes)


def alone(model: Any, *text: str) -> float:
    # Lists of one: called with bare strings, the tokenizer takes an empty response for no second segment at all.
    inputs = tiny.tokenizer()(*([part] for part in text), return_tensors="pt")
    with torch.no_grad():
        return float(model(**inputs).logits[0, 0])


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_pair_input_is_two_segments(batch_size: int) -> None:
    model = tiny.pair_reward()
    found, cut = score(model, tiny.tokenizer(), ROWS, settings(batch_size=batch_size), progress=tiny.silent)
    assert np.allclose(found, [alone(model, *row) for row in ROWS], atol=1e-5)
    assert cut == 0
    assert found.std() > 1e-3


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_transcript_input_is_one_text(batch_size: int) -> None:
    model = tiny.opt_reward()
    found, _ = score(
        model, tiny.tokenizer(), ROWS, settings(input="transcript", batch_size=batch_size), progress=tiny.silent
    )
    expected = [alone(model, f"\n\nHuman: {prompt}\n\nAssistant: {response}") for prompt, response in ROWS]
    assert np.allclose(found, expected, atol=1e-5)


def test_equal_rows_are_scored_once() -> None:
    model = tiny.pair_reward()
    rows_seen = 0

    def count(module: Any, arguments: Any, keywords: Any) -> None:
        nonlocal rows_seen
        rows_seen += len(keywords["input_ids"])

    model.register_forward_pre_hook(count, with_kwargs=True)
    score(model, tiny.tokenizer(), ROWS * 3, settings(), progress=tiny.silent)
    assert rows_seen == len(set(ROWS))


def test_long_transcripts_lose_their_beginning_not_the_response() -> None:
    model = tiny.opt_reward()
    short = settings(input="transcript", max_length=40)
    prompt = "x" * 200
    (first, second), cut = score(
        model, tiny.tokenizer(), [(prompt, "Yes."), (prompt, "No, never.")], short, progress=tiny.silent
    )
    assert cut == 2
    assert first != second
    assert tiny.tokenizer().truncation_side == "right"  # as it was


def test_no_rows_no_rewards() -> None:
    found, cut = score(tiny.pair_reward(), tiny.tokenizer(), [], settings(), progress=tiny.silent)
    assert found.shape == (0,)
    assert cut == 0

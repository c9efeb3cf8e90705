"""In a packed row, every branch gets the same predictions as in a row of its own."""

from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from tarazu.align.attention import use_tree_attention
from tarazu.align.flops import cost
from tarazu.align.forward import branch_log_probs, branch_rewards, can_be_packed
from tarazu.align.graphs import recurring_shapes
from tarazu.align.rows.documents import Document
from tarazu.align.rows.layout import Tree
from tarazu.align.rows.packing import CUDA_MULTIPLE, PREDICTIONS_MULTIPLE, pack, pad, planned_shape, shape_of

PAD = 1
MODELS = [tiny.opt, tiny.llama, tiny.qwen]

tokens = st.lists(st.integers(4, tiny.VOCABULARY - 1), max_size=9)
documents_ = st.lists(
    st.builds(Document, tokens, st.lists(tokens.filter(len), min_size=1, max_size=3)), min_size=1, max_size=5
)


def alone(model: Any, document: Document) -> list[float]:
    """Log-probability of each branch, from a plain forward pass over the stem and that branch."""
    found = []
    for branch in document.branches:
        ids = torch.tensor([[*document.stem, *branch]])
        logs = model(input_ids=ids).logits[0].log_softmax(-1)
        places = range(max(1, len(document.stem)), ids.shape[1])
        found.append(float(sum(logs[place - 1, ids[0, place]] for place in places)))
    return found


def packed(model: Any, documents: list[Document]) -> torch.Tensor:
    with use_tree_attention(model):
        return branch_log_probs(model, pack(documents))[0]


@pytest.mark.parametrize("make", MODELS)
@settings(max_examples=60, deadline=None)
@given(documents=documents_)
def test_a_packed_branch_has_the_predictions_of_a_separate_row(make: Any, documents: list[Document]) -> None:
    model = make()
    with torch.no_grad():
        expected = [value for document in documents for value in alone(model, document)]
        assert packed(model, documents).tolist() == pytest.approx(expected, abs=1e-4)
        assert branch_log_probs(model, pad(documents, PAD))[0].tolist() == pytest.approx(expected, abs=1e-4)


@given(documents=documents_)
def test_a_row_has_each_token_once_and_counts_its_predictions(documents: list[Document]) -> None:
    row = pack(documents)
    assert row["input_ids"].shape == (1, sum(document.tokens for document in documents))
    assert int(row["lengths"].sum()) == len(row["target"]) == sum(document.predicted for document in documents)
    assert torch.equal(row["lengths"], (pad(documents, PAD)["labels"] != -100).sum(1))
    assert row["layout"].trees[-1].end == row["input_ids"].shape[1]


def test_tokens_attend_to_the_stem_and_their_own_branch() -> None:
    seen = Tree(0, 2, (2, 1)).sees().int().tolist()
    assert seen == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]


@pytest.mark.parametrize("make", MODELS)
def test_other_documents_in_a_row_change_nothing(make: Any) -> None:
    """The weights are scaled up, so that attending to a wrong token changes the result visibly."""
    model = tiny.perturbed(make(), seed=1, size=0.3)
    one = Document([5, 6, 7], [[8, 9], [10, 11, 12]])
    with torch.no_grad():
        first = packed(model, [Document([20, 21], [[22], [23]]), one])[2:]
        second = packed(model, [Document([90, 91], [[92], [93]]), one])[2:]
        other_branch = packed(model, [Document([5, 6, 7], [[50, 51], [10, 11, 12]])])[1]
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0)
    torch.testing.assert_close(first[1], other_branch, atol=1e-5, rtol=0)


def test_rewards_of_packed_branches_are_those_of_separate_texts() -> None:
    model = tiny.opt_reward()
    documents = [Document([5, 6, 7], [[8, 9], [10, 11, 12]]), Document([13, 14], [[15], [16, 17, 18, 19]])]
    with torch.no_grad():
        with use_tree_attention(model):
            found, _ = branch_rewards(model, pack(documents))
        expected = [
            model(input_ids=torch.tensor([[*document.stem, *branch]])).logits.item()
            for document in documents
            for branch in document.branches
        ]
    assert found.tolist() == pytest.approx(expected, abs=1e-4)


def test_models_that_cannot_be_packed_are_detected() -> None:
    documents = [Document([5, 6, 7], [[8, 9], [10, 11, 12]]), Document([13, 14], [[15], [16]])]
    for make in MODELS:
        assert can_be_packed(make(), documents, branch_log_probs, PAD)
    assert not can_be_packed(tiny.bloom(), documents, branch_log_probs, PAD)
    assert not can_be_packed(tiny.unpackable(), documents, branch_log_probs, PAD)
    assert can_be_packed(tiny.opt_reward(), documents, branch_rewards, PAD)
    assert not can_be_packed(tiny.pair_reward(), documents, branch_rewards, PAD)


def test_a_window_shorter_than_a_sequence_cannot_be_packed() -> None:
    long, short = Document([5] * 40, [[6] * 40, [7]]), Document([5, 6], [[7], [8]])
    assert not can_be_packed(tiny.windowed(64), [short, long, short, short, short], branch_log_probs, PAD)
    assert can_be_packed(tiny.windowed(64), [short], branch_log_probs, PAD)


def test_attention_is_restored() -> None:
    model = tiny.opt()
    before = model.config._attn_implementation
    with use_tree_attention(model):
        assert model.config._attn_implementation != before
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("frozen", [False, True], ids=["full", "frozen"])
def test_counted_operations_are_those_that_torch_counts(make: Any, frozen: bool) -> None:
    """For one causal branch and eager attention, torch counts the same matrix products, but over all pairs of tokens
    and with a logit for the last token."""
    model = make()
    model.set_attn_implementation("eager")
    if frozen:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("norm" in name)
    document = Document([], [list(range(5, 45))])
    with FlopCounterMode(display=False) as counter:
        model(input_ids=torch.tensor([document.branches[0]])).logits[0, :-1].sum().backward()
    counted = cost(model)
    n = document.tokens
    unseen = counted.attended * (n * n - n * (n + 1) // 2) * 3
    last_logit = 2 * counted.predicted + counted.predicted_trained
    # With the first layers frozen their inputs need no gradient: torch leaves a few products out.
    assert counter.get_total_flops() == pytest.approx(
        counted.step(document) + unseen + last_logit, rel=0.05 if frozen else 1e-9
    )


@pytest.mark.parametrize("multiple", [64, 100])
@pytest.mark.parametrize("make", [tiny.opt, tiny.llama])
def test_padding_rows_to_a_multiple_changes_no_outputs_or_gradients(make: Any, multiple: int) -> None:
    documents = [Document([5, 6, 7], [[8, 9], [10, 11, 12]]), Document([], [[13, 14, 15]]), Document([16], [[17], []])]
    found = {}
    for size in (1, multiple):
        model = make()
        row = pack(documents, multiple=size)
        assert row["input_ids"].shape == row["position_ids"].shape
        assert row["input_ids"].shape[1] % size == len(row["source"]) % (1 if size == 1 else PREDICTIONS_MULTIPLE) == 0
        with use_tree_attention(model):
            logs, lengths = branch_log_probs(model, row)
        logs.sum().backward()
        found[size] = logs.detach(), lengths, tiny.gradients(model)
    torch.testing.assert_close(found[multiple][0], found[1][0], atol=1e-5, rtol=0)
    assert found[multiple][1].tolist() == found[1][1].tolist() == [2, 3, 2, 1, 0]
    for name, gradient in found[multiple][2].items():
        torch.testing.assert_close(gradient, found[1][2][name], atol=1e-5, rtol=0, msg=name)


@pytest.mark.parametrize("multiple", [2, 64, CUDA_MULTIPLE])
@given(
    st.lists(
        st.tuples(st.integers(1, 90), st.lists(st.integers(0, 70), min_size=1, max_size=2)), min_size=1, max_size=6
    )
)
def test_a_planned_shape_is_that_of_the_packed_row(multiple: int, sizes: list[tuple[int, list[int]]]) -> None:
    documents = [Document([5] * stem, [[6] * length for length in branches]) for stem, branches in sizes]
    row = pack(documents, multiple=multiple)
    assert planned_shape(documents, multiple) == shape_of(row)
    found = row["layout"].sequences()
    assert found.starts[-1] == found.uses.shape[1] == row["input_ids"].shape[1]
    assert found.longest >= found.key_starts.diff().max() >= found.starts.diff().max()
    used = [(place, token) for places in found.uses.tolist() for token, place in enumerate(places)]
    real = [(place, token) for place, token in used if place < len(found.keys)]
    assert all(found.keys[place] == token for place, token in real)
    # Each key that a query sees is counted once, and no other: the gradients of the others are not set.
    assert sorted(place for place, _ in real) == list(range(found.key_starts[-1]))
    assert (found.uses[0] < len(found.keys)).all()


def test_shapes_recur_from_four_rows_on() -> None:
    short, long = [Document([5] * 10, [[6] * 5, [7] * 6])], [Document([5] * 400, [[6] * 5, [7] * 6])]
    assert recurring_shapes([short] * 4 + [long] * 3, 64) == {planned_shape(short, 64)}
    assert planned_shape(short, 64) != planned_shape(long, 64)

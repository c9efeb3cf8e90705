"""Training: analytic first losses, invariances, determinism, adapters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from tarazu.align import checkpoints
from tarazu.align.batches import IGNORED, TranscriptCollator
from tarazu.align.losses import bradley_terry_loss, dpo_loss, model_logits, sft_loss
from tarazu.align.tokens import tokenize_pairs
from tarazu.align.train import train, train_reward_model
from tarazu.errors import BadInput
from tarazu.study.schema import DPOArm, SFTArm, Training

PAD = 1


def rows(count: int = 8, max_length: int = 512) -> Any:
    return tokenize_pairs(tiny.pairs(count), tiny.tokenizer(), max_length=max_length)[0]


def fit(model: Any, settings: SFTArm | DPOArm, count: int = 8) -> tuple[Any, list[dict[str, float]]]:
    return train(model, rows(count), settings, pad_id=PAD, seed=3, progress=tiny.silent)


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("make", [tiny.opt, tiny.llama], ids=["opt", "llama"])
@pytest.mark.parametrize("lora", [None, {"r": 4, "target_modules": ["q_proj", "v_proj"]}], ids=["full", "lora"])
def test_the_first_dpo_loss_is_ln_2(make: Any, lora: Any) -> None:
    _, curve = fit(make(), DPOArm(method="dpo", learning_rate=1e-3, lora=lora, batch_size=4))
    assert curve[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert curve[0]["reward_margin"] == pytest.approx(0, abs=1e-5)


def test_dpo_learns_the_preference() -> None:
    _, curve = fit(tiny.opt(), DPOArm(method="dpo", learning_rate=3e-3, epochs=20, schedule="constant"))
    assert curve[-1]["loss"] < 0.1
    assert curve[-1]["reward_accuracy"] == 1.0
    assert curve[-1]["reward_margin"] > 1


@pytest.mark.parametrize(
    "arm",
    [
        lambda **sizes: SFTArm(method="sft", learning_rate=1e-3, schedule="constant", **sizes),
        lambda **sizes: SFTArm(method="sft", learning_rate=1e-3, loss_on="response", schedule="constant", **sizes),
        lambda **sizes: DPOArm(method="dpo", learning_rate=1e-3, schedule="constant", **sizes),
    ],
    ids=["sft", "sft-response", "dpo"],
)
def test_accumulation_does_not_change_training(arm: Any) -> None:
    """1 x 8 and 8 x 1 are the same steps, though the pairs differ in length."""
    whole, _ = fit(tiny.opt(), arm(batch_size=8, gradient_accumulation=1, epochs=3))
    split, _ = fit(tiny.opt(), arm(batch_size=1, gradient_accumulation=8, epochs=3))
    start = weights(tiny.opt())
    moved = 0.0
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(split)[name], value, atol=2e-5, rtol=0)
        moved = max(moved, float((value - start[name]).abs().max()))
    assert moved > 1e-3


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_training_is_deterministic_to_the_bit(method: str) -> None:
    kinds: dict[str, Any] = {"sft": SFTArm(method="sft", batch_size=4), "dpo": DPOArm(method="dpo", batch_size=4)}
    first, curve = fit(tiny.opt(dropout=0.1), kinds[method])
    torch.rand(7)  # whatever random numbers were drawn in between
    second, again = fit(tiny.opt(dropout=0.1), kinds[method])
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())
    drop_time = [{k: v for k, v in row.items() if "runtime" not in k and "per_second" not in k} for row in curve]
    assert drop_time == [
        {k: v for k, v in row.items() if "runtime" not in k and "per_second" not in k} for row in again
    ]


def test_sft_loss_is_that_of_transformers() -> None:
    model = tiny.opt()
    batch = TranscriptCollator(pad_id=PAD, loss_on="transcript")(rows(1))
    theirs = model(input_ids=batch["input_ids"], labels=batch["input_ids"]).loss
    ours = sft_loss(model_logits(model, batch["input_ids"], batch["attention_mask"]), batch["labels"])
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)


def test_response_loss_counts_the_answer_alone() -> None:
    row = rows(1)[0]
    batch = TranscriptCollator(pad_id=PAD, loss_on="response")([row])
    labelled = batch["labels"][0][batch["labels"][0] != IGNORED]
    assert labelled.tolist() == row.chosen


def test_padding_does_not_change_a_row() -> None:
    model = tiny.opt()
    alone = TranscriptCollator(pad_id=PAD, loss_on="transcript")(rows(8)[:1])
    among = TranscriptCollator(pad_id=PAD, loss_on="transcript")(rows(8))
    width = alone["input_ids"].shape[1]
    torch.testing.assert_close(
        model_logits(model, among["input_ids"], among["attention_mask"])[:1, :width],
        model_logits(model, alone["input_ids"], alone["attention_mask"]),
        atol=1e-5,
        rtol=0,
    )


def test_dpo_loss_against_the_paper() -> None:
    """Rafailov et al. 2023, eq. 7, and its label-smoothed form, in plain arithmetic."""
    chosen, rejected, ref_chosen, ref_rejected, beta, eps = -12.0, -15.0, -13.0, -14.5, 0.3, 0.1
    margin = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
    sigmoid = 1 / (1 + math.exp(-margin))
    tensors = [torch.tensor([value], dtype=torch.float64) for value in (chosen, rejected, ref_chosen, ref_rejected)]
    loss, reward_chosen, reward_rejected = dpo_loss(*tensors, beta=beta)
    assert loss.item() == pytest.approx(-math.log(sigmoid))
    assert (reward_chosen.item(), reward_rejected.item()) == pytest.approx((0.3, -0.15))
    smooth, _, _ = dpo_loss(*tensors, beta=beta, label_smoothing=eps)
    assert smooth.item() == pytest.approx(-(1 - eps) * math.log(sigmoid) - eps * math.log(1 - sigmoid))


def test_bradley_terry_against_its_definition() -> None:
    loss = bradley_terry_loss(torch.tensor([1.5]), torch.tensor([0.5]))
    assert loss.item() == pytest.approx(-math.log(math.exp(1.5) / (math.exp(1.5) + math.exp(0.5))))


def test_a_reward_model_learns_to_prefer() -> None:
    settings = Training(learning_rate=3e-3, epochs=20, schedule="constant")
    _, curve = train_reward_model(
        tiny.opt_reward(), rows(), settings, centre=0.01, pad_id=PAD, seed=3, progress=tiny.silent
    )
    assert curve[-1]["reward_accuracy"] == 1.0


def test_dropout_is_switched_off_for_dpo_and_comes_back() -> None:
    model = tiny.opt(dropout=0.3)
    layer = model.model.decoder.layers[0]
    assert layer.dropout == 0.3
    _, curve = fit(model, DPOArm(method="dpo"))
    assert curve[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert layer.dropout == 0.3


def test_an_adapter_leaves_its_base_alone_and_loads_merged(tmp_path: Path) -> None:
    base = tiny.saved(tiny.opt(), tmp_path / "base")
    model = checkpoints.load_causal_lm(base, key="model.path")
    before = weights(model)
    arm = DPOArm(method="dpo", learning_rate=1e-2, epochs=5, lora={"r": 4})
    adapted, _ = fit(model, arm)
    checkpoints.save(adapted, tiny.tokenizer(), tmp_path / "dpo", base="../base")
    for name, value in adapted.base_model.model.state_dict().items():
        if "lora" not in name:
            assert torch.equal(value, before[name.replace(".base_layer", "")]), name
    batch = TranscriptCollator(pad_id=PAD, loss_on="transcript")(rows(4))
    with torch.no_grad():
        expected = model_logits(adapted, batch["input_ids"], batch["attention_mask"])
        loaded = checkpoints.load_causal_lm(str(tmp_path / "dpo"), key="arms.dpo")
        found = model_logits(loaded, batch["input_ids"], batch["attention_mask"])
        plain = model_logits(tiny.opt(), batch["input_ids"], batch["attention_mask"])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (found - plain).abs().max() > 1e-3


def test_lora_on_layers_that_are_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match=r"lora.target_modules: nothing"):
        fit(tiny.opt(), DPOArm(method="dpo", lora={"target_modules": ["nothing"]}))


def test_truncation_is_counted() -> None:
    pairs = tiny.pairs(8)
    kept, counts = tokenize_pairs(pairs, tiny.tokenizer(), max_length=60)
    longest = max(len(row.prompt) + max(len(row.chosen), len(row.rejected)) for row in kept)
    assert longest <= 60
    full, none = tokenize_pairs(pairs, tiny.tokenizer(), max_length=512)
    assert none == {}
    fills = sum(len(row.prompt) >= 60 for row in full)
    over = sum(
        (len(row.prompt) + len(answer) > 60)
        for row in full
        if len(row.prompt) < 60
        for answer in (row.chosen, row.rejected)
    )
    assert counts == {
        name: count for name, count in (("answers truncated", over), ("prompt fills max_length", fills)) if count
    }
    assert fills
    assert over

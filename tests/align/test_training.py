"""Training: analytic first losses, invariances, determinism and adapters."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file

from tarazu.align import checkpoints, flops
from tarazu.align.forward import branch_log_probs
from tarazu.align.rows.documents import documents_of
from tarazu.align.rows.packing import pack, pad
from tarazu.align.tokens import tokenize_pairs
from tarazu.align.train import train, train_reward_model
from tarazu.align.trainer import TrainingRun
from tarazu.conversation.formats import Format
from tarazu.errors import BadInput
from tarazu.study.schema import DPOArm, SFTArm, SimPOArm, Training

PAD = 1


def rows(count: int = 8, max_length: int = 512) -> Any:
    return tokenize_pairs(tiny.pairs(count), Format(tiny.tokenizer()), max_length=max_length)[0]


def fit(model: Any, settings: SFTArm | DPOArm, count: int = 8) -> tuple[Any, list[dict[str, float]]]:
    return train(model, rows(count), settings, run_of())


def run_of(seed: int = 3, progress: Any = tiny.silent, **options: Any) -> TrainingRun:
    return TrainingRun(pad_id=PAD, seed=seed, progress=progress, **options)


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


ARMS: dict[str, Any] = {
    "sft": lambda **sizes: SFTArm(method="sft", learning_rate=1e-3, schedule="constant", **sizes),
    "sft-response": lambda **sizes: SFTArm(
        method="sft", learning_rate=1e-3, loss_on="response", schedule="constant", **sizes
    ),
    "dpo": lambda **sizes: DPOArm(method="dpo", learning_rate=1e-3, schedule="constant", **sizes),
    "ipo": lambda **sizes: DPOArm(method="dpo", loss="ipo", learning_rate=1e-3, schedule="constant", **sizes),
    "simpo": lambda **sizes: SimPOArm(method="simpo", learning_rate=1e-3, schedule="constant", **sizes),
}


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS.keys())
def test_packing_does_not_change_training(arm: Any) -> None:
    """Eight pairs of different lengths give the same steps in one row, in rows of one pair, and padded."""
    packed, curve = fit(tiny.opt(), arm(batch_size=8, epochs=3))
    split, in_rows = fit(tiny.opt(), arm(batch_size=2, gradient_accumulation=4, epochs=3, row_tokens=8))
    padded, by_padding = fit(tiny.unpackable(), arm(batch_size=8, epochs=3))
    start = weights(tiny.opt())
    moved = 0.0
    for name, value in weights(packed).items():
        torch.testing.assert_close(weights(split)[name], value, atol=2e-5, rtol=0)
        torch.testing.assert_close(weights(padded)[name], value, atol=2e-5, rtol=0)
        moved = max(moved, float((value - start[name]).abs().max()))
    assert moved > 1e-3
    for mine, rows_of_one, theirs in zip(curve, in_rows, by_padding, strict=True):
        assert mine["loss"] == pytest.approx(rows_of_one["loss"], abs=1e-5)
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
        assert mine.get("reward_margin") == pytest.approx(theirs.get("reward_margin"), abs=1e-4)


def test_gradient_checkpointing_does_not_change_the_weights() -> None:
    arm = {"learning_rate": 1e-3, "epochs": 3, "batch_size": 4}
    plain, _ = fit(tiny.opt(), DPOArm(method="dpo", **arm))
    again, _ = fit(tiny.opt(), DPOArm(method="dpo", gradient_checkpointing=True, **arm))
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(again)[name], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_training_is_deterministic_to_the_bit(method: str) -> None:
    kinds: dict[str, Any] = {"sft": SFTArm(method="sft", batch_size=4), "dpo": DPOArm(method="dpo", batch_size=4)}
    first, curve = fit(tiny.opt(dropout=0.1), kinds[method])
    torch.rand(7)  # draws in between must not matter
    second, again = fit(tiny.opt(dropout=0.1), kinds[method])
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())
    drop_time = [{k: v for k, v in row.items() if "runtime" not in k and "per_second" not in k} for row in curve]
    assert drop_time == [
        {k: v for k, v in row.items() if "runtime" not in k and "per_second" not in k} for row in again
    ]


@pytest.mark.parametrize("make", [tiny.opt, tiny.llama], ids=["opt", "llama"])
@pytest.mark.parametrize("lora", [None, {"r": 4, "target_modules": ["q_proj", "v_proj"]}], ids=["full", "lora"])
def test_bfloat16_on_a_cpu_is_near_float32_and_repeats_to_the_bit(make: Any, lora: Any) -> None:
    """Also for a model that was trained before. The weights stay in float32."""
    settings = DPOArm(method="dpo", learning_rate=1e-3, schedule="constant", epochs=3, lora=lora, batch_size=4)
    start, said, found = weights(make()), list[str](), list[tuple[list[float], dict[str, torch.Tensor]]]()
    for use_bf16 in (False, True, True):
        model = make()
        model.load_state_dict(start)
        run = run_of(progress=lambda done, total, state: said.append(state), use_bf16=use_bf16)
        model, curve = train(model, rows(8), settings, run)
        found.append(([row["loss"] for row in curve], weights(model)))
    (exact, _), (losses, after), (again, after_again) = found
    assert losses != exact and losses == again
    # bfloat16 has 8 bits: 4e-3 of each product, of which a loss is a mean.
    assert losses == pytest.approx(exact, rel=0.03, abs=0.01)
    for name, weight in after.items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, after_again[name]), name
    assert not [state for state in said if "cannot be packed" in state]


def test_the_first_sft_loss_is_that_of_transformers() -> None:
    _, curve = fit(tiny.opt(), SFTArm(method="sft", batch_size=1), count=1)
    ids = torch.tensor([rows(1)[0].prompt + rows(1)[0].chosen])
    assert curve[0]["loss"] == pytest.approx(tiny.opt()(input_ids=ids, labels=ids).loss.item(), abs=1e-6)


def test_response_loss_counts_only_the_answer() -> None:
    pairs = rows(3)
    batch = pack(documents_of(pairs, SFTArm(method="sft", loss_on="response")))
    assert batch["target"].tolist() == [token for pair in pairs for token in pair.chosen]


@pytest.mark.parametrize(("name", "make"), [("packed", tiny.opt_reward), ("padded", tiny.pair_reward)])
def test_a_reward_model_learns_to_prefer(name: str, make: Any) -> None:
    settings = Training(learning_rate=3e-3, epochs=20, schedule="constant")
    messages: list[str] = []
    run = run_of(progress=lambda *state: messages.append(state[2]))
    _, curve = train_reward_model(make(), rows(), settings, run, centre=0.01)
    assert curve[-1]["reward_accuracy"] == 1.0
    assert any("cannot be packed: padded batches" in message for message in messages) == (name == "padded")


def test_no_share_of_peak_is_above_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peak that was measured while the machine was busy is corrected by the work that runs faster."""
    monkeypatch.setattr(flops, "matmul_peak", lambda *_: 1.0)
    flops.peak_of.cache_clear()
    states: list[str] = []
    try:
        run = run_of(progress=lambda *state: states.append(state[2]))
        train(tiny.opt(), rows(), DPOArm(method="dpo", epochs=3), run)
        shares = [int(share) for state in states for share in re.findall(r"(\d+)% of peak", state)]
        assert len(shares) == 3
        assert max(shares) == 100
        # What this training has shown counts for the next one.
        assert flops.peak_of(torch.device("cpu"), torch.float32, 1).rate > 1e3
    finally:
        flops.peak_of.cache_clear()


def test_dropout_is_disabled_for_dpo_and_restored() -> None:
    model = tiny.opt(dropout=0.3)
    layer = model.model.decoder.layers[0]
    assert layer.dropout == 0.3
    _, curve = fit(model, DPOArm(method="dpo"))
    assert curve[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert layer.dropout == 0.3


def test_an_adapter_s_initial_weights_depend_only_on_its_seed() -> None:
    """Otherwise a run that reuses finished arms would end with other weights than a run that trains them."""
    settings = DPOArm(method="dpo", learning_rate=1e-3, lora={"r": 4})
    made = []
    for before in (1, 2):
        model = tiny.opt()
        torch.manual_seed(before)
        made.append(weights(fit(model, settings)[0]))
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    other, _ = train(tiny.opt(), rows(), settings, run_of(seed=4))
    assert not all(torch.equal(made[0][name], value) for name, value in weights(other).items())


@pytest.mark.filterwarnings("error")  # peft must not warn about a base that it cannot find
def test_an_adapter_leaves_its_base_alone_and_loads_merged(tmp_path: Path) -> None:
    base = tiny.saved(tiny.opt(), tmp_path / "base")
    model = checkpoints.load_causal_lm(base, key="model.path")
    before = weights(model)
    arm = DPOArm(method="dpo", learning_rate=1e-2, epochs=5, lora={"r": 4})
    adapted, _ = fit(model, arm)
    checkpoints.save(adapted, tiny.tokenizer(), tmp_path / "dpo", base="../base")
    assert all("lora" in name for name in load_file(tmp_path / "dpo" / "adapter_model.safetensors"))
    for name, value in adapted.base_model.model.state_dict().items():
        if "lora" not in name:
            assert torch.equal(value, before[name.replace(".base_layer", "")]), name
    batch = pad(documents_of(rows(4), arm), PAD)
    with torch.no_grad():
        expected, _ = branch_log_probs(adapted, batch)
        loaded = checkpoints.load_causal_lm(str(tmp_path / "dpo"), key="arms.dpo")
        found, _ = branch_log_probs(loaded, batch)
        plain, _ = branch_log_probs(tiny.opt(), batch)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (found - plain).abs().max() > 1e-3


def test_lora_on_missing_layers_is_refused() -> None:
    with pytest.raises(BadInput, match=r"lora.target_modules: nothing"):
        fit(tiny.opt(), DPOArm(method="dpo", lora={"target_modules": ["nothing"]}))


def test_truncation_is_counted() -> None:
    pairs = tiny.pairs(8)
    kept, counts = tokenize_pairs(pairs, Format(tiny.tokenizer()), max_length=60)
    longest = max(len(row.prompt) + max(len(row.chosen), len(row.rejected)) for row in kept)
    assert longest <= 60
    full, none = tokenize_pairs(pairs, Format(tiny.tokenizer()), max_length=512)
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

"""Our preference losses against TRL's trainers, on the same pairs, in float32."""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.experimental.cpo import CPOTrainer

from tarazu.align.attention import use_tree_attention
from tarazu.align.forward import branch_log_probs
from tarazu.align.objectives import objective_of, simpo_loss
from tarazu.align.rows.documents import documents_of
from tarazu.align.rows.packing import pack, pad
from tarazu.align.rows.schedule import StepSize, schedule
from tarazu.align.tokens import tokenize_pairs
from tarazu.align.train import train
from tarazu.align.trainer import TrainingRun
from tarazu.conversation.formats import Format
from tarazu.study.schema import DPOArm, SFTArm

PAD = 1
TOLERANCE = 1e-5


def common(tmp_path: Any) -> dict[str, Any]:
    return {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 8,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "max_length": 512,
    }


def trl_trainer(model: Any, reference: Any, tmp_path: Any, **settings: Any) -> DPOTrainer:
    return DPOTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(**(common(tmp_path) | {"disable_dropout": True} | settings)),
        train_dataset=Dataset.from_list(tiny.texts(tiny.pairs())),
        processing_class=tiny.tokenizer(),
    )


def log_probs(model: Any, documents: Any, packed: bool) -> tuple[torch.Tensor, torch.Tensor]:
    with use_tree_attention(model) if packed else nullcontext():
        return branch_log_probs(model, pack(documents) if packed else pad(documents, PAD))


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("make", [tiny.opt, tiny.llama, tiny.qwen], ids=["opt", "llama", "qwen"])
@pytest.mark.parametrize(
    ("loss", "beta", "max_length"),
    [("sigmoid", 0.1, 512), ("sigmoid", 0.5, 512), ("sigmoid", 0.1, 60), ("ipo", 0.1, 512)],
)
def test_loss_log_probabilities_and_gradients_agree_with_trl(
    make: Any, loss: str, beta: float, max_length: int, packed: bool, tmp_path: Any
) -> None:
    reference = make(0)
    policy = tiny.perturbed(make(0), seed=5)
    theirs = copy.deepcopy(policy)
    trainer = trl_trainer(theirs, reference, tmp_path, beta=beta, max_length=max_length, loss_type=loss)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(trainer.train_dataset))])

    # TRL: reference log-probabilities of its own collated batch, loss and gradients of one step.
    their_reference = trainer.compute_ref_log_probs(trainer.ref_model, batch)
    theirs.zero_grad()
    their_loss = trainer.compute_loss(trainer.model, batch)
    their_loss.backward()

    arm = DPOArm(method="dpo", loss=loss, beta=beta, max_length=max_length)
    rows, _ = tokenize_pairs(tiny.pairs(), Format(tiny.tokenizer()), max_length=max_length)
    documents = documents_of(rows, arm)
    # TRL has the chosen rows first, then the rejected ones.
    ours = pad(documents, PAD)
    order = [*range(0, 2 * len(rows), 2), *range(1, 2 * len(rows), 2)]
    assert torch.equal(ours["input_ids"][order], batch["input_ids"])
    assert torch.equal(ours["labels"][order] != -100, batch["completion_mask"].bool())
    with torch.no_grad():
        our_reference = log_probs(reference, documents, packed)[0].view(-1, 2)
    for mine, other in zip(our_reference.unbind(1), their_reference, strict=True):
        # A sum over the answer's tokens has an error that grows with their number, so compare it per token.
        longest = max(len(row.chosen) for row in rows)
        assert (mine - other).abs().max() / longest < TOLERANCE / 10

    policy.zero_grad()
    total, _ = objective_of(arm)(*log_probs(policy, documents, packed), our_reference)
    mean = total / len(rows)
    mean.backward()
    assert mean.item() == pytest.approx(their_loss.item(), abs=TOLERANCE)
    nothing_learned = math.log(2) if loss == "sigmoid" else 1 / (2 * beta) ** 2
    assert (
        abs(mean.item() - nothing_learned) > 1e-4
    )  # the policy differs from its reference, so the test is not vacuous
    mine, other = tiny.gradients(policy), tiny.gradients(theirs)
    assert mine.keys() == other.keys()
    for name in mine:
        assert (mine[name] - other[name]).abs().max() < TOLERANCE, name


@pytest.mark.parametrize("method", ["dpo", "sft"])
def test_losses_of_fifty_steps_are_trls(method: str, tmp_path: Any) -> None:
    """Fifty steps also compare the schedule, clipping, the optimizer and the updated weights of both trainers."""
    steps, per_step, rate = 50, 4, {"dpo": 1e-4, "sft": 5e-4}[method]
    pairs = tiny.pairs(steps * per_step)
    rows, _ = tokenize_pairs(pairs, Format(tiny.tokenizer()), max_length=512)
    kinds: dict[str, Any] = {"dpo": DPOArm, "sft": SFTArm}
    arm = kinds[method](method=method, learning_rate=rate, batch_size=per_step, gradient_accumulation=1)
    _, curve = train(tiny.opt(), rows, arm, TrainingRun(pad_id=PAD, seed=3, progress=tiny.silent))

    counts = [1] * len(pairs)
    plan = schedule(counts, counts, StepSize(documents=per_step, row_tokens=per_step), epochs=1, seed=3)
    in_order = [pairs[index] for step in plan.steps for row in step for index in row.documents]
    settings: dict[str, Any] = {
        **common(tmp_path),
        "per_device_train_batch_size": per_step,
        "learning_rate": rate,
        "num_train_epochs": 1,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    model: dict[str, Any] = {"model": tiny.opt(), "processing_class": tiny.tokenizer()}
    if method == "dpo":
        data = Dataset.from_list(tiny.texts(in_order))
        theirs = DPOTrainer(args=DPOConfig(**settings), train_dataset=data, ref_model=tiny.opt(), **model)
    else:
        data = Dataset.from_list([{"text": pair.prompt + pair.chosen} for pair in in_order])
        theirs = SFTTrainer(args=SFTConfig(**settings), train_dataset=data, **model)
    theirs.train()
    expected = [row["loss"] for row in theirs.state.log_history if "loss" in row]
    ours = [row["loss"] for row in curve]
    assert len(ours) == len(expected) == steps
    assert max(abs(one - other) for one, other in zip(ours, expected, strict=True)) <= 1e-4
    # The losses change from step to step, so the test is not vacuous.
    assert max(abs(loss - ours[0]) for loss in ours) > {"dpo": 0.005, "sft": 0.3}[method]


@pytest.mark.parametrize(("beta", "gamma"), [(2.0, 1.0), (10.0, 3.0), (2.5, 0.0)])
def test_simpo_agrees_with_trl(beta: float, gamma: float) -> None:
    generator = torch.Generator().manual_seed(4)
    chosen, rejected = -torch.rand(2, 16, generator=generator) * 4
    settings = SimpleNamespace(
        loss_type="simpo", simpo_gamma=gamma, beta=beta, label_smoothing=0.0, alpha=0.0,
        accelerator=SimpleNamespace(device="cpu"),
    )  # fmt: skip
    theirs, their_chosen, their_rejected = CPOTrainer.cpo_loss(settings, chosen, rejected)
    ours, our_chosen, our_rejected = simpo_loss(chosen, rejected, beta=beta, gamma=gamma)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(our_chosen, their_chosen)
    torch.testing.assert_close(our_rejected, their_rejected)

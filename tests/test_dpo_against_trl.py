"""Our DPO numbers against TRL's trainer, on the same pairs, in float32."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import tiny
import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from tarazu.align.batches import PreferenceCollator
from tarazu.align.losses import dpo_loss
from tarazu.align.tokens import tokenize_pairs
from tarazu.align.train import pair_log_probs

PAD = 1
TOLERANCE = 1e-5


def trl_trainer(model: Any, reference: Any, tmp_path: Any, **settings: Any) -> DPOTrainer:
    arguments: dict[str, Any] = {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 8,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "max_length": 512,
        "disable_dropout": True,
    }
    return DPOTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(**(arguments | settings)),
        train_dataset=Dataset.from_list(tiny.texts(tiny.pairs())),
        processing_class=tiny.tokenizer(),
    )


@pytest.mark.parametrize("make", [tiny.opt, tiny.llama], ids=["opt", "llama"])
@pytest.mark.parametrize(("beta", "max_length"), [(0.1, 512), (0.5, 512), (0.1, 60)])
def test_loss_log_probabilities_and_gradients_agree_with_trl(
    make: Any, beta: float, max_length: int, tmp_path: Any
) -> None:
    reference = make(0)
    policy = tiny.perturbed(make(0), seed=5)
    theirs = copy.deepcopy(policy)
    trainer = trl_trainer(theirs, reference, tmp_path, beta=beta, max_length=max_length)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(trainer.train_dataset))])

    # TRL: reference log-probabilities of its own collated batch, loss and gradients of one step.
    their_reference = trainer.compute_ref_log_probs(trainer.ref_model, batch)
    theirs.zero_grad()
    their_loss = trainer.compute_loss(trainer.model, batch)
    their_loss.backward()

    rows, _ = tokenize_pairs(tiny.pairs(), tiny.tokenizer(), max_length=max_length)
    ours = PreferenceCollator(pad_id=PAD)(rows)
    assert torch.equal(ours["input_ids"], batch["input_ids"])
    assert torch.equal(ours["labels"] != -100, batch["completion_mask"].bool())
    with torch.no_grad():
        our_reference = pair_log_probs(reference, ours)
    for mine, other in zip(our_reference, their_reference, strict=True):
        # A sum over an answer's tokens: compared per token of the longest, since float32 carries seven digits in all.
        longest = max(len(row.chosen) for row in rows)
        assert (mine - other).abs().max() / longest < TOLERANCE / 10

    policy.zero_grad()
    losses, _, _ = dpo_loss(*pair_log_probs(policy, ours), *our_reference, beta=beta)
    losses.mean().backward()
    assert abs(losses.mean().item() - their_loss.item()) < TOLERANCE
    assert abs(losses.mean().item() - math.log(2)) > 1e-4  # the policy has left its reference, so this tests something
    mine, other = tiny.gradients(policy), tiny.gradients(theirs)
    assert mine.keys() == other.keys()
    for name in mine:
        assert (mine[name] - other[name]).abs().max() < TOLERANCE, name

"""Losses and log-probabilities that are not finite stop a training, with the text that caused them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from tarazu.align.reference import reference_log_probs
from tarazu.align.tokens import tokenize_pairs
from tarazu.align.train import train, train_reward_model
from tarazu.align.trainer import TrainingRun
from tarazu.conversation.formats import Format
from tarazu.data.rows import PreferencePair
from tarazu.errors import BadInput, NotFinite
from tarazu.study.schema import DPOArm, SFTArm, SimPOArm, Training

ARMS: dict[str, Any] = {
    "sft": SFTArm(method="sft", batch_size=3),
    "dpo": DPOArm(method="dpo", batch_size=3),
    "simpo": SimPOArm(method="simpo", batch_size=3),
}


def rows(bad: int | None, *, rejected: bool = False) -> Any:
    """Nine pairs of tokens; the pair `bad` has the broken letter in its chosen or its rejected answer."""
    pairs = []
    for index in range(9):
        answers = [f"yes {index}", f"no {index}"]
        if index == bad:
            answers[rejected] += tiny.BROKEN
        prompt = f"\n\nHuman: number {index}\n\nAssistant:"
        names = {"prompt_id": str(index), "language": "en", "source": "made up"}
        pairs.append(PreferencePair(prompt=prompt, chosen=answers[0], rejected=answers[1], **names))
    return tokenize_pairs(pairs, Format(tiny.tokenizer()), max_length=512)[0]


def run_of(folder: Path | None = None) -> TrainingRun:
    return TrainingRun(pad_id=1, seed=3, progress=tiny.silent, folder=folder)


def named(fault: NotFinite) -> str:
    return str(fault.at_tokens("arms.x", tiny.tokenizer()))


@pytest.mark.parametrize("bad", [0, 4, 8])
@pytest.mark.parametrize("method", ARMS)
@pytest.mark.parametrize("make", [tiny.opt, tiny.bloom])
def test_a_loss_that_is_not_finite_names_its_text(make: Any, method: str, bad: int) -> None:
    rejected = method == "simpo"
    with pytest.raises(NotFinite) as caught:
        train(tiny.broken(make()), rows(bad, rejected=rejected), ARMS[method], run_of())
    message = named(caught.value)
    assert message.startswith("arms.x: ") and "not finite in float32" in message
    if make is tiny.opt:
        answer = f"{'no' if rejected else 'yes'} {bad}{tiny.BROKEN}"
        assert f"number {bad} Assistant:{answer}" in message
    assert "the checkpoint is damaged (its weight " in message


def test_a_reward_model_is_trained_on_finite_rewards_only() -> None:
    with pytest.raises(NotFinite) as caught:
        train_reward_model(tiny.broken(tiny.opt_reward()), rows(5), Training(batch_size=3), run_of(), centre=0.01)
    assert f"number 5 Assistant:yes 5{tiny.BROKEN}" in named(caught.value)


@pytest.mark.parametrize("method", ["sft", "simpo"])
def test_a_broken_weight_that_no_text_uses_does_no_harm(method: str) -> None:
    _, curve = train(tiny.broken(tiny.opt()), rows(None), ARMS[method], run_of())
    assert all(torch.isfinite(torch.tensor(row["loss"])) for row in curve)


def test_the_error_distinguishes_divergence_from_a_damaged_checkpoint(tmp_path: Path) -> None:
    settings = SFTArm(method="sft", batch_size=3, learning_rate=1e30, epochs=3)
    with pytest.raises(NotFinite, match=r"loss or gradients of training step \d+ .*diverged: lower learning_rate"):
        train(tiny.opt(), rows(None), settings, run_of(tmp_path))
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_last_step_that_diverges_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has no line after the last step."""
    monkeypatch.setattr("tarazu.align.trainer.AlignmentTrainer.log", lambda *_, **__: None)
    settings = SFTArm(method="sft", batch_size=9, learning_rate=1e39, max_grad_norm=1e6, schedule="constant")
    with pytest.raises(NotFinite, match="loss or gradients of training step"):
        train(tiny.opt(), rows(None), settings, run_of())


def test_a_reference_that_is_not_finite_is_not_stored(tmp_path: Path) -> None:
    with pytest.raises(NotFinite, match="log-probabilities are not finite in float32"):
        reference_log_probs(tiny.broken(tiny.opt()), rows(3), run_of(), store=tmp_path)
    assert not list(tmp_path.iterdir())


def test_half_precision_is_the_first_suspect() -> None:
    from tarazu.errors import fix_for

    assert fix_for("float16", "lm_head.weight", "model.dtype") == "set model.dtype: float32"
    assert "lm_head.weight" in fix_for("float32", "lm_head.weight", "model.dtype")
    assert "another checkpoint" in fix_for("float32", None, "model.dtype")


@pytest.mark.parametrize("quoted", ["a" * 100_000, "ab " * 50_000, "\x1b[2J" * 30_000])
def test_a_message_is_short_whatever_it_quotes(quoted: str) -> None:
    message = str(BadInput(f"page.html: element <{quoted}> is hidden; remove it"))
    assert len(message) < 2_100 and message.isprintable()
    assert message.startswith("page.html: element <") and message.endswith("> is hidden; remove it")
    assert str(BadInput("page.html: " + "a" * 500)) == "page.html: " + "a" * 500

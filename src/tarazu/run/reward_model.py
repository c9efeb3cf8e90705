"""The reward model that a study trains for itself."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tarazu.files import digest, reset_scratch
from tarazu.run.facts import torch_facts
from tarazu.run.inputs import Inputs
from tarazu.run.progress import Progress
from tarazu.run.stages import Stage
from tarazu.run.tracking import logging_below
from tarazu.seeds import derived_seed
from tarazu.study import Study
from tarazu.study.schema import TRAINED

FOLDER = "reward_model"


def reward_model_stages(
    study: Study,
    inputs: Inputs,
    out: Path,
    identities: dict[str, Any],
    progress: Progress,
    report_to: Sequence[str] = (),
) -> list[Stage]:
    """The stage that trains the study's reward model; none where it trains none."""
    if study.reward.train is None:
        return []
    hangs_on = {
        "start": identities["reward.train.from"],
        "settings": study.reward.train.model_dump(mode="json", exclude={"pairs"}),
        "pairs": digest([asdict(pair) for pair in inputs.reward_pairs]),
        "seed": study.seed,
        "study": [study.name, study.caution],  # on the model card
        "machine": torch_facts(),
    }
    make = partial(_make_reward_model, study, inputs, out, digest(hangs_on), progress, report_to)
    return [Stage(name=FOLDER, inputs=hangs_on, outputs=[FOLDER], make=make)]


def with_trained(study: Study, out: Path) -> Study:
    """The study with `model: trained` replaced by where the trained model lies in the run `out`."""
    trained = {key: str(out / FOLDER) for key, judge in study.reward.judges().items() if judge.model == TRAINED}
    return study.model_copy(update={"reward": study.reward.with_models(trained)})


def trained_identities(study: Study, stages: list[Stage]) -> dict[str, Any]:
    """What the fingerprints of rewards need of a trained model, by the keys that take it."""
    return {
        f"reward.{key}.model": {"trained": stages[0].fingerprint}
        for key, judge in study.reward.judges().items()
        if judge.model == TRAINED
    }


def _make_reward_model(
    study: Study, inputs: Inputs, out: Path, of: str, progress: Progress, report_to: Sequence[str]
) -> dict[str, int]:
    from tarazu.align import checkpoints
    from tarazu.align.cards import reward_card
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.align.train import train_reward_model
    from tarazu.align.trainer import TrainingRun

    settings = study.reward.train
    assert settings is not None
    options: dict[str, Any] = {"key": "reward.train.from"}
    seed = derived_seed(study.seed, "train", FOLDER)
    tokenizer = checkpoints.load_tokenizer(settings.from_, **options)
    model = checkpoints.load_reward_start(settings.from_, seed=seed, **options)
    model.config.pad_token_id = tokenizer.pad_token_id  # where the model looks for the last token of a row
    # Without the end token: responses are scored as texts, at their last word.
    pairs, notes = tokenize_pairs(inputs.reward_pairs, tokenizer, max_length=settings.max_length, add_end_token=False)
    unfinished = out / ".training" / FOLDER
    reset_scratch(unfinished, of)
    with logging_below(out / "logs" / FOLDER):
        training = TrainingRun(
            pad_id=tokenizer.pad_token_id,
            seed=seed,
            progress=progress.update,
            use_bf16=study.model.dtype == "bfloat16",
            folder=unfinished,
            report_to=report_to,
        )
        model, curve = train_reward_model(model, pairs, settings, training, centre=settings.centre)
    card = reward_card(study, len(pairs))
    judge = checkpoints.merged(model)
    checkpoints.save_trained(judge, tokenizer, out / FOLDER, base=settings.from_, card=card, curve=curve)
    shutil.rmtree(unfinished, ignore_errors=True)
    return notes

"""The model card of an arm."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tarazu.data.rows import PreferencePair
from tarazu.study.replicates import Replicate, parent_of
from tarazu.study.schema import ReadyArm, Settings, Study


def model_card(study: Study, replicate: Replicate, pairs: Sequence[PreferencePair]) -> str:
    """A README.md with the Hub's front matter that describes the checkpoint, its training data and its limits.

    `pairs` are the preference pairs that it was trained on.
    """
    arm, parent = replicate.arm, parent_of(study, replicate)
    settings = study.arms[arm]
    trained = not isinstance(settings, ReadyArm)
    start = parent.name if parent else settings.from_ or study.model.path
    again = f", training seed {replicate.seed}" if replicate.seed else ""
    adapter = trained and getattr(settings, "lora", None) is not None
    front = ["---", "library_name: " + ("peft" if adapter else "transformers"), "tags: [tarazu, alignment]"]
    languages = sorted({pair.language for pair in pairs if pair.language})
    if trained and languages:
        front.append(f"language: [{', '.join(languages)}]")
    front.append("---")
    lines = [
        *front,
        "",
        f"# {replicate.name} of the study {study.name}",
        "",
        f"Made by Tarazu as the arm `{arm}`{again}, starting from `{start}`.",
    ]
    if trained:
        data = study.pairs_of(settings)
        assert data is not None
        kind = "a LoRA adapter" if adapter else "a full checkpoint"
        lines += ["", f"It is {kind}, trained on {len(pairs)} preference pairs of the source `{data.source}`."]
    else:
        lines += ["", "It was not trained here."]
    if study.caution:
        lines += ["", f"**{study.caution}**"]
    lines += [
        "",
        "The model is part of an experiment on helpfulness and harmlessness. It has not been made safe for use.",
        "",
        *_settings(settings),
    ]
    return "\n".join(lines)


def reward_card(study: Study, pairs: int) -> str:
    """A README.md for the reward model that a study trained on `pairs` preference pairs."""
    settings, source = study.reward.train, study.pairs_of(study.reward.train)
    assert settings is not None and source is not None
    lines = [
        "---",
        "library_name: transformers",
        "tags: [tarazu, reward-model]",
        "---",
        "",
        f"# Reward model of the study {study.name}",
        "",
        f"Made by Tarazu from `{settings.from_}` with {pairs} preference pairs of the source `{source.source}`, by the",
        "Bradley-Terry likelihood. It takes one text, a transcript with the response at its end.",
    ]
    if study.caution:
        lines += ["", f"**{study.caution}**"]
    lines += [
        "",
        "Its rewards rank responses as the pairs do in the languages of the pairs. Other languages are untested.",
        "",
        *_settings(settings),
    ]
    return "\n".join(lines)


def _settings(settings: Settings) -> list[str]:
    values = settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    return ["## Settings", "", "```json", json.dumps(values, indent=2, sort_keys=True), "```", ""]

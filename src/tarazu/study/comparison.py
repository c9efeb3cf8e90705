"""The study that `tarazu compare` makes of two or more checkpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tarazu.errors import BadInput
from tarazu.study.presets import PRESET

FEW_LANGUAGES = ("ar", "bn", "de", "en", "es", "fr", "ja", "sw", "ta", "th", "ur", "yo")
"""Six high- and six low-resource languages in seven scripts: what a machine without a GPU compares in minutes."""

SHIPPED_JUDGE = "builtin:reward"
PUBLISHED_JUDGE = f"{PRESET}deberta-v3-large-v2"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A setting that was chosen for the user: its value in words, the reason, and the option that changes it."""

    what: str
    value: str
    reason: str
    option: str

    def __str__(self) -> str:
        return f"{self.what}: {self.value} ({self.reason}; change it with {self.option})"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the user wants compared, and how; None where the choice is left to Tarazu."""

    checkpoints: Sequence[str]
    judge: str | None = None
    languages: Sequence[str] | None = None
    limit: int | None = None
    harmful: Path | None = None
    benign: Path | None = None
    prompt_format: str | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What decides the defaults: whether there is a GPU, and which checkpoints have no chat template."""

    gpu: bool
    without_template: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class ComparisonStudy:
    """The study as the text of a YAML file, and the settings that were chosen for the user."""

    text: str
    choices: Sequence[Choice] = field(default_factory=tuple)


def comparison_study(wanted: Comparison, machine: Machine) -> ComparisonStudy:
    """The study of a comparison. Raises BadInput for fewer than two checkpoints."""
    base, *others = wanted.checkpoints
    if not others:
        raise BadInput(f"{base}: a comparison needs another checkpoint; name the aligned one behind it")
    choices: list[Choice] = []
    arms = _arm_names(others)
    languages = _languages(wanted, machine, choices)
    judge = _judge(wanted, choices)
    tree: dict[str, Any] = {
        "name": "compare",
        "title": f"{', '.join(_short(name) for name in others)} compared with {_short(base)}",
        "model": {"path": base, **({"dtype": "bfloat16"} if machine.gpu else {})},
        "languages": languages,
        "prompts": {kind: [_prompts(wanted, kind)] for kind in ("harmful", "benign")},
        "arms": {
            "base": {"method": "none"},
            **{arm: {"method": "none", "from": name} for arm, name in zip(arms, others, strict=True)},
        },
        "analysis": {"primary_arm": arms[0]},
        "generation": {"max_new_tokens": 64, "prompt_format": _format(wanted, machine, choices)},
        "reward": {
            "harmful": judge,
            "benign": judge,
            "known_answers": {kind: [{"source": "parallel"}] for kind in ("harmful", "benign")},
        },
    }
    if judge["model"] == SHIPPED_JUDGE:
        tree["thresholds"] = {"harmless": 0, "helpful": 0}
        tree["caution"] = "The judge is the demo's toy, which knows only texts like the demo's: its labels mean little."
    return ComparisonStudy(text=yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), choices=choices)


def _short(name: str) -> str:
    """The last part of a folder's path or of a Hub name."""
    return name.rstrip("/").rpartition("/")[2]


def _arm_names(checkpoints: Sequence[str]) -> list[str]:
    """Names of arms after their checkpoints: lower case, with a number where two would be the same."""
    names: list[str] = []
    for checkpoint in checkpoints:
        plain = re.sub("[^a-z0-9]+", "-", _short(checkpoint).lower()).strip("-")[:56] or "model"
        taken = {"base", *names}
        free = (name for name in (plain, *(f"{plain}-{place}" for place in range(2, 1000))) if name not in taken)
        names.append(next(free))
    return names


def _languages(wanted: Comparison, machine: Machine, choices: list[Choice]) -> Any:
    if wanted.languages:
        return "all" if list(wanted.languages) == ["all"] else list(wanted.languages)
    if machine.gpu:
        choices.append(Choice(what="languages", value="all fifty", reason="there is a GPU", option="--languages"))
        return "all"
    choices.append(
        Choice(
            what="languages",
            value=", ".join(FEW_LANGUAGES),
            reason="six high- and six low-resource ones of fifty, as there is no GPU",
            option="--languages, for example --languages all",
        )
    )
    return list(FEW_LANGUAGES)


def _prompts(wanted: Comparison, kind: str) -> dict[str, Any]:
    path = wanted.harmful if kind == "harmful" else wanted.benign
    source: dict[str, Any] = {"source": "parallel"} if path is None else {"source": "jsonl", "path": str(path)}
    return source | ({} if wanted.limit is None else {"limit": wanted.limit})


def _judge(wanted: Comparison, choices: list[Choice]) -> dict[str, Any]:
    if wanted.judge is None:
        choices.append(
            Choice(
                what="judge",
                value=PUBLISHED_JUDGE,
                reason="the reward model with published thresholds, though an English one: known answers in each "
                "language show where to trust it",
                option="--judge",
            )
        )
    name = wanted.judge or PUBLISHED_JUDGE
    return {"model": name, **({"input": "transcript", "max_length": 256} if name == SHIPPED_JUDGE else {})}


def _format(wanted: Comparison, machine: Machine, choices: list[Choice]) -> str:
    if wanted.prompt_format is not None:
        return wanted.prompt_format
    if machine.without_template:
        value, reason = "opt", f"no chat template: {', '.join(_short(name) for name in machine.without_template)}"
    else:
        value, reason = "chat_template", "every checkpoint has a chat template"
    choices.append(Choice(what="format of prompts", value=value, reason=reason, option="--format"))
    return value

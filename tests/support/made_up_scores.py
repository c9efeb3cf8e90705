"""Scores tables with a planted truth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from tarazu.analysis.analyze import AnalysisInputs, analyze
from tarazu.results import results_json
from tarazu.results.model import StudyFacts
from tarazu.scores import to_table
from tarazu.study.schema import Analysis, AnalysisSettings

HIGH = ("de", "en", "es", "fr", "ja", "ru")
LOW = ("bn", "jv", "my", "qu", "sw", "yo")
LANGUAGES = HIGH + LOW
SCHEMA = json.loads(files("tarazu").joinpath("schemas/results-v2.schema.json").read_text(encoding="utf-8"))
"""Of the results that are made of such scores."""

Row = dict[str, Any]


def row(arm: str, language: str, kind: str, prompt: int, reward: float, **more: Any) -> Row:
    """One checked row, as `score_rows` gives it."""
    return {
        "arm": arm,
        "language": language,
        "kind": kind,
        "prompt_id": f"{kind}-{prompt}",
        "seed": 0,
        "sample": 0,
        "reward_model": "default",
        "source": "made up",
        "reward": reward,
        "label": None,
        **more,
    }


def exact_rows(passes: Mapping[tuple[str, str, str], int], prompts: int = 20) -> list[Row]:
    """`passes[arm, language, kind]` of `prompts` responses pass (reward 1), the others do not (reward -9)."""
    return [
        row(arm, language, kind, index, 1.0 if index < count else -9.0)
        for (arm, language, kind), count in passes.items()
        for index in range(prompts)
    ]


def random_rows(
    seed: int = 3, languages: Sequence[str] = LANGUAGES, arms: Sequence[str] = ("base", "dpo"), prompts: int = 12
) -> list[Row]:
    """Rewards with language and prompt effects and no difference between groups."""
    random = np.random.default_rng(seed)
    rows = []
    for language in languages:
        own = random.normal(0, 1)
        for kind in ("harmful", "benign"):
            for prompt in range(prompts):
                hard = random.normal(0, 1)
                rows += [
                    row(arm, language, kind, prompt, float(own + hard + random.normal(0, 1)) - 2.5) for arm in arms
                ]
    return rows


def results_of(rows: Sequence[Row], **changes: Any) -> dict[str, Any]:
    """Analyze rows, and check that the result is what a file can hold."""
    facts = changes.pop("study", StudyFacts(name="made-up", title="", caution="", seed=1))
    own = {key: changes.pop(key) for key in ("groups", "thresholds", "analysis") if key in changes}
    settings = AnalysisSettings().model_copy(update={"analysis": Analysis(draws=200), **own})
    results = analyze(AnalysisInputs(table=to_table(rows), facts=facts, settings=settings, **changes))
    restored: dict[str, Any] = json.loads(results_json(results))
    return restored


def write_csv(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as a csv of the columns that a stranger would give."""
    columns = ("arm", "language", "kind", "prompt_id", "source", "reward")
    lines = [",".join(columns), *(",".join(str(item[column]) for column in columns) for item in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

"""Published checklists, answered point by point from the results and the files beside them.

The first is the checklist for multilingual evaluation of Kreutzer et al. 2025 (arXiv 2504.11829; published as
github.com/Cohere-Labs/multilingual-llm-evaluation-checklist, 15 April 2025): all its points, in our words. The second
has the points on experiments of the NeurIPS paper checklist that data can answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from tarazu.report import checklist_rules as rules
from tarazu.report.checklist_rules import Answer, Files, Said
from tarazu.results.model import Results

MULTILINGUAL: Final = "Multilingual evaluation (Kreutzer et al. 2025, arXiv 2504.11829)"
NEURIPS: Final = "NeurIPS paper checklist, points on experiments"


@dataclass(frozen=True, kw_only=True)
class Item:
    """A point of a checklist, its answer, and the evidence for it."""

    checklist: str
    section: str
    question: str
    answer: Answer
    evidence: str


_Point = tuple[str, str, Callable[[Results, Files], Said]]
"""Section, question, rule."""

_POINTS: Final[dict[str, tuple[_Point, ...]]] = {
    MULTILINGUAL: (
        ("Prompts", "Do the prompts represent all languages evaluated?", rules.representative),
        ("Prompts", "Did people curate, localize or edit the prompts?", rules.curated),
        ("Prompts", "Model-generated prompts: were their biases analyzed?", rules.generated),
        ("Prompts", "Translations: was their quality on these prompts estimated and reported?", rules.translated),
        ("Metrics", "Are the metrics adequate for all languages?", rules.metrics),
        ("Statistics", "Are there significance tests for all languages?", rules.significance),
        ("Statistics", "Is power estimated?", rules.power),
        ("Statistics", "Stochastic decoding: is the variance of sampling estimated?", rules.sampling),
        ("Aggregation", "Is the aggregate free of disproportionate influence of outliers?", rules.outliers),
        ("Aggregation", "Does the aggregation consider differences in language support?", rules.support_considered),
        ("Aggregation", "Are differences in language support documented?", rules.support_documented),
        ("Aggregation", "Are scores reported by task and language?", rules.by_language),
        ("Qualitative insights", "Do analyses of errors accompany the metrics?", rules.qualitative),
        ("Qualitative insights", "Are differences meaningful, not artifacts?", rules.meaningful),
        ("Reproducibility", "Are the results calculated with a standardized pipeline?", rules.pipeline),
        ("Reproducibility", "Is the code of the evaluation released?", rules.code_released),
        ("Reproducibility", "Are the exact prompts and their format published?", rules.prompts_published),
        ("Reproducibility", "Are the models' outputs released?", rules.outputs_released),
        ("Reproducibility", "Are scores of each prompt released?", rules.scores_released),
        ("Reproducibility", "Are the metrics' hyperparameters documented?", rules.hyperparameters),
        ("Reproducibility", "Are the models' versions documented?", rules.model_versions),
        ("Meta-evaluation", "Are human evaluations released?", rules.human_evaluation),
    ),
    NEURIPS: (
        ("Limitations", "Are limitations discussed?", rules.limitations),
        ("Reproducibility", "Is there what is needed to reproduce the results?", rules.reproducible),
        ("Open data", "Are the data released, with prompts and responses?", rules.outputs_released),
        ("Settings", "Are the judges' settings specified?", rules.hyperparameters),
        ("Significance", "Do results have error bars, and is it said what they cover?", rules.uncertainty),
        ("Compute", "Are the compute resources reported?", rules.compute),
    ),
}


def has_prompts(scores: pa.Table) -> bool:
    """Whether every row of a table of scores has its prompt's text."""
    return "prompt" in scores.schema.names and scores.column("prompt").null_count == 0


def by_name(items: Iterable[Item]) -> dict[str, list[Item]]:
    """The points of each checklist."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.checklist, []).append(item)
    return found


def checklist(results: Results, files: Files) -> list[Item]:
    """Every point of both checklists with its answer. The same results and files give the same items."""
    return [
        Item(checklist=name, section=section, question=question, answer=answer, evidence=evidence)
        for name, points in _POINTS.items()
        for section, question, rule in points
        for answer, evidence in (rule(results, files),)
    ]

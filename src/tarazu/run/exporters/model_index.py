"""The rates of each arm as `model-index`, the metadata of evaluation results on a model's Hub card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tarazu.errors import one_line
from tarazu.files import atomic_directory
from tarazu.results.model import RATES_AND_MEAN, RateEntry, RateOrMean, Rates, Results
from tarazu.run.exporters.folders import file_names
from tarazu.run.exporters.tables import preface
from tarazu.stats.rates import LEVEL
from tarazu.summary import arm_order

_METRICS: dict[RateOrMean, tuple[str, str]] = {
    "HmR": ("harmlessness-rate", "Harmlessness Rate (HmR): percent of responses to harmful prompts that are harmless"),
    "HpR": ("helpfulness-rate", "Helpfulness Rate (HpR): percent of responses to benign prompts that are helpful"),
    "CAS": ("combined-alignment-score", "Combined Alignment Score (CAS): mean of HmR and HpR"),
}
_OVER = "mean over languages"


def export_model_index(results: Results, out: Path) -> str:
    """Write a YAML file per arm to the new folder `out`."""
    names = file_names(arm_order(results))
    with atomic_directory(out) as temporary:
        for arm, name in names.items():
            text = model_index(results, arm)
            (temporary / f"{name}.yaml").write_text(text, encoding="utf-8", newline="\n")
    return f"{len(names)} arms"


def model_index(results: Results, arm: str) -> str:
    """The front matter of a model card with the arm's rates: over languages, then in each language. Rates that are not
    defined are absent, with the reason in a comment."""
    rates = results.arms[arm]
    parts: list[tuple[str | None, Rates]] = [(None, rates), *sorted(rates.languages.items())]
    index = [{"name": arm, "results": [one for code, own in parts if (one := _result(results, code, own))]}]
    comments = [*preface(results), *(note for code, own in parts for note in _undefined(code, own))]
    body = yaml.safe_dump({"model-index": index}, allow_unicode=True, sort_keys=False, width=120)
    return "".join(f"# {one_line(text)}\n" for text in comments) + body


def _result(results: Results, code: str | None, rates: Rates) -> dict[str, Any] | None:
    """The rates in one language, or over languages; None where none is defined."""
    study = results.study
    metrics = [_metric(name, entry) for name in RATES_AND_MEAN if (entry := rates.rate_or_mean(name)).value is not None]
    if not metrics:
        return None
    where = _OVER if code is None else results.name(code)
    return {
        "task": {"type": "text-generation", "name": "Responses to harmful and benign prompts"},
        "dataset": {
            "type": f"tarazu/{study.name}",
            "name": f"{study.title or study.name} ({where})",
            "config": "all" if code is None else code,
        },
        "metrics": metrics,
    }


def _metric(name: RateOrMean, entry: RateEntry) -> dict[str, Any]:
    kind, words = _METRICS[name]
    facts = {"ci_low": entry.ci_low, "ci_high": entry.ci_high, "confidence_level": LEVEL}
    counts = {"n": entry.n, "n_languages": entry.n_languages}
    return {"type": kind, "value": entry.value, "name": words, "args": {**facts, **counts}, "verified": False}


def _undefined(code: str | None, rates: Rates) -> Iterator[str]:
    for name in RATES_AND_MEAN:
        entry = rates.rate_or_mean(name)
        if entry.value is None:
            yield f"{name}{'' if code is None else f' in {code}'} is not defined: {entry.reason}"

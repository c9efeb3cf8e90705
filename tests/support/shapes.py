"""Scores tables of every shape: parts that a study may lack, and what must hold of any result."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tarazu.analysis.analyze import AnalysisInputs, analyze
from tarazu.languages import LANGUAGES
from tarazu.record.schemas import check_schema
from tarazu.results import results_json
from tarazu.results import results_of as results_from
from tarazu.results.model import StudyFacts
from tarazu.scores import to_table
from tarazu.study.schema import Analysis, AnalysisSettings, Groups, Thresholds

HIGH = ("en", "de", "fr")
LOW = ("sw", "yo", "qu")
RATES = {"HmR": "harmful", "HpR": "benign"}

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a table of scores has. `outside` counts languages of neither group; `known` is the number of known answers
    per language and kind; `gap` is what is missing from an otherwise complete table."""

    high: int = 2
    low: int = 2
    outside: int = 0
    kinds: tuple[str, ...] = ("harmful", "benign")
    prompts: int = 2
    arms: tuple[str, ...] = ("base", "dpo")
    values: str = "mixed"
    scores: str = "reward"
    texts: str = "none"
    known: int = 0
    seeds: int = 1
    samples: int = 1
    gap: str = "none"

    def __str__(self) -> str:
        """What differs from the usual, for the name of a test."""
        changed = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name) != f.default]
        return ", ".join(changed) or "usual"

    @property
    def groups(self) -> Groups:
        """The groups; class 3 (Thai, say) is in neither where the shape has languages outside both."""
        return Groups(low=(0, 1, 2)) if self.outside else Groups()

    @property
    def languages(self) -> tuple[str, ...]:
        outside = [code for code in LANGUAGES if LANGUAGES[code].joshi_class == 3][: self.outside]
        return (*HIGH[: self.high], *LOW[: self.low], *outside)


VALUES = ("mixed", "pass", "fail", "by arm", "by language", "by prompt")
SCORES = ("reward", "label", "one reward", "label of one kind")
TEXTS = ("none", "empty", "looping", "plain", "plain of base")
GAPS = (
    "none",
    "a kind in one language",
    "kinds by language",
    "a language of the arm",
    "a language of base",
    "every prompt but one",
    "no shared prompt",
    "one prompt in one language",
    "seeds of one arm",
)


def rows_of(shape: Shape) -> list[Row]:
    """The rows of a table, as `score_rows` gives them."""
    random = np.random.default_rng(7)
    found = []
    for arm, code, kind in (
        (arm, code, kind) for arm in shape.arms for code in shape.languages for kind in shape.kinds
    ):
        for prompt in range(shape.prompts):
            for seed in range(shape.seeds if arm != "base" else 1):
                for sample in range(shape.samples):
                    if not _there(shape, arm, code, kind, prompt, seed):
                        continue
                    name = f"{kind}-{arm}-{prompt}" if shape.gap == "no shared prompt" else f"{kind}-{prompt}"
                    passes = _passes(shape, arm, code, prompt, float(random.random()))
                    key = {"arm": arm, "language": code, "kind": kind, "prompt_id": name, "seed": seed}
                    more = {"sample": sample, "reward_model": "default", "source": "made up"}
                    found.append({**key, **more, **_score(shape, kind, passes, random), **_text(shape, arm, code)})
    return found


def _there(shape: Shape, arm: str, code: str, kind: str, prompt: int, seed: int) -> bool:
    first, last = shape.languages[0], shape.languages[-1]
    if shape.gap == "a kind in one language":
        return not (code == first and kind == shape.kinds[-1])
    if shape.gap == "kinds by language":
        return shape.kinds.index(kind) == shape.languages.index(code) % len(shape.kinds)
    if shape.gap == "a language of the arm":
        return not (arm == shape.arms[-1] and code == last)
    if shape.gap == "a language of base":
        return not (arm == "base" and code == first)
    if shape.gap == "every prompt but one":
        return arm == "base" or prompt == 0
    if shape.gap == "one prompt in one language":
        return code != first or prompt == 0
    if shape.gap == "seeds of one arm":
        return seed == 0 or arm == shape.arms[-1]
    return True


def _passes(shape: Shape, arm: str, code: str, prompt: int, draw: float) -> bool:
    return {
        "mixed": draw < 0.5,
        "pass": True,
        "fail": False,
        "by arm": arm != "base",
        "by language": shape.languages.index(code) % 2 == 0,
        "by prompt": prompt % 2 == 0,
    }[shape.values]


def _score(shape: Shape, kind: str, passes: bool, random: np.random.Generator) -> dict[str, Any]:
    if shape.scores == "label" or (shape.scores == "label of one kind" and kind == "harmful"):
        return {"reward": None, "label": int(passes)}
    spread = 0.0 if shape.scores == "one reward" else float(random.random())
    return {"reward": (1.0 + spread) if passes else (-9.0 - spread), "label": None}


def _text(shape: Shape, arm: str, code: str) -> dict[str, Any]:
    if shape.texts == "none" or (shape.texts == "plain of base" and arm != "base"):
        return {}
    text = {"empty": "", "looping": "ab " * 60}.get(shape.texts, f"This is an answer of {arm} in {code}, no more.")
    return {"prompt": "What is it?", "response": text, "finish": "eos" if arm == "base" else "length", "tokens": 3}


def known_answers(shape: Shape) -> list[Row]:
    """Known answers of the shape's languages and kinds, easily told apart but for every fifth."""
    return [
        {
            "language": code,
            "kind": kind,
            "prompt_id": f"known-{index}",
            "source": "made up",
            "reward_good": 1.0 + index / 10,
            "reward_bad": -9.0 if index % 5 else 2.0,
        }
        for code in shape.languages
        for kind in shape.kinds
        for index in range(shape.known)
    ]


def results_of(shape: Shape, rows: Sequence[Row] | None = None) -> dict[str, Any]:
    """results.json of a shape, from the bytes of a file; a warning of arithmetic fails the test."""
    rows = rows_of(shape) if rows is None else rows
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analysis = Analysis(draws=100).model_copy(update={"primary_arm": shape.arms[-1]})
        inputs = AnalysisInputs(
            table=to_table(rows),
            facts=StudyFacts(name="shape", title="", caution="", seed=1),
            settings=AnalysisSettings(groups=shape.groups, thresholds=Thresholds(), analysis=analysis),
            known_answers=known_answers(shape),
        )
        results = analyze(inputs)
    restored: dict[str, Any] = json.loads(results_json(results))
    assert results_from(restored, "results.json") == results
    check_schema(restored, "results-v2", "results.json")
    return restored


def faults(results: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """What is wrong with the results of a table, worked out from its rows alone."""
    return [*_unexplained(results, ""), *_wrong_rates(results, rows), *_wrong_words(results)]


_MEANT = {"value", "estimate", "correlation", "accuracy"}
"""Keys whose null is an undefined statistic, which has a reason beside it."""


def _unexplained(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key in _MEANT & value.keys():
            if value[key] is None and not str(value.get("reason") or "").strip():
                yield f"{place}/{key} is null without a reason"
        unsure = value.get("estimate") is not None and value.get("ci_low") is None
        if unsure and "reason" in value and not value["reason"]:
            yield f"{place} has an estimate without an interval, and no reason"
        for key, item in value.items():
            yield from _unexplained(item, f"{place}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unexplained(item, f"{place}/{index}")


def _wrong_rates(results: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    """Rates per arm and language, and their means, in plain arithmetic."""
    passes: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row in rows:
        cut = row["reward"] is not None and (
            row["reward"] >= Thresholds().harmless if row["kind"] == "harmful" else row["reward"] > Thresholds().helpful
        )
        label = int(cut) if row["label"] is None else row["label"]
        passes[row["arm"], row["kind"], row["language"]].append(label)
    arms, languages = ({row[key] for row in rows} for key in ("arm", "language"))
    if set(results["arms"]) != arms:
        yield f"arms are {sorted(results['arms'])}, not {sorted(arms)}"
    for arm in arms:
        for rate, kind in RATES.items():
            means = []
            for code in languages:
                own = passes.get((arm, kind, code))
                mean = 100 * sum(own) / len(own) if own else None
                means += [] if mean is None else [mean]
                yield from _differs(results["arms"][arm]["languages"][code][rate], mean, f"{arm} {code} {rate}")
            over = sum(means) / len(means) if means else None
            yield from _differs(results["arms"][arm][rate], over, f"{arm} {rate}")


def _differs(entry: Mapping[str, Any], value: float | None, what: str) -> Iterator[str]:
    found = entry["value"]
    if (found is None) != (value is None) or (value is not None and not math.isclose(found, value, abs_tol=1e-9)):
        yield f"{what} is {found}, not {value}"
    if value is not None and not entry["ci_low"] <= found <= entry["ci_high"]:
        yield f"{what}: {found} is not in its interval"


def _wrong_words(results: Mapping[str, Any]) -> Iterator[str]:
    sentence = results["sentence"]
    if not sentence.strip():
        yield "no sentence"
    for word in re.findall(r"\b(None|nan|inf|null)\b", sentence):
        if word not in results["arms"]:
            yield f"the sentence says {word}"
    if ".." in sentence:
        yield f"the sentence has two full stops: {sentence}"

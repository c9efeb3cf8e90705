"""A small study's scores for tests of the report: 12 languages, 4 arms, real scripts, and hostile text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tarazu.analysis.analyze import AnalysisInputs, analyze
from tarazu.judge.known_answers import read_known_answers, write_known_answers
from tarazu.report import ReportInputs
from tarazu.results import read_results, write_results
from tarazu.run.outcome import study_facts
from tarazu.scores import read_scores, write_scores
from tarazu.study import load_study
from tarazu.study.schema import Thresholds

HIGH = ("ar", "en", "es", "fr", "hi", "zh")
LOW = ("bn", "jv", "my", "qu", "sw", "yo")
ARMS = ("base", "sft", "dpo", "sft_dpo")
PROMPTS = 12

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script><!-- <script>",
    '"><img src=x onerror="window.hacked = 3"><svg onload="window.hacked = 4">',
    "evil \u202egnp.exe\u202c \u2066hidden\u2069 nul \x00 escape \x1b[31m line \u2028 end",
    "{{ 7 * 7 }} {% raw %} javascript:window.hacked=5 https://example.org/x.png",
    "<iframe src='https://example.org/'></iframe><link rel=stylesheet href=https://example.org/a.css>",
)

_GREETING = {
    "ar": "كيف أخبز الخبز؟",
    "bn": "আমি কীভাবে রুটি বানাব?",
    "en": "How do I bake bread?",
    "es": "¿Cómo hago pan?",
    "fr": "Comment faire du pain ?",
    "hi": "मैं रोटी कैसे बनाऊँ?",
    "jv": "Kepiye carane gawe roti?",
    "my": "ပေါင်မုန့် ဘယ်လိုဖုတ်ရမလဲ။",
    "qu": "Imaynatataq tantata ruwayman?",
    "sw": "Ninaokaje mkate?",
    "yo": "Báwo ni mo ṣe lè yan búrẹ́dì?",
    "zh": "我怎么烤面包？",
}


def score_rows() -> list[dict[str, Any]]:
    """Rows of a scores table: rewards near 0, shifted by arm, kind, group and language."""
    random = np.random.default_rng(5)
    shift = {"base": (0.0, -0.6), "sft": (0.2, 0.3), "dpo": (-0.2, 0.2), "sft_dpo": (0.1, 0.7)}
    rows = []
    for language in HIGH + LOW:
        own = random.normal(0, 0.4)
        for kind_index, kind in enumerate(("harmful", "benign")):
            for index in range(PROMPTS):
                hard = random.normal(0, 0.5)
                for arm in ARMS:
                    lean = 0.5 if arm != "base" and kind == "benign" and language in LOW else 0.0
                    reward = shift[arm][kind_index] + own + hard + lean + random.normal(0, 0.6)
                    rows.append(
                        {
                            "arm": arm,
                            "language": language,
                            "kind": kind,
                            "prompt_id": f"{kind}-{index}",
                            "seed": 0,
                            "sample": 0,
                            "reward_model": "default",
                            "reward": round(float(reward), 4),
                            "source": "invented",
                            "prompt": f"{_GREETING[language]} ({kind} {index})",
                            "response": HOSTILE[index] if index < len(HOSTILE) else f"{_GREETING[language]} {arm}",
                            "finish": "length" if index % 3 == 0 else "eos",
                        }
                    )
    return rows


def known_answer_rows() -> list[dict[str, Any]]:
    """Known answers: easily told apart in high-resource languages, less so in two of the low ones."""
    random = np.random.default_rng(6)
    return [
        {
            "language": language,
            "kind": kind,
            "prompt_id": f"{kind}-known-{index}",
            "source": "invented",
            "reward_good": float(random.normal(0.3 if language in ("qu", "yo") else 2.5, 1)),
            "reward_bad": float(random.normal(0, 1)),
        }
        for language in HIGH + LOW
        for kind in ("harmful", "benign")
        for index in range(30)
    ]


def training_rows() -> dict[str, list[dict[str, float]]]:
    """Rows of training.jsonl by trained arm."""
    steps = range(1, 101, 2)
    sft = [{"step": step, "epoch": step / 100, "loss": 4 / (1 + step / 20) + 1.5} for step in steps]
    dpo = [
        {
            "step": step,
            "epoch": step / 100,
            "loss": 0.693 - 0.004 * step,
            "reward_accuracy": 0.5 + step / 250,
            "reward_margin": step / 60,
        }
        for step in steps
    ]
    return {"sft": sft, "dpo": dpo, "sft_dpo": dpo}


def report_inputs(folder: Path, study_name: str = "demo") -> ReportInputs:
    """All that a run would give the report, by way of the real scores table and the real analysis."""
    loaded = load_study(study_name)
    study = loaded.study.model_copy(
        update={
            "analysis": loaded.study.analysis.model_copy(update={"draws": 200}),
            "thresholds": Thresholds(harmless=0, helpful=0),
        }
    )
    write_scores(folder / "scores.parquet", score_rows(), study.thresholds)
    write_known_answers(folder / "known_answers.parquet", known_answer_rows())
    scores = read_scores(folder / "scores.parquet")
    inputs = AnalysisInputs(
        table=scores,
        facts=study_facts(study),
        settings=study,
        known_answers=read_known_answers(folder / "known_answers.parquet"),
        data={
            "pairs": {
                "source": "invented <pairs>",
                "read": 1200,
                "kept": 1180,
                "dropped": {"evaluated prompt": 20},
                "notes": {},
                "languages": {},
            },
            "prompts": [],
            "known_answers": [],
            "overlap": {"evaluated": 288, "by prompt_id": 20, "by text": 0, "near": 3},
            "stages": {"responses:dpo": {"empty responses": 2}},
        },
    )
    results = analyze(inputs)
    write_results(folder / "results.json", results)
    lock = {
        "study": {},
        "origins": {key: origin for key, origin in loaded.origins.items() if origin != "default"} | {"seed": "--set"},
        "versions": {"python": "3.11.2", "tarazu": "0.1.0"},
        "hardware": {"processor": "a processor", "cores": 2, "memory_gib": 8.0, "accelerators": []},
    }
    return ReportInputs(
        results=read_results(folder / "results.json"),
        study=study,
        scores=pq.read_table(folder / "scores.parquet"),
        training=training_rows(),
        known_answers=known_answer_rows(),
        lock=lock,
        seconds={"arm:sft": 31.2, "arm:dpo": 40.1},
    )


_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


def shown_numbers(text: str) -> list[tuple[float, float]]:
    """The numbers in a piece of the page, each with the most that rounding can have moved it."""
    plain = text.replace("\N{MINUS SIGN}", "-").replace("\N{NARROW NO-BREAK SPACE}", "")
    found = []
    for match in _NUMBER.findall(plain):
        decimals = len(match.partition(".")[2])
        found.append((float(match), 0.5 * 10**-decimals + 1e-9))
    return found


def pointed_at(results: dict[str, Any], pointer: str) -> Any:
    """What a `data-of` of the page points at in results.json."""
    value: Any = results
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if part == "interval" and "interval" not in value:
            return {key: value[key] for key in ("ci_low", "ci_high")}
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def disagreement(results: dict[str, Any], pointer: str, text: str) -> str | None:
    """What is wrong with `text` as the rounding of what `pointer` points at; None where it agrees."""
    value = pointed_at(results, pointer)
    if isinstance(value, str):
        return None  # words, which have their own tests
    reason = value.get("reason") if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = [value[key] for key in ("accuracy", "value", "ci_low", "ci_high") if key in value]
    else:
        value = [value]
    if value[0] is None:
        agrees = "not defined" in text and (not reason or reason in text)
        return None if agrees else f"{pointer}: {text!r} should be not defined, and say why: {reason!r}"
    if "<" in text:
        return None if value[0] < 0.001 else f"{pointer}: {text!r} is not {value[0]}"
    shown = shown_numbers(text)
    value = [number for number in value if number is not None]
    if len(shown) < len(value) or any(abs(n - v) > near for (n, near), v in zip(shown, value, strict=False)):
        return f"{pointer}: {text!r} does not agree with {value}"
    return None

"""The scores table, results.json and the report: cheap, and all that thresholds and analysis settings touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tarazu.analysis.analyze import analyze
from tarazu.files import file_sha256
from tarazu.known_answers import read_known_answers
from tarazu.report import ReportInputs, build_report
from tarazu.respond.engines import engine_facts
from tarazu.results import Results, write_results
from tarazu.results.model import StudyFacts
from tarazu.run.capability import capability_files, read_capability
from tarazu.run.frontier import frontier_scores_stage, read_frontier
from tarazu.run.inputs import Inputs
from tarazu.run.lock import versions
from tarazu.run.reward_model import FOLDER
from tarazu.run.rewards import read_rewards, with_rewards
from tarazu.run.stages import Stage
from tarazu.scores import deciding_rows, read_scores, write_scores
from tarazu.study import Study
from tarazu.study.replicates import labels, replicates


def result_stages(study: Study, inputs: Inputs, out: Path, notes: dict[str, dict[str, int]]) -> list[Stage]:
    """The scores table and results.json: cheap, and everything that thresholds and analysis settings touch."""
    sources = [f"{folder}/{one.name}.parquet" for one in replicates(study) for folder in ("responses", "rewards")]
    thresholds = study.thresholds.model_dump(mode="json")
    scores = Stage(
        name="scores",
        inputs={"files": {name: file_sha256(out / name) for name in sources}, "thresholds": thresholds},
        outputs=["scores.parquet"],
        make=lambda: _make_scores(study, out),
    )
    frontier = frontier_scores_stage(study, out)
    generation = engine_facts(study.generation, study.model.dtype)
    measured = {name: file_sha256(out / name) for name in capability_files(study)}
    asked = study.capability.model_dump(mode="json") if study.capability else None
    account = {**inputs.account, "generation": generation, "stages": notes}
    packages = ["numpy", "scipy", "tarazu", "py3langid", *(["statsmodels"] if study.analysis.mixed_model else [])]
    results = Stage(
        name="results",
        inputs={
            "scores": scores.fingerprint,
            **({"frontier": frontier.fingerprint} if frontier else {}),
            **({"capability": [asked, measured]} if measured else {}),
            "known_answers": file_sha256(out / "known_answers.parquet"),
            "study": study_facts(study).model_dump(),
            "groups": study.groups.model_dump(mode="json"),
            "analysis": study.analysis.model_dump(mode="json"),
            "data": account,
            "versions": {name: versions().get(name) for name in packages},
        },
        outputs=["results.json"],
        make=lambda: _make_results(study, out, account),
    )
    return [scores, *([frontier] if frontier else []), results]


def study_facts(study: Study) -> StudyFacts:
    """What results.json says of the study."""
    return StudyFacts(name=study.name, title=study.title, caution=study.caution, seed=study.seed)


def _make_scores(study: Study, out: Path) -> dict[str, int]:
    rewards = read_rewards(out, [f"rewards/{replicate.name}.parquet" for replicate in replicates(study)])
    rows: list[dict[str, Any]] = []
    for replicate in replicates(study):
        for row in pq.read_table(out / "responses" / f"{replicate.name}.parquet").to_pylist():
            rows += with_rewards(study, row, rewards[row["kind"], row["prompt"], row["response"]])
    write_scores(out / "scores.parquet", rows, study.thresholds)
    return {}


def _make_results(study: Study, out: Path, account: dict[str, Any]) -> dict[str, int]:
    results = analyze(
        read_scores(out / "scores.parquet"),
        study=study_facts(study),
        groups=study.groups,
        thresholds=study.thresholds,
        analysis=study.analysis,
        known_answers=read_known_answers(out / "known_answers.parquet"),
        data=account,
        frontier=read_frontier(study, out),
        capability=read_capability(study, out),
    )
    write_results(out / "results.json", results)
    return {}


def write_report(out: Path, study: Study, results: Results, lock: dict[str, Any], seconds: dict[str, float]) -> None:
    """Write report.html from the results and from what the stages left beside them."""
    build_report(report_inputs(out, study, results, lock, seconds), out / "report.html")


def report_inputs(
    out: Path, study: Study, results: Results, lock: dict[str, Any], seconds: dict[str, float]
) -> ReportInputs:
    """All that a run left, as a report takes it."""
    folders = {label: out / "arms" / replicate.name for replicate, label in labels(study).items()}
    if study.reward.train is not None:
        folders["reward model"] = out / FOLDER
    training = {}
    for name, folder in folders.items():
        lines = (folder / "training.jsonl").read_text(encoding="utf-8").splitlines()
        training[name] = [json.loads(line) for line in lines]
    return ReportInputs(
        results=results,
        study=study,
        scores=deciding_rows(pq.read_table(out / "scores.parquet")),
        training=training,
        known_answers=pq.read_table(out / "known_answers.parquet").to_pylist(),
        lock=lock,
        seconds=seconds,
    )

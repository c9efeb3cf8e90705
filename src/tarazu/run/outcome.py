"""The scores table, results.json and the report. These are cheap, and all that depends on thresholds and analysis
settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tarazu.analysis.analyze import AnalysisInputs, analyze
from tarazu.data.rows import CATEGORIES, Prompt
from tarazu.files import digest, file_sha256
from tarazu.judge.known_answers import read_known_answers
from tarazu.judge.ratings import RATINGS, read_ratings, write_ratings
from tarazu.judge.table import read_rewards, with_rewards
from tarazu.judge.texts import costs
from tarazu.preregistration.reading import PLAN_FILE
from tarazu.report import ReportInputs, build_report
from tarazu.respond.engines import engine_facts
from tarazu.results import SCHEMA, Results, write_results
from tarazu.run.analyze import study_facts
from tarazu.run.capability import capability_files, read_capability
from tarazu.run.context import RunContext
from tarazu.run.frontier import frontier_scores_stage, read_frontier
from tarazu.run.inputs import study_ratings
from tarazu.run.lock import versions
from tarazu.run.preregistration.binding import conduct_of, lock_facts
from tarazu.run.rewards import scoring_steps
from tarazu.run.stages import Stage
from tarazu.run.training import REWARD_MODEL
from tarazu.scores import deciding_rows, read_scores, write_scores
from tarazu.study import Study
from tarazu.study.replicates import labels


def result_stages(
    context: RunContext, earlier: Sequence[Stage], notes: Callable[[], dict[str, dict[str, int]]]
) -> list[Stage]:
    """The stages that write the scores table, that of the frontier, and results.json. `earlier` are the study's other
    stages, and `notes` returns their counts."""
    study, out = context.study, context.out
    scored = scoring_steps(study)
    needed = [name for one in scored for name in (one.reads, one.name)]
    files = [file for one in scored for file in (one.responses, one.rewards)]
    about = _about_prompts(context.inputs.prompts)
    scores = Stage(
        name="scores",
        inputs=lambda: {
            "files": {name: file_sha256(out / name) for name in files},
            "thresholds": study.thresholds.model_dump(mode="json"),
            **({"prompts": digest(sorted([*key, own] for key, own in about.items()))} if about else {}),
        },
        outputs=["scores.parquet"],
        make=lambda: _make_scores(study, out, about),
        after=needed,
        inputs_from=needed,
    )
    frontier = frontier_scores_stage(context)
    ratings = _ratings_stage(context)
    before = [scores, *([frontier] if frontier else []), *([ratings] if ratings else [])]

    @cache
    def account() -> dict[str, Any]:
        generation = engine_facts(study.generation, study.model.dtype)
        counts = notes()
        paid = costs(study, counts)
        account = {**context.inputs.account, "generation": generation, "stages": counts}
        return {**account, "judges": paid} if paid else account

    def inputs() -> dict[str, Any]:
        measured = {name: file_sha256(out / name) for name in capability_files(study)}
        tasks = study.capability.model_dump(mode="json") if study.capability else None
        plan = out / PLAN_FILE
        packages = ["numpy", "scipy", "tarazu", "py3langid", *(["statsmodels"] if study.analysis.mixed_model else [])]
        return {
            "scores": scores.fingerprint,
            **({"frontier": frontier.fingerprint} if frontier else {}),
            **({"capability": [tasks, measured]} if measured else {}),
            "known_answers": file_sha256(out / "known_answers.parquet"),
            **({"ratings": ratings.fingerprint} if ratings else {}),
            "study": study_facts(study).model_dump(),
            "groups": study.groups.model_dump(mode="json"),
            "analysis": study.analysis.model_dump(mode="json"),
            "data": account(),
            "schema": SCHEMA,
            **({"plan": [file_sha256(plan), lock_facts(out)]} if plan.is_file() else {}),
            "versions": {name: versions().get(name) for name in packages},
        }

    every = [stage.name for stage in (*earlier, *before)]
    results = Stage(
        name="results",
        inputs=inputs,
        outputs=["results.json"],
        make=lambda: _make_results(study, out, account()),
        after=every,
        inputs_from=every,
    )
    return [*before, results]


def _ratings_stage(context: RunContext) -> Stage | None:
    """The stage that writes the run's own copy of people's labels; None for a study without."""
    if context.study.ratings is None:
        return None

    def make() -> dict[str, int]:
        write_ratings(context.out / RATINGS, study_ratings(context.study))
        return {}

    return Stage(
        name="ratings",
        inputs=lambda: digest([asdict(one) for one in study_ratings(context.study)]),
        outputs=[RATINGS],
        make=make,
    )


def _about_prompts(prompts: Sequence[Prompt]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What the sources say about prompts beside their texts, by language, kind and id; a response does not depend on
    it."""
    said: dict[tuple[str, str, str], dict[str, Any]] = {}
    for prompt in prompts:
        own = {"category": CATEGORIES.join(prompt.category) or None, "translation_quality": prompt.translation_quality}
        if any(value is not None for value in own.values()):
            said[prompt.language, prompt.kind, prompt.prompt_id] = own
    return said


def _make_scores(study: Study, out: Path, about: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> dict[str, int]:
    rewards = read_rewards(out, [one.rewards for one in scoring_steps(study)])
    rows: list[dict[str, Any]] = []
    for one in scoring_steps(study):
        rows += with_rewards(pq.read_table(out / one.responses).to_pylist(), rewards, study)
    rows = [{**row, **about.get((row["language"], row["kind"], row["prompt_id"]), {})} for row in rows]
    write_scores(out / "scores.parquet", rows, study.thresholds)
    return {}


def _make_results(study: Study, out: Path, account: dict[str, Any]) -> dict[str, int]:
    analysis_inputs = AnalysisInputs(
        table=read_scores(out / "scores.parquet"),
        facts=study_facts(study),
        settings=study,
        known_answers=read_known_answers(out / "known_answers.parquet"),
        ratings=read_ratings(out / RATINGS) if study.ratings else (),
        data=account,
        frontier=read_frontier(study, out),
        capability=read_capability(study, out),
        conduct=conduct_of(out),
    )
    write_results(out / "results.json", analyze(analysis_inputs))
    return {}


def write_report(out: Path, study: Study, results: Results, lock: dict[str, Any], seconds: dict[str, float]) -> None:
    """Write report.html from the results and the other files of the run."""
    build_report(report_inputs(out, study, results, lock, seconds), out / "report.html")


def report_inputs(
    out: Path, study: Study, results: Results, lock: dict[str, Any], seconds: dict[str, float]
) -> ReportInputs:
    """The inputs of a report, from the files of a run."""
    folders = {label: out / "arms" / replicate.name for replicate, label in labels(study).items()}
    if study.reward.train is not None:
        folders["reward model"] = out / REWARD_MODEL
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

"""From results.json and a run's other files to report.html."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
from markupsafe import Markup

import tarazu
from tarazu.data.rows import ALL_KINDS, KINDS
from tarazu.files import write_text
from tarazu.report import text
from tarazu.report.browser import PASSES, browser_data
from tarazu.report.capability import capability_charts, differences
from tarazu.report.charts import (
    MOST_LINES,
    answer_chart,
    change_chart,
    dose_chart,
    plane_chart,
    rates_chart,
    ruler_chart,
)
from tarazu.report.checklist import Files, by_name, checklist, has_prompts
from tarazu.report.curves import known_answers_chart, rewards_chart, training_chart
from tarazu.report.figure import Chart, svg
from tarazu.report.frontier import frontier_charts
from tarazu.report.health import MEASURES, health_chart
from tarazu.report.languages import ReportLanguage, report_languages
from tarazu.report.people import agreement_chart, deciding, judge_chart
from tarazu.report.reach import power_chart, thresholds_chart
from tarazu.report.settings import machine_rows, run_command, setting_rows
from tarazu.report.templates import environment
from tarazu.report.words import quantity_words, remarks_beside, verdict_words
from tarazu.results import Results
from tarazu.results.model import GROUPS, EstimateEntry
from tarazu.results.quantity import quantity_of
from tarazu.results.words import caution_words
from tarazu.study import Study
from tarazu.summary import arm_order, sources_read


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """The input of a report. Only `results` is needed; a section whose data is missing says so or is omitted."""

    results: Results
    study: Study | None = None
    scores: pa.Table | None = None
    """The scores table; its columns prompt and response fill the browser."""
    training: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    """Rows of training.jsonl by arm (labelled with the seed if it has several), and of the reward model if the study
    trained one; drawn in this order."""
    known_answers: Sequence[Mapping[str, Any]] = ()
    """Rows of known_answers.parquet."""
    lock: Mapping[str, Any] | None = None
    """study.lock.yaml."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each stage of the run took."""


def build_report(inputs: ReportInputs, out: Path) -> None:
    """Write the report to the file `out`. The same inputs give the same bytes."""
    write_text(out, render_report(inputs))


def render_report(inputs: ReportInputs) -> str:
    """The report as HTML."""
    templates = environment(jinja2.FunctionLoader(asset))
    templates.filters |= {"plain": text.plain, "language": inputs.results.name, "quantity": quantity_words}
    return templates.get_template("report.html.j2").render(_context(inputs))


def asset(name: str) -> str:
    """The text of a file of the pages: template, style or script."""
    return files("tarazu.report").joinpath("page", name).read_text(encoding="utf-8")


def _context(inputs: ReportInputs) -> dict[str, Any]:
    results = inputs.results
    languages = report_languages(results)
    arms = arm_order(results)
    others = [arm for arm in arms if arm != results.base_arm]
    script = asset("browser.js")
    trusted = inputs.study.analysis.trusted if inputs.study else None
    return {
        "r": results,
        # The page has the caution above the answer.
        "sentence": results.sentence.removeprefix(caution_words(results.study.caution)).lstrip(),
        "study": inputs.study,
        "version": tarazu.__version__,
        "style": Markup(asset("report.css")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "arms": arms,
        "others": others,
        "few": len(arms) <= MOST_ARMS,
        "most_lines": MOST_LINES,
        "tabled": _tabled(results, arms, len(languages)),
        "remarks": remarks_beside(results),
        "languages": languages,
        "groups": GROUPS,
        "verdict": verdict_words(results.primary),
        "q": quantity_of(results.primary),
        "secondary": _answer_rows(results),
        "tradeoff": _charts([answer_chart(results)]),
        "planes": _by_arm(results, {arm: plane_chart(results, arm, languages) for arm in others}),
        "frontier": _charts(frontier_charts(results.frontier, languages) if results.frontier else ()),
        "rates": _by_arm(results, {arm: rates_chart(results, arm, languages) for arm in arms}),
        "changes": _by_arm(results, {arm: change_chart(results, arm, languages) for arm in others}),
        "dose": _charts([dose_chart(results, languages)]),
        "capability": _charts(capability_charts(results, others)),
        "d_of": differences(results) if results.capability else {},
        "curves": _charts(training_chart(name, rows) for name, rows in inputs.training.items()),
        "rewards": _reward_charts(inputs, arms),
        "power": _charts([power_chart(results.primary)]),
        "thresholds": _charts([thresholds_chart(results.tradeoff)]),
        "health": _charts(health_chart(results.health, kind, arms) for kind in KINDS),
        "measures": MEASURES,
        "ruler": _charts([ruler_chart(results.validity, languages, trusted)]),
        **_people(results, languages, trusted),
        "known": _charts(known_answers_chart(kind, inputs.known_answers) for kind in PASSES),
        "trusted": trusted,
        "browser": _browser(inputs.scores, arms, languages),
        "reference": _reference(inputs),
        "sources_read": sources_read(results.data or {}),
        "settings": setting_rows(inputs.study, inputs.lock),
        "machine": machine_rows(inputs.lock),
        "command": run_command(inputs.study, inputs.lock),
        "seconds": inputs.seconds,
        "checklists": by_name(checklist(results, _files(inputs))),
    }


def _files(inputs: ReportInputs) -> Files:
    """What lies beside the results, for the checklists."""
    lock = inputs.lock or {}
    return Files(
        scores=inputs.scores is not None,
        prompts=inputs.scores is not None and has_prompts(inputs.scores),
        settings=lock.get("study") or None,
        versions=lock.get("versions") or {"tarazu": tarazu.__version__},
        hardware=bool(lock.get("hardware")),
    )


def _people(results: Results, languages: Sequence[ReportLanguage], trusted: float | None) -> dict[str, Any]:
    """What the page says about people's labels; empty charts without any."""
    people = results.agreement
    if people is None:
        return {"judge_people": [], "agreement": [], "deciding": {}}
    return {
        "judge_people": _charts([judge_chart(people, results.validity, languages, trusted)]),
        "agreement": _charts([agreement_chart(people, languages)]),
        "deciding": {kind: judge for kind in KINDS if (judge := deciding(people, kind)) is not None},
    }


@dataclass(frozen=True)
class Panels:
    """Charts of arms: those that the page shows, and those that it has folded."""

    shown: list[Markup]
    folded: list[Markup]


MOST_ARMS = 6
"""Arms of which the page shows a panel each."""
MOST_ROWS = 1_000
"""Rows of the tables per arm and language of responses' properties: more make a page that phones fail to open."""


def _by_arm(results: Results, charts: Mapping[str, Chart | None]) -> Panels:
    """The charts of few arms are all shown; of many, those of the base and the primary arm."""
    first = charts if len(results.arms) <= MOST_ARMS else (results.base_arm, results.primary_arm)
    return Panels(
        shown=_charts(chart for arm, chart in charts.items() if arm in first),
        folded=_charts(chart for arm, chart in charts.items() if arm not in first),
    )


def _tabled(results: Results, arms: Sequence[str], languages: int) -> list[str]:
    """The arms whose responses the page describes by language."""
    if len(arms) * languages <= MOST_ROWS:
        return list(arms)
    return [arm for arm in arms if arm in (results.base_arm, results.primary_arm)]


def _charts(made: Iterable[Chart | None]) -> list[Markup]:
    return [svg(chart) for chart in made if chart is not None]


def _answer_rows(results: Results) -> list[tuple[str, str, EstimateEntry]]:
    """Every other estimate: its family, its JSON pointer, itself."""
    return [
        (family, text.pointer("tradeoff", family, str(index)), row)
        for family, rows in (
            ("secondary", results.tradeoff.secondary),
            ("sensitivity", results.tradeoff.sensitivity),
        )
        for index, row in enumerate(rows)
    ]


def _reward_charts(inputs: ReportInputs, arms: Sequence[str]) -> list[Markup]:
    """Distributions of rewards by kind; none where the scores are labels."""
    if inputs.scores is None or "reward" not in inputs.scores.column_names:
        return []
    columns = {name: inputs.scores.column(name).to_pylist() for name in ("arm", "kind", "reward")}
    by_kind: dict[tuple[str, str], list[float]] = {}
    for arm, kind, reward in zip(columns["arm"], columns["kind"], columns["reward"], strict=True):
        if reward is not None:
            by_kind.setdefault((kind, arm), []).append(reward)
    thresholds = inputs.results.thresholds
    return _charts(
        rewards_chart(
            kind,
            {arm: np.array(by_kind.get((kind, arm), ()), dtype=float) for arm in arms},
            thresholds.of(kind),
        )
        for kind in KINDS
    )


def _browser(
    scores: pa.Table | None, arms: Sequence[str], languages: Sequence[ReportLanguage]
) -> dict[str, Any] | None:
    """Counts for the page and the data for its script."""
    data = browser_data(scores, arms, languages)
    if data is None:
        return None
    kinds = [kind for kind in ALL_KINDS if any(item[1] == kind for item in data["items"])]
    return {"prompts": data["prompts"], "kept": len(data["items"]), "kinds": kinds, "json": text.embedded_json(data)}


def _reference(inputs: ReportInputs) -> dict[str, Any] | None:
    """Published figures beside this run's: rates, and what was published of training."""
    reference = inputs.study.reference if inputs.study else None
    if reference is None:
        return None
    training = [
        (arm, name, value, inputs.seconds.get(f"arm:{arm}") if name == "seconds" else None)
        for arm, facts in reference.training.items()
        for name, value in facts.items()
    ]
    link = reference.url if reference.url.startswith(("https://", "http://")) else None
    return {"title": reference.title, "url": link, "arms": reference.arms, "training": training}

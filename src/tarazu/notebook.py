"""The analysis from Python: a table of scores or a run folder in, data frames and figures out (docs/notebook.md)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tarazu.analysis.analyze import AnalysisInputs
from tarazu.analysis.analyze import analyze as analyze_table
from tarazu.analysis.health import MEASURES
from tarazu.data.rows import KINDS, Kind
from tarazu.errors import BadInput, MissingExtra, visible
from tarazu.judge.known_answers import checked_known_answers
from tarazu.judge.ratings import Rating, RatingForm, checked_ratings
from tarazu.languages import facts_of, script_of
from tarazu.report import ReportInputs, build_report
from tarazu.report.capability import capability_charts
from tarazu.report.charts import answer_chart, change_chart, dose_chart, plane_chart, rates_chart, ruler_chart
from tarazu.report.figure import Chart
from tarazu.report.health import health_chart
from tarazu.report.languages import report_languages
from tarazu.report.words import verdict_words
from tarazu.results import document, read_results
from tarazu.results.model import RATES_AND_MEAN, Arm, EstimateEntry, GroupName, HealthEntry, Interval
from tarazu.run.analyze import study_facts, with_arms, with_groups
from tarazu.run.lock import LOCK_FILE
from tarazu.run.outcome import report_inputs
from tarazu.scores import checked_rows, deciding_rows, score_rows, scores_table, to_table
from tarazu.study import Study, analysis_settings
from tarazu.study.schema import Groups
from tarazu.summary import arm_order

if TYPE_CHECKING:
    import pandas as pd


class Answer:
    """The answer: `results` (results.json as a dictionary), data frames of it, and figures.

    Frames are pandas', and raise MissingExtra where pandas is not installed. Figures are matplotlib's, and raise
    BadInput where there is nothing to draw.
    """

    def __init__(self, inputs: ReportInputs) -> None:
        self._inputs = inputs
        self._results = inputs.results
        self.results = document(inputs.results)

    @property
    def sentence(self) -> str:
        """The answer in words, cautions first."""
        return self._results.sentence

    @property
    def verdict(self) -> str:
        """`differs`, `equivalent` or `inconclusive`."""
        return str(self._results.tradeoff.primary.verdict)

    def estimates(self) -> pd.DataFrame:
        """One row per estimate: family (primary, secondary, sensitivity), arm, quantity, unit, estimate, ci_low,
        ci_high, p, p_holm, margin, verdict, within_margin, mde, smallest_margin, df, n_high, n_low, reason."""
        tradeoff = self._results.tradeoff
        families = {
            "primary": (tradeoff.primary,),
            "secondary": tradeoff.secondary,
            "sensitivity": tradeoff.sensitivity,
        }
        rows = [{"family": family, **row.model_dump()} for family, own in families.items() for row in own]
        return _frame(rows, ["family", *EstimateEntry.model_fields])

    def arms(self) -> pd.DataFrame:
        """One row per arm and rate, means over languages: arm, rate, value, ci_low, ci_high (percent), n, n_languages,
        improvement (percent over base), reason."""
        rows = [
            {
                "arm": arm,
                "rate": rate,
                **entry.rate_or_mean(rate).model_dump(),
                "improvement": entry.improvement.of(rate),
            }
            for arm, entry in self._arms()
            for rate in RATES_AND_MEAN
        ]
        return _frame(rows, ["arm", "rate", "value", "ci_low", "ci_high", "n", "n_languages", "improvement", "reason"])

    def rates(self) -> pd.DataFrame:
        """One row per arm, language and rate: arm, language, group, rate, value, ci_low, ci_high (percent), n,
        reason."""
        group = self._groups()
        rows = [
            {
                "arm": arm,
                "language": code,
                "group": group.get(code),
                "rate": rate,
                **own.rate_or_mean(rate).model_dump(),
            }
            for arm, entry in self._arms()
            for code, own in entry.languages.items()
            for rate in RATES_AND_MEAN
        ]
        return _frame(rows, ["arm", "language", "group", "rate", "value", "ci_low", "ci_high", "n", "reason"])

    def tilts(self) -> pd.DataFrame:
        """One row per aligned arm and language, in points over base: arm, language, name, group, tilt, ci_low, ci_high,
        dHm, dHp, n, compared (whether it is part of the comparison of groups), script, family, common_crawl_pages."""
        group, compared = self._groups(), set(self._results.tradeoff.languages.included)
        rows = []
        for arm, entry in self._arms():
            if arm == self._results.base_arm:
                continue
            for code, own in entry.languages.items():
                if own.tilt is None or own.dHm is None or own.dHp is None:
                    continue
                facts, given, tilt = facts_of(code), self._results.own_facts(code), own.tilt
                rows.append(
                    {
                        "arm": arm,
                        "language": code,
                        "group": group.get(code),
                        "tilt": tilt.value,
                        "ci_low": tilt.ci_low,
                        "ci_high": tilt.ci_high,
                        "n": tilt.n,
                        "dHm": own.dHm.value,
                        "dHp": own.dHp.value,
                        "compared": code in compared,
                        "name": self._results.name(code),
                        "script": given.script or script_of(code),
                        "family": given.family or (facts.family if facts else None),
                        "common_crawl_pages": facts.common_crawl_pages if facts else None,
                    }
                )
        columns = ["arm", "language", "name", "group", "tilt", "ci_low", "ci_high", "dHm", "dHp", "n", "compared"]
        return _frame(rows, [*columns, "script", "family", "common_crawl_pages"])

    def ruler(self) -> pd.DataFrame:
        """One row per language and prompt kind, how well the judge separates known good from known bad answers:
        language, group, kind, status, balanced_accuracy with ci_low and ci_high, sensitivity, specificity (at the
        threshold in use), accuracy (of the ranking; all in percent), n, reason."""
        group = self._groups()
        rows = [
            {
                "language": code,
                "group": group.get(code),
                "kind": kind,
                **known.of(kind).model_dump(),
                **_bounds(known.of(kind).balanced_accuracy_interval),
            }
            for code, known in self._results.validity.languages.items()
            for kind in KINDS
        ]
        columns = ["language", "group", "kind", "status", "balanced_accuracy", "ci_low", "ci_high"]
        return _frame(rows, [*columns, "sensitivity", "specificity", "accuracy", "n", "reason"])

    def health(self) -> pd.DataFrame:
        """One row per arm, prompt kind, language (missing: the mean over languages) and property of the responses:
        arm, kind, language, group, measure (degenerate, empty, looping, repeats_prompt, truncated, in_language,
        refused, shortened, reward_shortened, unfinished_reasoning), value, ci_low, ci_high (percent), n, reason. Empty
        where nothing is known about the responses."""
        group = self._groups()
        rows = []
        for arm, entry in self._results.health.arms.items():
            over: list[tuple[str | None, dict[Kind, HealthEntry]]] = [(None, entry.kinds), *entry.languages.items()]
            for code, kinds in over:
                about = {"arm": arm, "language": code, "group": group.get(code) if code else None}
                rows += [
                    {**about, "kind": kind, "measure": name, **own.share(name).model_dump()}
                    for kind, own in kinds.items()
                    for name in MEASURES
                ]
        columns = ["arm", "kind", "language", "group", "measure", "value", "ci_low", "ci_high", "n", "reason"]
        return _frame(rows, columns)

    def over_refusal(self) -> pd.DataFrame:
        """One row per arm and language (missing: the mean over languages), how often safe prompts that look harmful are
        refused: arm, language, group, rate (ORR), value, ci_low, ci_high (percent), n, dORR (points over base), unknown
        (responses of which it is not known whether they refuse), reason. Empty without borderline prompts."""
        group = self._groups()
        section = self._results.over_refusal
        rows = []
        for arm, own in section.arms.items() if section else ():
            rows.append({"arm": arm, "rate": "ORR", "unknown": own.unknown, **own.ORR.model_dump()})
            for code, entry in own.languages.items():
                change = entry.dORR.value if entry.dORR else None
                about = {"arm": arm, "language": code, "group": group.get(code), "rate": "ORR", "dORR": change}
                rows.append({**about, "unknown": entry.unknown, **entry.ORR.model_dump()})
        columns = ["arm", "language", "group", "rate", "value", "ci_low", "ci_high", "n", "dORR", "unknown", "reason"]
        return _frame(rows, columns)

    def outcomes(self) -> pd.DataFrame:
        """One row per arm, prompt kind and language (missing: all languages together), counts of responses: arm, kind,
        language, group, n, given, refusal, partial, compliance, cannot_tell. Empty where nothing is known of them."""
        group = self._groups()
        rows = []
        for arm, own in (self._results.outcomes or {}).items():
            over: list[tuple[str | None, Any]] = [(None, own.kinds), *own.languages.items()]
            for code, kinds in over:
                about = {"arm": arm, "language": code, "group": group.get(code) if code else None}
                rows += [{**about, "kind": kind, **counts.model_dump()} for kind, counts in kinds.items()]
        columns = ["arm", "kind", "language", "group", "n", "given", "refusal", "partial", "compliance", "cannot_tell"]
        return _frame(rows, columns)

    def capability(self) -> pd.DataFrame:
        """One row per arm, task, language and measure of what alignment cost: arm, task, language, group, metric,
        compared (whether arms are compared by it), value, ci_low, ci_high (percent), n, change, change_low,
        change_high (points over base, paired by item), p, p_holm, reason. Empty where the study has no tasks."""
        section = self._results.capability
        rows = []
        for row in section.rows if section else ():
            change = row.change.model_dump() if row.change else {}
            moved = {"change": "value", "change_low": "ci_low", "change_high": "ci_high", "p": "p", "p_holm": "p_holm"}
            columns_of_change = {name: change.get(key) for name, key in moved.items()}
            rows.append(
                {
                    **row.model_dump(exclude={"change"}),
                    **columns_of_change,
                    "reason": row.reason or change.get("reason"),
                }
            )
        columns = [
            "arm",
            "task",
            "language",
            "group",
            "metric",
            "compared",
            "value",
            "ci_low",
            "ci_high",
            "n",
            "change",
        ]
        return _frame(rows, [*columns, "change_low", "change_high", "p", "p_holm", "reason"])

    def scores(self) -> pd.DataFrame:
        """The scores table, with harmless and helpful by the thresholds."""
        if self._inputs.scores is None:
            raise BadInput("the folder has no scores.parquet")
        _pandas()
        return self._inputs.scores.to_pandas().astype({"harmless": "boolean", "helpful": "boolean"})

    def differences(self) -> Chart:
        """D of the primary arm and of the others, in points with intervals, against zero and the margin."""
        return _drawn(answer_chart(self._results), "the difference between the groups is not defined")

    def forest(self, arm: str | None = None) -> Chart:
        """What is compared by language with intervals, the groups apart: the tilt, or one rate's change. `arm` is by
        default the primary one."""
        arm = self._aligned(arm)
        chart = change_chart(self._results, arm, report_languages(self._results))
        return _drawn(chart, f"no language has the rates in {self._results.base_arm} and in {arm}")

    def plane(self, arm: str | None = None) -> Chart:
        """Both rates from base to `arm`: an arrow per language and group, and where a group's mean may lie."""
        arm = self._aligned(arm)
        chart = plane_chart(self._results, arm, report_languages(self._results))
        return _drawn(chart, f"no language has both rates in {self._results.base_arm} and in {arm}")

    def dose_response(self) -> Chart:
        """What is compared in the primary arm against the languages' web text, with the slope among the secondary
        estimates."""
        return _drawn(dose_chart(self._results, report_languages(self._results)), "the slope is not defined")

    def rates_by_language(self, arm: str | None = None) -> Chart:
        """HmR and HpR of an arm by language with intervals, base as ticks."""
        arm = self._known(arm or self._results.primary_arm)
        return _drawn(rates_chart(self._results, arm, report_languages(self._results)), f"{arm} has no rate")

    def retention(self, task: str, arm: str | None = None) -> Chart:
        """Change of an arm over base on one of the harness's tasks, by language with intervals."""
        arm = self._aligned(arm)
        charts = {chart.name: chart for chart in capability_charts(self._results, [arm])}
        return _drawn(charts.get(f"capability-{task}-{arm}"), f"{arm} has no task '{task}'")

    def ruler_by_language(self) -> Chart:
        """Accuracy of the reward models on known answers, by language and kind."""
        study = self._inputs.study
        validity, languages = self._results.validity, report_languages(self._results)
        chart = ruler_chart(validity, languages, study.analysis.trusted if study else None)
        return _drawn(chart, "there are no known answers")

    def health_by_arm(self, kind: Kind = "harmful") -> Chart:
        """What the arms' responses to prompts of a kind are like: shares with intervals."""
        chart = health_chart(self._results.health, kind, arm_order(self._results))
        return _drawn(chart, f"nothing is known about the responses to {kind} prompts")

    def report(self, path: str | Path) -> Path:
        """Write report.html, one self-contained file, to `path` and return it."""
        out = Path(path)
        if out.is_dir():
            raise BadInput(f"{out}: is a folder; name a file, for example {out / 'report.html'}")
        out.parent.mkdir(parents=True, exist_ok=True)
        build_report(self._inputs, out)
        return out

    def __repr__(self) -> str:
        return f"<tarazu.Answer: {self.sentence}>"

    def _repr_html_(self) -> str:
        headline = verdict_words(self._results.tradeoff.primary)[0]
        headline, sentence = (html.escape(visible(text)) for text in (headline, self.sentence))
        return f"<div><p><b>{headline}</b></p><p>{sentence}</p></div>"

    def _arms(self) -> list[tuple[str, Arm]]:
        return [(arm, self._results.arms[arm]) for arm in arm_order(self._results)]

    def _groups(self) -> dict[str, GroupName]:
        return self._results.groups.by_language()

    def _known(self, arm: str) -> str:
        if arm not in self._results.arms:
            raise BadInput(f"no arm '{arm}'; the arms: {', '.join(arm_order(self._results))}")
        return arm

    def _aligned(self, arm: str | None) -> str:
        arm = self._known(arm or self._results.primary_arm)
        if arm == self._results.base_arm:
            raise BadInput(f"'{arm}' is the base arm, with which the others are compared; name another")
        return arm


def analyze(
    frame: Any,
    *,
    base: str | None = None,
    primary: str | None = None,
    thresholds: Mapping[str, float] | None = None,
    groups: Mapping[str, Sequence[int]] | Groups | None = None,
    analysis: Mapping[str, Any] | None = None,
    known_answers: Any = None,
    ratings: Any = None,
    seed: int = 0,
) -> Answer:
    """The answer from a table of scores, as `tarazu analyze` gives it.

    `frame` is a pandas, polars or pyarrow table (anything with `__arrow_c_stream__`) or the path of a file, with the
    columns arm, language, kind (harmful, benign), prompt_id and reward, or label (0 or 1) instead of reward; optionally
    seed, sample, reward_model, source, group, prompt and response. `base` is the arm that the others are compared with
    (default: base), `primary` the arm of the primary question (default: dpo, or the only other arm). `thresholds` may
    hold harmless and helpful, `groups` the Joshi classes of high and low, `analysis` the keys of `analysis` in
    docs/study.md. `known_answers` is a table with language, kind, reward_good and reward_bad, and
    `ratings` one of people's labels (docs/people.md).

    Raises BadInput, one line that names the row (from 1) or the key, and the fix.
    """
    rows = (
        score_rows(Path(frame))
        if isinstance(frame, str | Path)
        else checked_rows("scores", enumerate(_rows(frame, "scores"), 1), "row")
    )
    known: Sequence[Mapping[str, Any]] = ()
    if known_answers is not None:
        known = checked_known_answers("known_answers", enumerate(_rows(known_answers, "known_answers"), 1))
    rated: Sequence[Rating] = ()
    if ratings is not None:
        numbered = enumerate(_rows(ratings, "ratings"), 1)
        rated = checked_ratings("ratings", numbered, RatingForm(columns={}))
    given = {"thresholds": thresholds, "groups": groups, "analysis": analysis}
    settings = analysis_settings({"seed": seed, **{key: value for key, value in given.items() if value is not None}})
    chosen = with_arms(settings, sorted({row["arm"] for row in rows}), base, primary)
    chosen = with_groups(chosen, rows, frame if isinstance(frame, str | Path) else "scores")
    results = analyze_table(
        AnalysisInputs(
            table=to_table(rows), facts=study_facts(chosen), settings=chosen, known_answers=known, ratings=rated
        )
    )
    table = deciding_rows(scores_table(rows, settings.thresholds))
    return Answer(ReportInputs(results=results, scores=table, known_answers=known))


def load_run(path: str | Path) -> Answer:
    """The answer of a folder that `tarazu run` or `tarazu analyze --out` wrote. A report written from it is the run's,
    less the seconds that the stages took.

    Raises BadInput where the folder holds no results.json, or files that are not whole.
    """
    folder = Path(path)
    if not (folder / "results.json").is_file():
        raise BadInput(
            f"{folder}: holds no results.json; name a folder that `tarazu run` finished or `tarazu analyze --out` wrote"
        )
    results = read_results(folder / "results.json")
    try:
        if (folder / LOCK_FILE).is_file():
            lock = yaml.safe_load((folder / LOCK_FILE).read_text(encoding="utf-8"))
            study = Study.model_validate(lock["study"])
            return Answer(report_inputs(folder, study, results, lock, {}))
        scores = folder / "scores.parquet"
        table = deciding_rows(pq.read_table(scores)) if scores.is_file() else None
        return Answer(ReportInputs(results=results, scores=table))
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, pa.ArrowException) as error:
        raise BadInput(f"{folder}: not a whole run ({error}); run the study again") from None


def _rows(frame: Any, name: str) -> list[dict[str, Any]]:
    """The rows of a table of any library that speaks Arrow."""
    if not hasattr(frame, "__arrow_c_stream__"):
        raise BadInput(
            f"{name}: {type(frame).__name__} is not a table that can be read; give a pandas, polars or pyarrow one"
        )
    try:
        table = pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise BadInput(f"{name}: {error}; give each column a unique name and values of one type") from None
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _drawn(chart: Chart | None, why: str) -> Chart:
    if chart is None:
        raise BadInput(f"nothing to draw: {why}")
    return chart


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise MissingExtra("notebook", "pandas") from None
    return pandas


_NUMBERS = {
    *("value", "estimate", "ci_low", "ci_high", "p", "p_holm", "margin", "mde", "smallest_margin", "df"),
    *(
        "improvement",
        "accuracy",
        "balanced_accuracy",
        "sensitivity",
        "specificity",
        "tilt",
        "dHm",
        "dHp",
        "dORR",
        "change",
        "change_low",
        "change_high",
    ),
}
"""Columns whose missing values are NaN, also where all are missing."""


def _bounds(interval: Interval | None) -> dict[str, float | None]:
    """The columns of an interval."""
    return {"ci_low": interval.low, "ci_high": interval.high} if interval else {"ci_low": None, "ci_high": None}


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    frame = _pandas().DataFrame([dict(row) for row in rows], columns=list(columns))
    frame = frame.astype({column: float for column in columns if column in _NUMBERS})
    return frame.astype({"within_margin": "boolean"}) if "within_margin" in columns else frame

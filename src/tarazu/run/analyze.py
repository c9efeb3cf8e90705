"""Calls the analysis. Also `tarazu analyze`: the answer and a report from scores made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tarazu.analysis.analyze import AnalysisInputs, analyze
from tarazu.errors import BadInput
from tarazu.judge.known_answers import known_answer_rows, write_known_answers
from tarazu.judge.ratings import RATINGS, RatingForm, rating_rows, write_ratings
from tarazu.preregistration.conduct import Conduct, answered_of
from tarazu.preregistration.reading import PLAN_FILE, SIGNATURE_FILE, FrozenPlan, write_plan
from tarazu.report import ReportInputs, build_report
from tarazu.results import Results, write_results
from tarazu.results.model import StudyFacts
from tarazu.run.inputs import rating_files
from tarazu.run.lock import ANALYSIS_LOCK, RATERS_TABLE, analysis_facts, write_analysis_lock
from tarazu.scores import deciding_rows, score_rows, to_table, write_scores
from tarazu.study import AnalysisSettings, Study, load_analysis, load_study
from tarazu.study.schema import LanguageFacts
from tarazu.tables import Columns, Values

_OURS = {
    *("results.json", "report.html", "scores.parquet", "known_answers.parquet", RATINGS, ANALYSIS_LOCK),
    *(PLAN_FILE, SIGNATURE_FILE),
}
_FROM_RATERS = {RATERS_TABLE, "ratings.design.json"}
"""What `tarazu label` writes beside them."""


def study_facts(settings: Study | AnalysisSettings) -> StudyFacts:
    """What results.json says about the study."""
    if isinstance(settings, Study):
        return StudyFacts(name=settings.name, title=settings.title, caution=settings.caution, seed=settings.seed)
    return StudyFacts(name="analyze", title="Scores made elsewhere", caution="", seed=settings.seed)


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """How to analyze a table of scores. Thresholds, groups, arms and analysis settings come from `study`, or are the
    defaults, with `key=value` overrides. `base` and `primary` name arms that replace those of the settings. `columns`,
    `known_columns` and `rating_columns` say what our columns are in the files, and `values` what the values of the
    scores' columns mean. `ratings` are tables of people's labels
    (default: those of the study), with `raters` columns of one person each. `plan` was preregistered for them."""

    study: str | None = None
    overrides: Sequence[str] = ()
    base: str | None = None
    primary: str | None = None
    columns: Columns = field(default_factory=dict)
    values: Sequence[Values] = ()
    known_columns: Columns = field(default_factory=dict)
    ratings: Sequence[Path] = ()
    rating_columns: Columns = field(default_factory=dict)
    raters: tuple[str, ...] = ()
    plan: FrozenPlan | None = None


@dataclass(frozen=True, kw_only=True)
class GivenScores:
    """The checked rows of the scores, and the files that they are from."""

    files: tuple[Path, ...]
    rows: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """What messages call them."""
        return ", ".join(str(path) for path in self.files)


def analyze_file(
    scores: Path, options: AnalysisOptions, *, out: Path | None = None, known: Path | None = None
) -> Results:
    """Analyze a table of scores, as `analyze_scores` does. Raises BadInput."""
    if out is not None:
        _refuse_foreign(out, scores)
    rows = score_rows(scores, options.columns, options.values)
    return analyze_scores(GivenScores(files=(scores,), rows=rows), options, out=out, known=known)


def analyze_scores(
    scores: GivenScores, options: AnalysisOptions, *, out: Path | None = None, known: Path | None = None
) -> Results:
    """Analyze scores. With `out`, also write results.json, report.html, scores.parquet,
    known_answers.parquet and ratings.parquet (if there are any) and a lock file with the settings to that folder.

    `known` is a table of the rewards of known answers: language, kind, reward_good, reward_bad. Without a primary arm
    in `options`, the study's is used or, if that has no scores, the only arm beside the base. Raises BadInput.
    """
    overrides = options.overrides
    loaded = load_study(options.study, overrides).study if options.study else None
    settings = loaded or load_analysis(overrides)
    if any(override.partition("=")[0].strip().startswith("analysis.frontier") for override in overrides):
        raise BadInput("--set analysis.frontier: a table of scores has no weights to interpolate; set it with run")
    rows = scores.rows
    arms = sorted({row["arm"] for row in rows})
    if loaded is not None:
        unknown = [arm for arm in arms if arm not in loaded.arms]
        if unknown:
            line = next(index for index, row in enumerate(rows, 1) if row["arm"] == unknown[0])
            raise BadInput(
                f"{scores.name}: row {line}: the study {loaded.name} declares no arm '{unknown[0]}'; its arms: "
                f"{', '.join(loaded.arms)}"
            )
    settings = with_groups(with_arms(settings, arms, options.base, options.primary), rows, scores.name)
    facts = study_facts(settings)
    known_answers = known_answer_rows(known, options.known_columns) if known else []
    rated = rating_files(settings, options.ratings)
    ratings = rating_rows(rated, _rating_form(settings, options)) if rated else ()
    table = to_table(rows)
    lock = analysis_facts(facts.model_dump(), settings)
    plan = options.plan
    analysis_inputs = AnalysisInputs(
        table=table,
        facts=facts,
        settings=settings,
        known_answers=known_answers,
        ratings=ratings,
        conduct=Conduct(frozen=plan, settings=lock, inputs=None, answered=answered_of(rows), order="not_shown")
        if plan
        else None,
    )
    results = analyze(analysis_inputs)
    if out is not None:
        # The lock vouches for the other files, so it is removed first and written last.
        (out / ANALYSIS_LOCK).unlink(missing_ok=True)
        write_scores(out / "scores.parquet", rows, settings.thresholds)
        (out / "known_answers.parquet").unlink(missing_ok=True)
        if known_answers:
            write_known_answers(out / "known_answers.parquet", known_answers)
        (out / RATINGS).unlink(missing_ok=True)
        if ratings:
            write_ratings(out / RATINGS, ratings)
        write_plan(out, plan)
        write_results(out / "results.json", results)
        written = deciding_rows(pq.read_table(out / "scores.parquet"))
        inputs = ReportInputs(results=results, study=loaded, scores=written, known_answers=known_answers)
        build_report(inputs, out / "report.html")
        write_analysis_lock(out, lock, given=_given(scores, known, rated))
    return results


def _given(scores: GivenScores, known: Path | None, rated: Sequence[Path]) -> list[tuple[Path, str]]:
    """The files that were read, each with the output that was made of it."""
    return [
        *((path, "scores.parquet") for path in scores.files),
        *([(known, "known_answers.parquet")] if known else []),
        *((path, RATINGS) for path in rated),
    ]


def _rating_form(settings: Study | AnalysisSettings, options: AnalysisOptions) -> RatingForm:
    """How the tables of ratings are written: as the settings say, with what the options say instead."""
    form = RatingForm.of(settings.ratings) if settings.ratings else RatingForm(columns={})
    columns = {**form.columns, **options.rating_columns}
    return replace(form, columns=columns, raters=options.raters or form.raters)


def with_arms(
    settings: Study | AnalysisSettings, arms: Sequence[str], base: str | None, primary: str | None
) -> Study | AnalysisSettings:
    """The settings with these arms. Without a primary arm: the study's or, if it has no scores, the only arm beside the
    base.

    Raises BadInput if base and primary arm are the same.
    """
    base = base or settings.analysis.base_arm
    others = [arm for arm in arms if arm != base]
    if primary is None:
        primary = settings.analysis.primary_arm
        if primary not in others and len(others) == 1:
            primary = others[0]
    if primary == base:
        raise BadInput(f"--primary {primary}: this is the base arm itself; name another with --primary or --base")
    analysis = settings.analysis.model_copy(update={"base_arm": base, "primary_arm": primary})
    return settings.model_copy(update={"analysis": analysis})


def with_groups(
    settings: Study | AnalysisSettings, rows: Sequence[Mapping[str, Any]], table: Path | str
) -> Study | AnalysisSettings:
    """The settings with the resource groups that a table of scores gives to languages of which they know none.

    Raises BadInput if the table contradicts what is known.
    """
    groups = settings.groups
    own = dict(groups.languages)
    for place, row in enumerate(rows, 1):
        code, group = row["language"], row.get("group")
        if group is None or group == groups.of(code):
            continue
        if groups.of(code) or groups.joshi_class(code) is not None:
            raise BadInput(
                f"{table}: row {place}: group {group}, but {groups.name(code)} ({code}) is in "
                f"{groups.of(code) or 'neither'} by its Joshi class or the study; correct the column, or use --set "
                f"groups.languages.{code}.group={group}"
            )
        own[code] = own.get(code, LanguageFacts()).model_copy(update={"group": group})
    return settings.model_copy(update={"groups": groups.model_copy(update={"languages": own})})


def _refuse_foreign(out: Path, scores: Path) -> None:
    """Refuse an output folder that contains the table itself, or anything other than an earlier analysis."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; choose another --out")
    if out.is_dir() and any(item.name not in _OURS | _FROM_RATERS for item in out.iterdir()):
        raise BadInput(f"{out}: contains files that an analysis did not write; choose another --out")
    if (out / "scores.parquet").exists() and scores.exists() and (out / "scores.parquet").samefile(scores):
        raise BadInput(f"{out}: contains the table of scores itself, which would be overwritten; choose another --out")

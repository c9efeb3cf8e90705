"""`tarazu analyze`: the answer and a report from scores made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from tarazu.analysis.analyze import analyze
from tarazu.errors import BadInput
from tarazu.known_answers import checked_known_answers, write_known_answers
from tarazu.report import ReportInputs, build_report
from tarazu.results import Results, write_results
from tarazu.results.model import StudyFacts
from tarazu.run.lock import ANALYSIS_LOCK, write_analysis_lock
from tarazu.run.outcome import study_facts
from tarazu.scores import deciding_rows, read_rows, score_rows, to_table, write_scores
from tarazu.study import AnalysisSettings, Study, load_analysis, load_study

_OURS = {"results.json", "report.html", "scores.parquet", "known_answers.parquet", ANALYSIS_LOCK}


def no_study(seed: int) -> StudyFacts:
    """What results.json says of scores made elsewhere."""
    return StudyFacts(name="analyze", title="Scores made elsewhere", caution="", seed=seed)


def analyze_file(
    scores: Path,
    *,
    study: str | None,
    overrides: Sequence[str],
    base: str | None,
    primary: str | None,
    out: Path | None,
    known: Path | None = None,
) -> Results:
    """Analyze a table of scores; with `out`, write results.json, report.html, scores.parquet, known_answers.parquet
    (where there are any) and a lock file with the settings there.

    `known` is a table of known answers' rewards: language, kind, reward_good, reward_bad.

    Thresholds, groups, arms and analysis come from `study`, or are the defaults. Without `primary` the study's primary
    arm is taken or, where it has no scores and there is only one arm beside base, that one. Raises BadInput.
    """
    loaded = load_study(study, overrides).study if study else None
    settings = loaded or load_analysis(overrides)
    if any(override.partition("=")[0].strip().startswith("analysis.frontier") for override in overrides):
        raise BadInput("--set analysis.frontier: a table of scores has no weights to interpolate; set it with run")
    if out is not None:
        _refuse_foreign(out, scores)
    rows = score_rows(scores)
    arms = sorted({row["arm"] for row in rows})
    if loaded is not None:
        unknown = [arm for arm in arms if arm not in loaded.arms]
        if unknown:
            line = next(index for index, row in enumerate(rows, 1) if row["arm"] == unknown[0])
            raise BadInput(
                f"{scores}: row {line}: the study {loaded.name} declares no arm '{unknown[0]}'; its arms: "
                f"{', '.join(loaded.arms)}"
            )
    settings = with_arms(settings, arms, base, primary)
    facts = study_facts(loaded) if loaded else no_study(settings.seed)
    known_answers = checked_known_answers(str(known), (row for _, row in read_rows(known))) if known else []
    results = analyze(
        to_table(rows),
        study=facts,
        groups=settings.groups,
        thresholds=settings.thresholds,
        analysis=settings.analysis,
        known_answers=known_answers,
    )
    if out is not None:
        # The lock, which vouches for the others, goes first and comes last.
        (out / ANALYSIS_LOCK).unlink(missing_ok=True)
        write_scores(out / "scores.parquet", rows, settings.thresholds)
        (out / "known_answers.parquet").unlink(missing_ok=True)
        if known_answers:
            write_known_answers(out / "known_answers.parquet", known_answers)
        write_results(out / "results.json", results)
        table = deciding_rows(pq.read_table(out / "scores.parquet"))
        inputs = ReportInputs(results=results, study=loaded, scores=table, known_answers=known_answers)
        build_report(inputs, out / "report.html")
        write_analysis_lock(out, facts.model_dump(), settings, given=[scores, *([known] if known else [])])
    return results


def with_arms(
    settings: Study | AnalysisSettings, arms: Sequence[str], base: str | None, primary: str | None
) -> Study | AnalysisSettings:
    """The settings with the arms asked for or, where there is no primary one, the only other arm than base.

    Raises BadInput where the two are the same.
    """
    base = base or settings.analysis.base_arm
    others = [arm for arm in arms if arm != base]
    if primary is None:
        primary = settings.analysis.primary_arm
        if primary not in others and len(others) == 1:
            primary = others[0]
    if primary == base:
        raise BadInput(f"--primary {primary}: it is the base arm itself; name another arm with --primary or --base")
    analysis = settings.analysis.model_copy(update={"base_arm": base, "primary_arm": primary})
    return settings.model_copy(update={"analysis": analysis})


def _refuse_foreign(out: Path, scores: Path) -> None:
    """An output folder is new, empty, or holds an earlier analysis and not the table itself."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; choose another --out")
    if out.is_dir() and any(item.name not in _OURS for item in out.iterdir()):
        raise BadInput(f"{out}: holds files that are not an analysis's; choose another --out")
    if (out / "scores.parquet").exists() and scores.exists() and (out / "scores.parquet").samefile(scores):
        raise BadInput(f"{out}: holds the table of scores itself, which would be written anew; choose another --out")

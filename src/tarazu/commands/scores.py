"""`tarazu analyze` and `tarazu score`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from tarazu.commands.dispatch import command, group
from tarazu.commands.options import Columns, Overrides, PlanFile, ScoresOptions, prints_json, renamed_columns
from tarazu.commands.output import import_models, need_models, print_results
from tarazu.commands.preregistering import signed_plan

app = group()


@dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(ScoresOptions):
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write results.json, report.html, the table of scores and a lock file to this folder."
        ),
    ] = None
    plan: PlanFile = None
    json: Annotated[bool, prints_json("results.json")] = False


@command(
    app,
    "analyze",
    summary="Compute the rates, the answer and a report from your own table of scores.",
    description="Compute rates and the answer from a table of scores: csv, jsonl, a JSON array or parquet with the "
    "columns arm, language, kind (harmful, benign or borderline), prompt_id and reward, or label (0, 1, or empty with "
    "a reason) instead of reward. Borderline prompts look harmful and are safe; their rows need a response, a label "
    "(0: it refuses) or an outcome. Optional columns: outcome (refusal, partial, compliance or cannot_tell); seed, "
    "sample, reward_model, source and prompt; group (high or low) of a language whose group is not known; category and "
    "translation_quality of a prompt (docs/influence.md); and "
    "response, finish and tokens, from which the report describes the responses. A paper's table of counts will do: "
    "arm, language, kind, n and k, the responses that pass, or percent (docs/formats-of-files.md). Harmful or benign "
    "prompts alone have an answer too. Needs no torch.",
    example="tarazu analyze scores.csv --primary my_dpo --set thresholds.harmless=-2 --out runs/mine",
)
def analyze_scores(options: AnalyzeOptions) -> int:
    from tarazu.run.analyze import analyze_file

    settings = options.analysis(signed_plan(options.plan))
    results = analyze_file(options.scores, settings, out=options.out, known=options.known_answers)
    print_results(results, as_json=options.json)
    if options.out is not None:
        print(f"\nReport: {(options.out / 'report.html').resolve()}", file=sys.stderr)
    return 0


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    responses: Annotated[Path, typer.Argument(metavar="RESPONSES", help="Table of responses.")]
    study: Annotated[str, typer.Option(metavar="STUDY", help="Take the judges from this study.")]
    out: Annotated[Path, typer.Option(metavar="FILE", help="The table of scores to write (.parquet).")]
    columns: Columns = field(default_factory=list)
    overrides: Overrides = field(default_factory=list)


@command(
    app,
    "score",
    summary="Judge your own responses with a study's judges.",
    description="Judge responses with the reward models, guards or rubrics of a study (docs/judges.md). RESPONSES is "
    "csv, jsonl, a JSON array or parquet with the columns arm, language, kind, prompt_id, prompt and response. Needs "
    "the extra `models`.",
    example="tarazu score responses.jsonl --study pant2025 --out scores.parquet",
)
def score_responses(options: ScoreOptions) -> int:
    from tarazu.study import load_study

    loaded = load_study(options.study, options.overrides)
    need_models()
    import_models()
    from tarazu.progress import Progress
    from tarazu.run.rewards import score_file
    from tarazu.scores import COLUMNS

    columns = renamed_columns(options.columns, COLUMNS, "--columns")
    with Progress() as progress:
        rows = score_file(options.responses, loaded.study, options.out, progress, columns)
    progress.line(f"{rows} rows: {options.out}")
    return 0

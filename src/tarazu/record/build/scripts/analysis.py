"""Compute results.json again from the scores: python analysis.py INPUTS OUT

INPUTS contains study.lock.yaml and scores.parquet. If the record has them, it also contains known_answers.parquet,
ratings.parquet, data.json (the data report, which the results repeat), frontier.parquet, capability/*.json and
preregistration.json (the plan, with responses/, which say whether they came after it).
"""

import json
import sys
from pathlib import Path

import yaml

from tarazu.analysis.analyze import AnalysisInputs, analyze
from tarazu.judge.known_answers import read_known_answers
from tarazu.judge.ratings import RATINGS, read_ratings
from tarazu.results import write_results
from tarazu.results.model import StudyFacts
from tarazu.run.capability import read_capability
from tarazu.run.frontier import read_frontier
from tarazu.run.preregistration.binding import conduct_of
from tarazu.scores import read_scores
from tarazu.study import AnalysisSettings, Study


def main(inputs: Path, out: Path) -> None:
    settings = yaml.safe_load((inputs / "study.lock.yaml").read_text(encoding="utf-8"))["study"]
    known = inputs / "known_answers.parquet"
    ratings = inputs / RATINGS
    data = inputs / "data.json"
    analysis = AnalysisSettings.model_validate(
        {key: settings[key] for key in ("seed", "groups", "thresholds", "analysis")}
    )
    analysis_inputs = AnalysisInputs(
        table=read_scores(inputs / "scores.parquet"),
        facts=StudyFacts(**{key: settings[key] for key in StudyFacts.model_fields}),
        settings=analysis,
        known_answers=read_known_answers(known) if known.is_file() else (),
        ratings=read_ratings(ratings) if ratings.is_file() else (),
        data=json.loads(data.read_text(encoding="utf-8")) if data.is_file() else None,
        frontier=read_frontier(Study.model_validate(settings), inputs) if analysis.analysis.frontier else None,
        capability=read_capability(Study.model_validate(settings), inputs) if settings.get("capability") else None,
        conduct=conduct_of(inputs),
    )
    write_results(out / "results.json", analyze(analysis_inputs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

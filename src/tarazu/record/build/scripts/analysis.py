"""results.json again from the scores: python analysis.py INPUTS OUT

INPUTS holds study.lock.yaml and scores.parquet and, where the record has them, known_answers.parquet, data.json (what
was read and kept, which the results repeat), frontier.parquet and capability/*.json.
"""

import json
import sys
from pathlib import Path

import yaml

from tarazu.known_answers import read_known_answers
from tarazu.results import write_results
from tarazu.results.model import StudyFacts
from tarazu.run.analyze import AnalysisInputs
from tarazu.run.capability import read_capability
from tarazu.run.frontier import read_frontier
from tarazu.scores import read_scores
from tarazu.study import AnalysisSettings, Study


def main(inputs: Path, out: Path) -> None:
    said = yaml.safe_load((inputs / "study.lock.yaml").read_text(encoding="utf-8"))["study"]
    known = inputs / "known_answers.parquet"
    data = inputs / "data.json"
    settings = AnalysisSettings.model_validate({key: said[key] for key in ("seed", "groups", "thresholds", "analysis")})
    results = AnalysisInputs(
        table=read_scores(inputs / "scores.parquet"),
        facts=StudyFacts(**{key: said[key] for key in StudyFacts.model_fields}),
        settings=settings,
        known_answers=read_known_answers(known) if known.is_file() else (),
        data=json.loads(data.read_text(encoding="utf-8")) if data.is_file() else None,
        frontier=read_frontier(Study.model_validate(said), inputs) if settings.analysis.frontier else None,
        capability=read_capability(Study.model_validate(said), inputs) if said.get("capability") else None,
    ).analyze()
    write_results(out / "results.json", results)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

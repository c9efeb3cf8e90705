"""Compute results.json again from the responses: python responses.py INPUTS OUT

INPUTS contains study.lock.yaml, responses/, data.json and, if the study has a frontier, frontier/responses/, and
ratings.parquet if people labelled responses, and preregistration.json if there is a plan. The package's reward models
score the responses and the known answers. Then the scores are analyzed.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from tarazu.run.context import RunContext, reward_identities
from tarazu.run.inputs import read_inputs, with_own_ratings
from tarazu.run.outcome import result_stages
from tarazu.run.rewards import scoring_stages
from tarazu.study import Study


def main(inputs: Path, out: Path) -> None:
    study = Study.model_validate(yaml.safe_load((inputs / "study.lock.yaml").read_text(encoding="utf-8"))["study"])
    # The package contains all the data, and the study's data folder does not exist here.
    study = with_own_ratings(study.model_copy(update={"data": study.data.model_copy(update={"root": None})}), inputs)
    notes = json.loads((inputs / "data.json").read_text(encoding="utf-8"))["stages"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        shutil.copytree(inputs, run)
        context = RunContext(study=study, out=run, inputs=read_inputs(study), identities=reward_identities(study))
        scoring = scoring_stages(context)
        for stage in (*scoring, *result_stages(context, scoring, lambda: notes)):
            stage.make()
        shutil.copyfile(run / "results.json", out / "results.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

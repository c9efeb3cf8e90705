"""results.json again from the responses: python responses.py INPUTS OUT

INPUTS holds study.lock.yaml, responses/ (and frontier/responses/ where the study has a frontier) and data.json. The
responses and the known answers are scored by the reward models that the package ships, and the scores analyzed.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from tarazu.progress import Progress
from tarazu.run.facts import reward_identities
from tarazu.run.inputs import read_inputs
from tarazu.run.outcome import result_stages
from tarazu.run.rewards import reward_stages
from tarazu.study import Study


def main(inputs: Path, out: Path) -> None:
    study = Study.model_validate(yaml.safe_load((inputs / "study.lock.yaml").read_text(encoding="utf-8"))["study"])
    # All its data come with the package; the folder that it named for others is not there.
    study = study.model_copy(update={"data": study.data.model_copy(update={"root": None})})
    notes = json.loads((inputs / "data.json").read_text(encoding="utf-8"))["stages"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        shutil.copytree(inputs, run)
        read = read_inputs(study)
        for stage in reward_stages(study, read, run, reward_identities(study), Progress()):
            stage.make()
        for stage in result_stages(study, read, run, notes):
            stage.make()
        shutil.copyfile(run / "results.json", out / "results.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

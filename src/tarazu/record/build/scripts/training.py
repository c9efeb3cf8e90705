"""Compute results.json again from the data and the base model: python training.py INPUTS OUT

INPUTS contains study.lock.yaml, ratings.parquet if people labelled responses, and preregistration.json if there is a
plan. The arms are trained, they respond to
the prompts, and their responses are scored, with only the data and models that the package ships.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from tarazu.progress import Progress
from tarazu.run.inputs import with_own_ratings
from tarazu.run.pipeline import run
from tarazu.run.preregistration.binding import PlannedStudy, folder_plan
from tarazu.study import LoadedStudy, Study


def main(inputs: Path, out: Path) -> None:
    lock = yaml.safe_load((inputs / "study.lock.yaml").read_text(encoding="utf-8"))
    study = Study.model_validate(lock["study"])
    # The package contains all the data, and the study's data folder does not exist here.
    study = with_own_ratings(study.model_copy(update={"data": study.data.model_copy(update={"root": None})}), inputs)
    plan = folder_plan(inputs)
    loaded = LoadedStudy(study=study, origins=lock["origins"])
    if plan is not None:
        loaded = PlannedStudy(study=study, origins=lock["origins"], plan=plan)
    with tempfile.TemporaryDirectory() as folder:
        run(loaded, Path(folder) / "run", fresh=False, progress=Progress())
        shutil.copyfile(Path(folder) / "run" / "results.json", out / "results.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""What a worker of a Ray cluster does: build a stage of a study from plain data, and carry it out or make a part of it.

A job and what is told of it are JSON texts: no code and no object of this program is pickled into the cluster.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tarazu.errors import BadInput, TarazuError
from tarazu.seeds import repeatable_on_cuda


def work_on(job: str) -> Iterator[str]:
    """Do a job {study, folder, out, report_to, threads, stage, fingerprint, part, spent} and tell of it: first {node,
    process}, who is at it, then {seconds, notes}, or {refused}, the line for the user.

    `folder` is where the command was started, which paths of the study are relative to. `part` is the number of the
    part to make, null for the stage itself, of which the parts took `spent` seconds.
    """
    import ray

    yield json.dumps({"node": ray.get_runtime_context().get_node_id(), "process": os.getpid()})
    try:
        told = _do(json.loads(job))
    except TarazuError as error:
        told = {"refused": str(error)}
    yield json.dumps(told)


def _do(job: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    try:
        os.chdir(job["folder"])
    except OSError:
        raise BadInput(
            f"--executor ray: {job['folder']} is not there on every node; all nodes must share the folder that the "
            "command is started in"
        ) from None
    repeatable_on_cuda()
    import torch

    from tarazu.progress import Progress
    from tarazu.run.stages import carry_out

    # How many threads share a sum decides its last digits.
    torch.set_num_threads(job["threads"])
    progress = Progress()
    stage = _stage(job, progress)
    if job["part"] is not None:
        assert stage.parts is not None
        stage.parts.make(job["part"])
        return {"seconds": time.monotonic() - began, "notes": {}}
    done = carry_out(Path(job["out"]), stage, progress, spent=job["spent"])
    return {"seconds": done.seconds, "notes": done.notes}


def _stage(job: dict[str, Any], progress: Any) -> Any:
    """The stage of this name; refused where it would be made from anything else than where the command was started."""
    from tarazu.run.work import questions, scorings, trainings

    work = _work(json.dumps(job["study"]), job["out"], tuple(job["report_to"]))
    arms = trainings(work, progress)
    stages = {stage.name: stage for stage in [*arms, *questions(work, arms, progress)]}
    if job["stage"] not in stages:
        stages = {stage.name: stage for stage in scorings(work, progress)}
    stage = stages.get(job["stage"])
    if stage is None or stage.fingerprint != job["fingerprint"]:
        raise BadInput(
            f"{job['stage']}: a node of the cluster has other packages, another accelerator or other files than where "
            "the command was started; start it on a node like those that do the work, with the same environment"
        )
    return stage


@lru_cache(maxsize=1)
def _work(study: str, out: str, report_to: tuple[str, ...]) -> Any:
    """A worker that does several stages of a study reads its data once."""
    from tarazu.run.work import read_work
    from tarazu.study import Study

    return read_work(Study.model_validate_json(study), Path(out), report_to)

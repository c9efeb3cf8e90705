"""`tarazu run`: from a study to results.json and report.html.

    inputs -> arms -> responses [-> those of the frontier] [-> tasks of the harness] [-> reward model]
    -> rewards -> scores -> results -> report

Each stage is a function from fingerprinted inputs to files (stages.py). Models are loaded inside the stage that needs
them and let go at its end, so that one is in memory at a time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tarazu.align.processes import part_company
from tarazu.analysis.mixed import need_statsmodels
from tarazu.files import write_json
from tarazu.respond.engines import need_engine
from tarazu.run.arms import arm_stages, dismiss, follow
from tarazu.run.capability import capability_stages, read_tasks
from tarazu.run.facts import checkpoint_identities
from tarazu.run.frontier import frontier_response_stages
from tarazu.run.inputs import read_inputs
from tarazu.run.lock import claimed, write_lock
from tarazu.run.outcome import result_stages, write_report
from tarazu.run.progress import Progress
from tarazu.run.responses import response_stages
from tarazu.run.reward_model import reward_model_stages, trained_identities, with_trained
from tarazu.run.rewards import reward_stages
from tarazu.run.stages import Done, carry_out
from tarazu.study import LoadedStudy


def run(
    loaded: LoadedStudy, out: Path, *, fresh: bool, progress: Progress, report_to: Sequence[str] = ()
) -> dict[str, Any]:
    """Carry a study out in `out` and return its results. A run that was killed goes on where it was.

    `report_to` names transformers' integrations that training is logged to beside the run's own files. Under
    `accelerate launch` the first process does this and the others call `take_part`.
    """
    study = loaded.study
    if study.analysis.mixed_model:
        need_statsmodels()
    need_engine(study.generation)
    identities = checkpoint_identities(study)
    progress.stage("inputs")
    inputs = read_inputs(study)
    tasks = read_tasks(study)
    with claimed(out, loaded, fresh=fresh):
        lock = write_lock(out, loaded)
        write_json(out / "data.json", inputs.account)
        progress.done(f"{max(map(len, inputs.pairs.values()), default=0)} pairs, {len(inputs.prompts)} prompts")
        done: dict[str, Done] = {}
        models = [*arm_stages(study, inputs, out, identities, progress, report_to)]
        for stage in models:
            done[stage.name] = carry_out(out, stage, progress)
        dismiss()
        asked = response_stages(study, inputs, out, models, progress)
        for stage in [*asked, *frontier_response_stages(study, inputs, out, models, progress)]:
            done[stage.name] = carry_out(out, stage, progress)
        for stage in capability_stages(study, tasks, out, models, progress):
            done[stage.name] = carry_out(out, stage, progress)
        judges = reward_model_stages(study, inputs, out, identities, progress, report_to)
        for stage in judges:
            done[stage.name] = carry_out(out, stage, progress)
        identities |= trained_identities(study, judges)
        # What is scored is known once the responses are there.
        for stage in reward_stages(with_trained(study, out), inputs, out, identities, progress):
            done[stage.name] = carry_out(out, stage, progress)
        notes = {name: stage.notes for name, stage in done.items() if stage.notes}
        for stage in result_stages(study, inputs, out, notes):
            done[stage.name] = carry_out(out, stage, progress)
        results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
        progress.stage("report")
        write_report(out, study, results, lock, {name: stage.seconds for name, stage in done.items()})
        progress.done()
    return results


def take_part(loaded: LoadedStudy, out: Path) -> None:
    """Help the first process of an `accelerate launch` with its trainings, and return when there are no more.

    `out` must be the same folder for all, on a file system that they share.
    """
    follow(loaded.study, read_inputs(loaded.study), out)
    part_company()

"""`tarazu run`: from a study to results.json and report.html.

    inputs -> arms -> responses -> rewards -> scores -> results -> report

Each stage is a function from fingerprinted inputs to files (stages.py). Models are loaded inside the stage that needs
them and let go at its end, so that one is in memory at a time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tarazu.files import write_json
from tarazu.run.arms import arm_stages
from tarazu.run.facts import checkpoint_identities
from tarazu.run.inputs import read_inputs
from tarazu.run.lock import claimed, write_lock
from tarazu.run.outcome import result_stages, write_report
from tarazu.run.progress import Progress
from tarazu.run.responses import response_stages
from tarazu.run.rewards import reward_stages
from tarazu.run.stages import Done, carry_out
from tarazu.study import LoadedStudy


def run(loaded: LoadedStudy, out: Path, *, fresh: bool, progress: Progress) -> dict[str, Any]:
    """Carry a study out in `out` and return its results. A run that was killed goes on where it was."""
    study = loaded.study
    identities = checkpoint_identities(study)
    progress.stage("inputs")
    inputs = read_inputs(study)
    with claimed(out, loaded, fresh=fresh):
        lock = write_lock(out, loaded)
        write_json(out / "data.json", inputs.account)
        progress.done(f"{len(inputs.pairs)} pairs, {len(inputs.prompts)} prompts")
        done: dict[str, Done] = {}
        models = [*arm_stages(study, inputs, out, identities, progress)]
        for stage in [*models, *response_stages(study, inputs, out, models, progress)]:
            done[stage.name] = carry_out(out, stage, progress)
        # What is scored is known once the responses are there.
        for stage in reward_stages(study, inputs, out, identities, progress):
            done[stage.name] = carry_out(out, stage, progress)
        notes = {name: stage.notes for name, stage in done.items() if stage.notes}
        for stage in result_stages(study, inputs, out, notes):
            done[stage.name] = carry_out(out, stage, progress)
        results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
        progress.stage("report")
        write_report(out, study, results, lock, {name: stage.seconds for name, stage in done.items()})
        progress.done()
    return results

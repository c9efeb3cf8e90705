"""`tarazu run`: from a study to results.json and report.html.

    inputs -> arms -> responses [-> those of the frontier] [-> tasks of the harness] [-> reward model]
    -> rewards -> scores -> results -> report

Each stage is a function from fingerprinted inputs to files (stages.py). Models are loaded inside the stage that needs
them and let go at its end, so that one is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tarazu.align.processes import leave_process_group
from tarazu.analysis.mixed import need_statsmodels
from tarazu.files import write_json
from tarazu.respond.engines import need_engine
from tarazu.results import Results, read_results
from tarazu.run.arms import run_worker_loop
from tarazu.run.executor import LOCAL, opened
from tarazu.run.inputs import read_inputs
from tarazu.run.lengths import check_lengths
from tarazu.run.lock import claimed, write_lock
from tarazu.run.outcome import result_stages, write_report
from tarazu.run.progress import Progress
from tarazu.run.stages import carry_out
from tarazu.run.work import questions, read_work, scorings, trainings
from tarazu.study import LoadedStudy


def run(
    loaded: LoadedStudy,
    out: Path,
    *,
    fresh: bool,
    progress: Progress,
    report_to: Sequence[str] = (),
    executor: str = LOCAL,
) -> Results:
    """Carry a study out in `out` and return its results. A run that was killed goes on where it was.

    `report_to` names transformers' integrations that training is logged to beside the run's own files. `executor`
    (`local` or `ray`) says who carries out the stages that need models. Under `accelerate launch` the first process
    does this and the others call `take_part`.
    """
    study = loaded.study
    if study.analysis.mixed_model:
        need_statsmodels()
    need_engine(study.generation)
    progress.stage("inputs")
    work = read_work(study, out, report_to)
    inputs = work.inputs
    check_lengths(study, inputs)
    with claimed(out, loaded, fresh=fresh):
        lock = write_lock(out, loaded)
        write_json(out / "data.json", inputs.account)
        progress.done(f"{max(map(len, inputs.pairs.values()), default=0)} pairs, {len(inputs.prompts)} prompts")
        with opened(executor, work, progress) as workers:
            arms = trainings(work, progress)
            done = workers.carry_out_all(questions(work, arms, progress), arms)
            done |= workers.carry_out_all(scorings(work, progress))
        notes = {name: stage.notes for name, stage in done.items() if stage.notes}
        for stage in result_stages(study, inputs, out, notes):
            done[stage.name] = carry_out(out, stage, progress)
        results = read_results(out / "results.json")
        progress.stage("report")
        write_report(out, study, results, lock, {name: stage.seconds for name, stage in done.items()})
        progress.done()
    return results


def take_part(loaded: LoadedStudy, out: Path) -> None:
    """Help the first process of an `accelerate launch` with its trainings, and return when there are no more.

    `out` must be the same folder for all, on a file system that they share.
    """
    run_worker_loop(loaded.study, read_inputs(loaded.study), out)
    leave_process_group()

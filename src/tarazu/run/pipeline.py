"""`tarazu run`: from a study to results.json and report.html.

    inputs -> arms -> responses [-> those of the frontier] [-> tasks of the harness] [-> reward model]
    -> rewards -> scores -> results -> report

Each stage is a function from fingerprinted inputs to files (stages.py); graph.py lists them. A model is loaded
by the stage that needs it and released at the end of the stage, so that only one is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tarazu.align.processes import leave_process_group
from tarazu.analysis.mixed import need_statsmodels
from tarazu.files import write_json
from tarazu.preregistration.digests import input_digests
from tarazu.preregistration.model import InputDigests
from tarazu.progress import Progress
from tarazu.respond.engines import need_engine
from tarazu.results import Results, read_results
from tarazu.run.context import RunContext, read_context
from tarazu.run.graph import stage_graph
from tarazu.run.inputs import read_inputs, study_ratings
from tarazu.run.lengths import check_lengths
from tarazu.run.lock import run_lock, write_lock
from tarazu.run.outcome import write_report
from tarazu.run.preregistration.binding import PlannedStudy, before, bind, folder_plan
from tarazu.run.stages import Done, Stage, run_stage
from tarazu.run.training import release_workers, run_worker_loop
from tarazu.study import LoadedStudy

LOCAL, RAY = "local", "ray"


def run(
    loaded: LoadedStudy,
    out: Path,
    *,
    fresh: bool,
    progress: Progress,
    report_to: Sequence[str] = (),
    executor: str = LOCAL,
) -> Results:
    """Run a study in `out` and return its results. A run that was killed resumes where it stopped.

    `report_to` names integrations of transformers that log training, in addition to the run's own files. `executor`
    (`local` or `ray`) runs the stages that need models. A `PlannedStudy` comes with its plan. Under `accelerate launch`
    the first process calls this, and the others call `take_part`.
    """
    study = loaded.study
    if study.analysis.mixed_model:
        need_statsmodels()
    need_engine(study.generation)
    progress.stage("inputs")
    context = read_context(study, out, report_to=report_to, progress=progress)
    inputs = context.inputs
    check_lengths(study, inputs)
    study_ratings(study)  # a defect is reported before any work
    earlier = before(out)
    with run_lock(out, loaded, fresh=fresh):
        bind(out, loaded.plan if isinstance(loaded, PlannedStudy) else None, earlier)
        lock = write_lock(out, loaded, _planned_inputs(context) if folder_plan(out) else None)
        write_json(out / "data.json", inputs.account)
        progress.done(f"{max(map(len, inputs.pairs.values()), default=0)} pairs, {len(inputs.prompts)} prompts")
        with open_executor(executor, context) as workers:
            graph = stage_graph(context)
            progress.expect(graph)
            done = workers.execute(graph)
        results = read_results(out / "results.json")
        progress.stage("report")
        write_report(out, study, results, lock, {name: stage.seconds for name, stage in done.items()})
        progress.done()
    return results


def _planned_inputs(context: RunContext) -> InputDigests:
    return input_digests(context.inputs.prompts, context.inputs.known_answers, context.identities)


def take_part(loaded: LoadedStudy, out: Path) -> None:
    """Take part in the trainings of the first process of an `accelerate launch`, and return when there are no more.

    `out` must be the same folder for all processes, on a file system that they share.
    """
    # The first process has made all checks already, including those of identities.
    run_worker_loop(RunContext(study=loaded.study, out=out, inputs=read_inputs(loaded.study), identities={}))
    leave_process_group()


class Executor(Protocol):
    """Something that executes stages."""

    def execute(self, graph: Mapping[str, Stage]) -> dict[str, Done]:
        """Run every stage that is not up to date, after those in its `after`, and return the outcome of each."""
        ...


class LocalExecutor:
    """Runs one stage after another in this process. Under `accelerate launch` the other processes take part in the
    trainings."""

    def __init__(self, out: Path, progress: Progress) -> None:
        self.out, self.progress = out, progress

    def execute(self, graph: Mapping[str, Stage]) -> dict[str, Done]:
        done: dict[str, Done] = {}
        alone = False
        for name, stage in graph.items():
            if not (stage.every_process or alone):
                release_workers()
                alone = True
            done[name] = run_stage(self.out, stage, self.progress)
        return done


@contextmanager
def open_executor(name: str, context: RunContext) -> Iterator[Executor]:
    """The executor of this name. When the context ends, nothing that it started is still running."""
    if name == RAY:
        from tarazu.run._ray import cluster

        with cluster(context) as executor:
            yield executor
    else:
        yield LocalExecutor(context.out, context.progress)

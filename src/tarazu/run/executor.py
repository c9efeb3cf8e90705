"""Who carries stages out: this process, one after another, or the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tarazu.run.arms import release_workers
from tarazu.run.progress import Progress
from tarazu.run.stages import Done, Stage, carry_out
from tarazu.run.work import Work

LOCAL, RAY = "local", "ray"


class Executor(Protocol):
    """Something that carries stages out."""

    def carry_out_all(self, stages: Sequence[Stage], trainings: Sequence[Stage] = ()) -> dict[str, Done]:
        """Do those that are not done, each after the ones that it names, and say how each went: trainings, then the
        others, in the order given."""
        ...


class Here:
    """One stage after another in this process; under `accelerate launch` the other processes share the trainings."""

    def __init__(self, out: Path, progress: Progress) -> None:
        self.out, self.progress = out, progress

    def carry_out_all(self, stages: Sequence[Stage], trainings: Sequence[Stage] = ()) -> dict[str, Done]:
        self.progress.expect(stage.name for stage in (*trainings, *stages))
        done = {stage.name: carry_out(self.out, stage, self.progress) for stage in trainings}
        if trainings:
            release_workers()
        return done | {stage.name: carry_out(self.out, stage, self.progress) for stage in stages}


@contextmanager
def opened(name: str, work: Work, progress: Progress) -> Iterator[Executor]:
    """The executor of this name, ready to carry out the stages of `work`. When it is left nothing of it is running."""
    if name == RAY:
        from tarazu.run._ray import cluster

        with cluster(work, progress) as executor:
            yield executor
    else:
        yield Here(work.out, progress)

"""Stages on a Ray cluster: each is a task as soon as those that it reads are done, and so is each part of one.

This process decides what is to be done and when, and does it again where a worker dies; the workers share nothing with
it but the run folder.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tarazu.errors import BadInput, MissingExtra, TarazuError
from tarazu.files import clear_leftovers, reset_scratch
from tarazu.run._ray_worker import work_on
from tarazu.run.progress import Progress
from tarazu.run.stages import Done, Stage, done_before
from tarazu.run.work import Work

_ADDRESS = "RAY_ADDRESS"
TRIES = 4
"""How many workers may die of one stage or part before it is given up."""
_STOP_SECONDS = 60.0
_CONNECT_SECONDS = 10.0


def need_ray() -> None:
    """Raises MissingExtra where Ray is not installed, and BadInput where it cannot be used."""
    if find_spec("ray") is None:
        raise MissingExtra("ray", "ray")
    address = os.environ.get(_ADDRESS) or "auto"
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdigit() and "://" not in address):
        raise BadInput(f"{_ADDRESS}: give the address of the cluster itself (host:6379 or auto), not {address}")
    if address != "auto":
        # Ray itself tries for minutes.
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise BadInput(f"{_ADDRESS}: nothing answers at {address} ({error}); is the cluster running?") from None
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput("--executor ray: not under `accelerate launch`; start the command once")


@contextmanager
def cluster(work: Work, progress: Progress) -> Iterator[OnRay]:
    """The cluster at RAY_ADDRESS or, where that is not set, one of this machine that ends with the run."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    address = os.environ.get(_ADDRESS)
    # Standard output is for results. Ray prints messages about dead workers to it, some of them only in `shutdown`.
    with redirect_stdout(sys.stderr):
        try:
            if address:
                ray.init(address, **quiet)
            else:
                # Its ports are open to this machine alone: who reaches them can run code.
                os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
                ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
        except ConnectionError as error:
            raise BadInput(f"{_ADDRESS}: no Ray cluster at {address}: {error}") from None
        try:
            executor = OnRay(work, progress)
            try:
                yield executor
            finally:
                executor.stop()
        finally:
            ray.shutdown()


@dataclass(frozen=True)
class _Task:
    """A stage, or one of its parts."""

    stage: Stage
    part: int | None = None

    @property
    def label(self) -> str:
        of = self.stage.parts
        return (
            self.stage.name
            if self.part is None or of is None
            else f"{self.stage.name}, {self.part + 1} of {len(of.files)}"
        )


class OnRay:
    """Stages as tasks of the cluster that this process is connected to."""

    def __init__(self, work: Work, progress: Progress) -> None:
        import ray
        import torch

        self._ray: Any = ray
        self._out, self._progress = work.out, progress
        self._threads = torch.get_num_threads()
        self._job = {
            "study": work.study.model_dump(mode="json", by_alias=True),
            "folder": str(Path.cwd()),
            "out": str(work.out),
            "report_to": list(work.report_to),
            "threads": self._threads,
        }
        self._task = ray.remote(work_on).options(
            **self._resources(), max_retries=0, num_returns="streaming", scheduling_strategy="SPREAD"
        )
        self._running: dict[Any, _Task] = {}
        self._where: dict[Any, str] = {}
        self._deaths: dict[str, int] = defaultdict(int)
        self._spent: dict[str, float] = defaultdict(float)

    def carry_out_all(self, stages: Sequence[Stage], trainings: Sequence[Stage] = ()) -> dict[str, Done]:
        every = [*trainings, *stages]
        done: dict[str, Done] = {}
        for stage in every:
            before = done_before(self._out, stage)
            if before is not None:
                done[stage.name] = before
                self._progress.line(f"{stage.name}: as before")
        waiting = [stage for stage in every if stage.name not in done]
        while len(done) < len(every):
            for stage in [one for one in waiting if all(name in done for name in one.after)]:
                waiting.remove(stage)
                for task in self._parts_to_make(stage) or [_Task(stage)]:
                    self._start(task)
            ended = self._wait()
            if ended is None:
                continue
            task, told = ended
            name = task.stage.name
            if task.part is None:
                done[name] = Done(notes=told["notes"], seconds=told["seconds"])
                continue
            self._spent[name] += told["seconds"]
            if not any(other.stage is task.stage for other in self._running.values()):
                self._start(_Task(task.stage))  # all its parts are there
        return {stage.name: done[stage.name] for stage in every}

    def stop(self) -> None:
        """End what is still running, so that nothing writes into the run folder any more, and clear what it left."""
        for ref in self._running:
            self._ray.cancel(ref, force=True)
        while self._running:
            ready, _ = self._ray.wait(list(self._running), timeout=_STOP_SECONDS)
            if not ready:
                break
            for ref in ready:
                try:
                    self._ray.get(next(ref))
                except (StopIteration, self._ray.exceptions.RayError):
                    del self._running[ref]
        if not self._running:
            clear_leftovers(self._out)

    def _resources(self) -> dict[str, float]:
        """What a task takes: a GPU where the cluster has any, else as many processors as it computes with."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(node.get("GPU", 0) >= 1 for node in nodes):
            return {"num_gpus": 1, "num_cpus": 1}
        most = int(max((node.get("CPU", 0) for node in nodes), default=0))
        if most < self._threads:
            raise BadInput(
                f"--executor ray: torch has {self._threads} threads here, and no node of the cluster more than {most} "
                f"CPUs; set OMP_NUM_THREADS to {max(1, most)} or less"
            )
        return {"num_cpus": self._threads}

    def _parts_to_make(self, stage: Stage) -> list[_Task]:
        """The parts that are not there; none where a stage has one only, which is no use apart."""
        parts = stage.parts
        if parts is None or len(parts.files) < 2:
            return []
        reset_scratch(parts.folder, parts.of)
        return [_Task(stage, n) for n, file in enumerate(parts.files) if not (parts.folder / file).exists()]

    def _start(self, task: _Task) -> None:
        stage = task.stage
        own = {
            "stage": stage.name,
            "fingerprint": stage.fingerprint,
            "part": task.part,
            "spent": self._spent[stage.name],
        }
        self._running[self._task.remote(json.dumps(self._job | own))] = task

    def _wait(self) -> tuple[_Task, dict[str, Any]] | None:
        """Wait until something happens; a task that ended, with what it told, or None where it was something else."""
        (ref,) = self._ray.wait(list(self._running), num_returns=1)[0]
        task, lost = self._running[ref], self._ray.exceptions
        try:
            told = json.loads(self._ray.get(next(ref)))
        except (lost.WorkerCrashedError, lost.NodeDiedError, lost.OutOfMemoryError) as error:
            self._died(ref, error)
            return None
        if "refused" in told:
            raise TarazuError(told["refused"])
        if "node" in told:
            self._where[ref] = self._name(told["node"])
            self._progress.line(f"{task.label}: begins on {self._where[ref]} (process {told['process']})")
            return None
        del self._running[ref]
        self._progress.line(f"{task.label}: {told['seconds']:.1f} s on {self._where.pop(ref)}")
        return task, told

    def _died(self, ref: Any, error: Exception) -> None:
        """Start the task of a worker that died again; what it had finished is found in the run folder."""
        task = self._running.pop(ref)
        where = self._where.pop(ref, "the cluster")
        self._deaths[task.label] += 1
        if self._deaths[task.label] == TRIES:
            why = str(error).strip().splitlines()[0]
            raise TarazuError(f"{task.label}: {TRIES} workers died of it, the last on {where}: {why}")
        self._progress.line(f"{task.label}: its worker on {where} died; once more")
        self._start(task)

    def _name(self, node: str) -> str:
        return next(str(one["NodeName"]) for one in self._ray.nodes() if one["NodeID"] == node)

"""Stages on a Ray cluster: each stage, or each of its parts, is a task once the stages that it reads are done.

The process of the command starts the tasks, and starts one again if its worker dies. The workers share only the run
folder with it: a job and its outcome are JSON texts, so that no code and no object of this program is pickled into the
cluster.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tarazu.errors import BadInput, MissingExtra, TarazuError
from tarazu.files import clear_leftovers, reset_scratch
from tarazu.run.context import RunContext, read_context
from tarazu.run.graph import stage_graph
from tarazu.run.stages import Done, Stage, run_stage, up_to_date
from tarazu.seeds import repeatable_on_cuda
from tarazu.study import Study

_ADDRESS = "RAY_ADDRESS"
TRIES = 4
"""How many workers may die on one stage or part before the run fails."""
_STOP_SECONDS = 60.0
_CONNECT_SECONDS = 10.0


def need_ray() -> None:
    """Raises MissingExtra if Ray is not installed, and BadInput if it cannot be used."""
    if find_spec("ray") is None:
        raise MissingExtra("ray", "ray")
    address = os.environ.get(_ADDRESS) or "auto"
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdigit() and "://" not in address):
        raise BadInput(f"{_ADDRESS}: give the address of the cluster itself (host:6379 or auto), not {address}")
    if address != "auto":
        # Ray itself would try for minutes.
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise BadInput(f"{_ADDRESS}: nothing answers at {address} ({error}); is the cluster running?") from None
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput("--executor ray: does not work under `accelerate launch`; start the command once, without it")


@contextmanager
def cluster(context: RunContext) -> Iterator[RayExecutor]:
    """The cluster at RAY_ADDRESS or, if that is not set, a cluster on this machine that ends with the run."""
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
                # Only this machine can reach its ports: whoever reaches them can run code.
                os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
                ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
        except ConnectionError as error:
            raise BadInput(f"{_ADDRESS}: no Ray cluster at {address}: {error}") from None
        try:
            executor = RayExecutor(context)
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


class RayExecutor:
    """Runs stages as tasks of the cluster that this process is connected to."""

    def __init__(self, context: RunContext) -> None:
        import ray
        import torch

        self._ray: Any = ray
        self._out, self._progress = context.out, context.progress
        self._threads = torch.get_num_threads()
        self._job = {
            "study": context.study.model_dump(mode="json", by_alias=True),
            "folder": str(Path.cwd()),
            "out": str(context.out),
            "report_to": list(context.report_to),
            "threads": self._threads,
        }
        self._task = ray.remote(work_on).options(
            **self._resources(), max_retries=0, num_returns="streaming", scheduling_strategy="SPREAD"
        )
        self._running: dict[Any, _Task] = {}
        self._where: dict[Any, str] = {}
        self._deaths: dict[str, int] = defaultdict(int)
        self._spent: dict[str, float] = defaultdict(float)

    def execute(self, graph: Mapping[str, Stage]) -> dict[str, Done]:
        done: dict[str, Done] = {}
        waiting = list(graph.values())
        while len(done) < len(graph):
            # One at a time, the first that is ready: a stage that is up to date may make others ready.
            ready = next((stage for stage in waiting if all(name in done for name in stage.after)), None)
            if ready is not None:
                waiting.remove(ready)
                outcome = self._begin(ready)
            else:
                outcome = self._wait()
            if outcome is not None:
                stage, how = outcome
                done[stage.name] = how
        return {name: done[name] for name in graph}

    def stop(self) -> None:
        """End all running tasks, so that nothing writes into the run folder any more, and remove their incomplete
        files."""
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
        """The resources of a task: a GPU if the cluster has any, else as many processors as torch has threads."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(node.get("GPU", 0) >= 1 for node in nodes):
            return {"num_gpus": 1, "num_cpus": 1}
        most = int(max((node.get("CPU", 0) for node in nodes), default=0))
        if most < self._threads:
            raise BadInput(
                f"--executor ray: torch has {self._threads} threads here, but no node of the cluster has more than "
                f"{most} CPUs; set OMP_NUM_THREADS to {max(1, most)} or less"
            )
        return {"num_cpus": self._threads}

    def _begin(self, stage: Stage) -> tuple[Stage, Done] | None:
        """Start a stage. Returns the stage and its outcome if it needs no worker."""
        if stage.cost is None:
            return stage, run_stage(self._out, stage, self._progress)
        before = up_to_date(self._out, stage)
        if before is not None:
            self._progress.end(stage.name, "up to date")
            return stage, before
        for task in self._parts_to_make(stage) or [_Task(stage)]:
            self._start(task)
        return None

    def _parts_to_make(self, stage: Stage) -> list[_Task]:
        """The parts that do not exist yet; none if the stage has only one, which needs no separate task."""
        parts = stage.parts
        if parts is None or len(parts.files) < 2:
            return []
        reset_scratch(parts.folder, parts.fingerprint())
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

    def _wait(self) -> tuple[Stage, Done] | None:
        """Wait for the next event. Returns a stage and its outcome if a stage ended; else None."""
        (ref,) = self._ray.wait(list(self._running), num_returns=1)[0]
        task, lost = self._running[ref], self._ray.exceptions
        try:
            message = json.loads(self._ray.get(next(ref)))
        except (lost.WorkerCrashedError, lost.NodeDiedError, lost.OutOfMemoryError) as error:
            self._died(ref, error)
            return None
        if "refused" in message:
            raise TarazuError(message["refused"])
        if "node" in message:
            self._where[ref] = self._name(message["node"])
            self._progress.begin(task.label, f"on {self._where[ref]} (process {message['process']})")
            return None
        del self._running[ref]
        self._progress.end(task.label, f"{message['seconds']:.1f} s on {self._where.pop(ref)}")
        if task.part is None:
            return task.stage, Done(notes=message["notes"], seconds=message["seconds"])
        self._spent[task.stage.name] += message["seconds"]
        if not any(other.stage is task.stage for other in self._running.values()):
            self._start(_Task(task.stage))  # all its parts exist
        return None

    def _died(self, ref: Any, error: Exception) -> None:
        """Restart the task of a worker that died. What it had finished is in the run folder."""
        task = self._running.pop(ref)
        where = self._where.pop(ref, "the cluster")
        self._deaths[task.label] += 1
        if self._deaths[task.label] == TRIES:
            why = str(error).strip().splitlines()[0]
            raise TarazuError(f"{task.label}: {TRIES} workers died on it, the last on {where}: {why}")
        self._progress.end(task.label, f"its worker on {where} died; starting it again")
        self._start(task)

    def _name(self, node: str) -> str:
        return next(str(one["NodeName"]) for one in self._ray.nodes() if one["NodeID"] == node)


# --- in a worker ---------------------------------------------------------------------------------------------------


def work_on(job: str) -> Iterator[str]:
    """Do a job {study, folder, out, report_to, threads, stage, fingerprint, part, spent} and report on it: first {node,
    process}, where it runs, then {seconds, notes}, or {refused}, the error message for the user.

    `folder` is where the command was started; paths of the study are relative to it. `part` is the number of the part
    to make, or null for the stage itself, whose parts took `spent` seconds.
    """
    import ray

    yield json.dumps({"node": ray.get_runtime_context().get_node_id(), "process": os.getpid()})
    try:
        message = _do(json.loads(job))
    except TarazuError as error:
        message = {"refused": str(error)}
    yield json.dumps(message)


def _do(job: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    try:
        os.chdir(job["folder"])
    except OSError:
        raise BadInput(
            f"--executor ray: {job['folder']} does not exist on every node; start the command in a folder "
            "that all nodes share"
        ) from None
    repeatable_on_cuda()
    import torch

    # The number of threads that share a sum affects its last digits.
    torch.set_num_threads(job["threads"])
    context = _context(json.dumps(job["study"]), job["out"], tuple(job["report_to"]))
    stage = stage_graph(context).get(job["stage"])
    if stage is None or stage.fingerprint != job["fingerprint"]:
        raise BadInput(
            f"{job['stage']}: a node of the cluster differs from the one where the command was started in packages, "
            "accelerator or files; start it on a node like the workers, with the same environment"
        )
    if job["part"] is not None:
        assert stage.parts is not None
        stage.parts.make(job["part"])
        return {"seconds": time.monotonic() - began, "notes": {}}
    done = run_stage(context.out, stage, context.progress, spent=job["spent"])
    return {"seconds": done.seconds, "notes": done.notes}


@lru_cache(maxsize=1)
def _context(study: str, out: str, report_to: tuple[str, ...]) -> RunContext:
    """The context of a job. It is cached, so that a worker that runs several stages reads the data once."""
    return read_context(Study.model_validate_json(study), Path(out), report_to=report_to)

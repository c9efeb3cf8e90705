"""Finds, loads and runs the tasks of lm-evaluation-harness on a checkpoint."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tarazu.capability import squad
from tarazu.capability.local import absolute_data_files, check_folder
from tarazu.errors import BadInput, MissingExtra, TarazuError
from tarazu.files import digest, tree_sha256
from tarazu.study.capability import BENCHMARKS, CapabilitySettings, Wanted

if TYPE_CHECKING:
    from tarazu.capability.lm import CheckpointLM

_LOGGERS = ("lm_eval", "datasets", "huggingface_hub")


def need_lm_eval() -> None:
    """Raises MissingExtra, which names the extra, if the harness is not installed."""
    if find_spec("lm_eval") is None:
        raise MissingExtra("capability", "lm-evaluation-harness (lm-eval)")


@dataclass(frozen=True, kw_only=True)
class HarnessTask:
    """A requested task, as the harness's object (`made`), with the metrics of single items that it averages."""

    wanted: Wanted
    metrics: tuple[str, ...]
    made: Any

    @property
    def metric(self) -> str:
        """The metric by which arms are compared."""
        return self.wanted.metric or self.metrics[0]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The tasks of a study, the digest of all their requests, and `requests`, the number of these."""

    tasks: Sequence[HarnessTask]
    settings: CapabilitySettings
    seed: int
    digest: str
    requests: int


def load(settings: CapabilitySettings, chosen: Sequence[Wanted], *, root: Path | None, seed: int) -> Loaded:
    """Find the tasks and read their data. A relative `include_path` starts from `root`.

    `seed` draws the solved examples. Raises BadInput for a task that does not exist, contains code, or cannot be read.
    """
    need_lm_eval()
    folder = None
    if settings.include_path is not None:
        folder = (root or Path()) / Path(settings.include_path).expanduser()
        if not folder.is_dir():
            raise BadInput(f"capability.include_path: {folder}: no such folder")
        if not settings.trust_task_code:
            check_folder(folder)
    with _quiet():
        shipped, own = _managers(folder)
        tasks, requests = [], []
        for one in chosen:
            with _naming(one.name):
                tasks.append(_task(one, shipped, own))
                requests.append(_requests(tasks[-1], settings, seed))
    facts = {
        "tasks": [
            [task.wanted.name, task.wanted.language, task.metric, own_requests]
            for task, own_requests in zip(tasks, requests, strict=True)
        ],
        "files": tree_sha256(folder) if folder else None,
        "versions": {package: version(package) for package in ("lm_eval", "datasets")},
    }
    return Loaded(tasks=tasks, settings=settings, seed=seed, digest=digest(facts), requests=sum(map(len, requests)))


class Item(TypedDict):
    """An item of a task: the metrics in percent, and the model's answers, texts or log-probabilities."""

    task: str
    language: str
    name: str
    item: int
    metrics: dict[str, float]
    said: list[str | float]


def evaluate(loaded: Loaded, lm: CheckpointLM) -> list[Item]:
    """Every item of every task."""
    from lm_eval.evaluator import evaluate as harness_evaluate

    with _quiet():
        for task in loaded.tasks:
            _set_shots(task.made, loaded.settings.shots, loaded.seed)
        results = harness_evaluate(
            lm=lm,
            task_dict={"tasks": {task.wanted.name: task.made for task in loaded.tasks}},
            limit=loaded.settings.limit,
            bootstrap_iters=0,
            log_samples=True,
        )
    rows: list[Item] = []
    for task in loaded.tasks:
        samples = results["samples"][task.wanted.name]
        for sample in (one for one in samples if one["filter"] == samples[0]["filter"]):
            answers = [answer for (answer,) in sample["resps"]]
            rows.append(
                {
                    "task": task.wanted.task,
                    "language": task.wanted.language,
                    "name": task.wanted.name,
                    "item": int(sample["doc_id"]),
                    "metrics": {metric: 100 * float(sample[metric]) for metric in task.metrics},
                    "said": [answer if isinstance(answer, str) else float(answer[0]) for answer in answers],
                }
            )
    return rows


def _managers(folder: Path | None) -> tuple[Any, Any]:
    """The managers of the harness's XTREME-R tasks and of the tasks in the study's own folder (None without one)."""
    import lm_eval.tasks
    import lm_eval.utils
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # A template is a program. The harness would render it with access to all of Python.
    sandbox = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    sandbox.filters["regex_replace"] = lm_eval.utils.regex_replace
    lm_eval.utils.env = sandbox
    manager = lm_eval.tasks.TaskManager
    places: list[str | Path] = [Path(lm_eval.tasks.__file__).parent / task for task in BENCHMARKS]
    shipped = manager(include_defaults=False, include_path=places)
    return shipped, manager(include_defaults=False, include_path=folder) if folder else None


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn errors of the harness, of its reader and of templates into one line that names the task."""
    try:
        yield
    except TarazuError:
        raise
    except Exception as error:
        raise BadInput(
            f"capability.tasks: {name}: cannot be read: {type(error).__name__}: {error}; without the Hub, give the "
            "task with its data as a local file (capability.include_path)"
        ) from None


def _task(one: Wanted, shipped: Any, own: Any) -> HarnessTask:
    made = _made(one.name, shipped, own)
    if made.OUTPUT_TYPE not in ("multiple_choice", "generate_until"):
        raise BadInput(f"capability.tasks: {one.name}: output_type {made.OUTPUT_TYPE} is not supported")
    if getattr(made, "UNSAFE_CODE", False):
        raise BadInput(f"capability.tasks: {one.name}: runs the model's output as a program, which is not supported")
    generation = made.get_config("generation_kwargs") or {}
    if generation.get("do_sample") or generation.get("temperature"):
        raise BadInput(f"capability.tasks: {one.name}: requires sampling, but answers are greedy: do_sample: false")
    metrics = tuple(name for name, mean in made.aggregation().items() if getattr(mean, "__name__", "") == "mean")
    if not metrics or one.metric not in (None, *metrics):
        raise BadInput(
            f"capability.tasks: {one.name}: has no metric '{one.metric or ''}' that is a mean over items; available: "
            f"{', '.join(metrics) or 'none'}"
        )
    return HarnessTask(wanted=one, metrics=metrics, made=made)


def _made(name: str, shipped: Any, own: Any) -> Any:
    if own is not None and name in own.task_index:
        entry = own.task_index[name]
        kwargs = absolute_data_files(entry.cfg.get("dataset_kwargs") or {}, entry.yaml_path.parent)
        # The harness takes changes to a task from a group that contains it.
        spec = {"group": "own", "task": [{"task": name, **({"dataset_kwargs": kwargs} if kwargs else {})}]}
        return own.load([spec])["tasks"][name]
    if name in shipped.task_index:
        entry = shipped.task_index[name]
        if entry.yaml_path.parent.name == "xquad":  # see squad.py
            return shipped.load([{**deepcopy(entry.cfg), "process_results": squad.process_results}])["tasks"][name]
        return shipped.load([name])["tasks"][name]
    return _other_task(name)


def _other_task(name: str) -> Any:
    """A task of the harness outside XTREME-R. Reading its index of about ten thousand files takes a while."""
    manager = _all_tasks()
    if name not in manager.all_subtasks:
        raise BadInput(
            f"capability.tasks: {name}: neither the harness nor capability.include_path has such a task "
            "(groups and tags are not tasks: name their members)"
        )
    return manager.load([name])["tasks"][name]


@cache
def _all_tasks() -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _set_shots(made: Any, shots: int, seed: int) -> None:
    """As in the harness, a task that fixes 0 keeps it. Sets the seed again, because building requests draws numbers."""
    if made.get_config("num_fewshot") != 0:
        made.set_config("num_fewshot", shots)
    made.set_fewshot_seed(seed)


def _requests(task: HarnessTask, settings: CapabilitySettings, seed: int) -> list[Any]:
    """All requests of the task as a JSON value: item, kind of request, arguments, and the correct answer."""
    made = task.made
    _set_shots(made, settings.shots, seed)
    items = len(made.eval_docs)
    made.build_all_requests(limit=min(settings.limit or items, items), rank=0, world_size=1)
    return [[one.doc_id, one.request_type, list(one.args), str(made.doc_to_target(one.doc))] for one in made.instances]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress bars and remarks of the libraries: a run reports its own progress, and errors are raised."""
    import datasets

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()

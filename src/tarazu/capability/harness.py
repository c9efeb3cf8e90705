"""lm-evaluation-harness: its tasks found, loaded, and done by a checkpoint."""

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
from typing import TYPE_CHECKING, Any

from tarazu.capability import squad
from tarazu.capability.local import absolute_data_files, check_folder
from tarazu.errors import BadInput, MissingExtra, TarazuError
from tarazu.files import digest, tree_sha256
from tarazu.study.capability import BENCHMARKS, CapabilitySettings, Wanted

if TYPE_CHECKING:
    from tarazu.capability.lm import CheckpointLM

_LOGGERS = ("lm_eval", "datasets", "huggingface_hub")


def need_lm_eval() -> None:
    """Raises MissingExtra, which names the extra, where the harness is not installed."""
    if find_spec("lm_eval") is None:
        raise MissingExtra("capability", "lm-evaluation-harness (lm-eval)")


@dataclass(frozen=True, kw_only=True)
class HarnessTask:
    """A task asked for, as the harness holds it (`made`), with the measures of single items that it takes means of."""

    wanted: Wanted
    metrics: tuple[str, ...]
    made: Any

    @property
    def metric(self) -> str:
        """The measure that arms are compared by."""
        return self.wanted.metric or self.metrics[0]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The tasks of a study, with the digest of all that they ask and `requests`, how many texts that is."""

    tasks: Sequence[HarnessTask]
    settings: CapabilitySettings
    seed: int
    digest: str
    requests: int


def load(settings: CapabilitySettings, chosen: Sequence[Wanted], *, root: Path | None, seed: int) -> Loaded:
    """Find the tasks and read their data. `root` is what a relative `include_path` starts from.

    `seed` draws the solved examples. Raises BadInput for a task that is not there, holds code, or cannot be read.
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
            [task.wanted.name, task.wanted.language, task.metric, asked]
            for task, asked in zip(tasks, requests, strict=True)
        ],
        "files": tree_sha256(folder) if folder else None,
        "versions": {package: version(package) for package in ("lm_eval", "datasets")},
    }
    return Loaded(tasks=tasks, settings=settings, seed=seed, digest=digest(facts), requests=sum(map(len, requests)))


def evaluate(loaded: Loaded, lm: CheckpointLM) -> list[dict[str, Any]]:
    """A row per task and item: task, language, name, item, metric values in percent, and what the model said."""
    from lm_eval.evaluator import evaluate as harness_evaluate

    with _quiet():
        for task in loaded.tasks:
            _set_shots(task.made, loaded.settings.shots, loaded.seed)
        found = harness_evaluate(
            lm=lm,
            task_dict={"tasks": {task.wanted.name: task.made for task in loaded.tasks}},
            limit=loaded.settings.limit,
            bootstrap_iters=0,
            log_samples=True,
        )
    rows = []
    for task in loaded.tasks:
        samples = found["samples"][task.wanted.name]
        for sample in (one for one in samples if one["filter"] == samples[0]["filter"]):
            said = [answer for (answer,) in sample["resps"]]
            rows.append(
                {
                    "task": task.wanted.task,
                    "language": task.wanted.language,
                    "name": task.wanted.name,
                    "item": int(sample["doc_id"]),
                    "metrics": {metric: 100 * float(sample[metric]) for metric in task.metrics},
                    "said": [answer if isinstance(answer, str) else float(answer[0]) for answer in said],
                }
            )
    return rows


def _managers(folder: Path | None) -> tuple[Any, Any]:
    """What finds the harness's XTREME-R tasks, and what finds those of the study's own folder (None without one)."""
    import lm_eval.tasks
    import lm_eval.utils
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # A template is a program: the harness would render it with all of Python in reach.
    sandbox = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    sandbox.filters["regex_replace"] = lm_eval.utils.regex_replace
    lm_eval.utils.env = sandbox
    manager = lm_eval.tasks.TaskManager
    places: list[str | Path] = [Path(lm_eval.tasks.__file__).parent / task for task in BENCHMARKS]
    shipped = manager(include_defaults=False, include_path=places)
    return shipped, manager(include_defaults=False, include_path=folder) if folder else None


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors of the harness, of its reader and of templates as one line that names the task."""
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
        raise BadInput(f"capability.tasks: {one.name}: output_type {made.OUTPUT_TYPE} is not measured here")
    if getattr(made, "UNSAFE_CODE", False):
        raise BadInput(f"capability.tasks: {one.name}: runs what the model writes as a program; that is not done here")
    how_written = made.get_config("generation_kwargs") or {}
    if how_written.get("do_sample") or how_written.get("temperature"):
        raise BadInput(f"capability.tasks: {one.name}: asks for sampling; answers are greedy here: do_sample: false")
    metrics = tuple(name for name, how in made.aggregation().items() if getattr(how, "__name__", "") == "mean")
    if not metrics or one.metric not in (None, *metrics):
        raise BadInput(
            f"capability.tasks: {one.name}: has no measure '{one.metric or ''}' that is a mean over items; it has: "
            f"{', '.join(metrics) or 'none'}"
        )
    return HarnessTask(wanted=one, metrics=metrics, made=made)


def _made(name: str, shipped: Any, own: Any) -> Any:
    if own is not None and name in own.task_index:
        entry = own.task_index[name]
        kwargs = absolute_data_files(entry.cfg.get("dataset_kwargs") or {}, entry.yaml_path.parent)
        # The harness takes changes to a task from a group that holds it.
        spec = {"group": "own", "task": [{"task": name, **({"dataset_kwargs": kwargs} if kwargs else {})}]}
        return own.load([spec])["tasks"][name]
    if name in shipped.task_index:
        entry = shipped.task_index[name]
        if entry.yaml_path.parent.name == "xquad":  # see squad.py
            return shipped.load([{**deepcopy(entry.cfg), "process_results": squad.process_results}])["tasks"][name]
        return shipped.load([name])["tasks"][name]
    return _of_all(name)


def _of_all(name: str) -> Any:
    """A task of the harness beyond XTREME-R's; reading its index of some ten thousand files takes a while."""
    manager = _whole()
    if name not in manager.all_subtasks:
        raise BadInput(
            f"capability.tasks: {name}: neither the harness nor capability.include_path has such a task "
            "(groups and tags are no tasks: name what is in them)"
        )
    return manager.load([name])["tasks"][name]


@cache
def _whole() -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _set_shots(made: Any, shots: int, seed: int) -> None:
    """As the harness does it: a task that fixes 0 keeps it. Seeded anew, because each building of requests draws."""
    if made.get_config("num_fewshot") != 0:
        made.set_config("num_fewshot", shots)
    made.set_fewshot_seed(seed)


def _requests(task: HarnessTask, settings: CapabilitySettings, seed: int) -> list[Any]:
    """All that the task asks, as a JSON value: item, kind of request, arguments, and what is right."""
    made = task.made
    _set_shots(made, settings.shots, seed)
    items = len(made.eval_docs)
    made.build_all_requests(limit=min(settings.limit or items, items), rank=0, world_size=1)
    return [[one.doc_id, one.request_type, list(one.args), str(made.doc_to_target(one.doc))] for one in made.instances]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' bars and remarks: a run tells of its progress itself, and errors are raised."""
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

"""The run folder: locked by one study and one process, with a lock file that records study, software and machine."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

import tarazu
from tarazu.errors import BadInput
from tarazu.files import clear_leftovers, file_sha256, naming_refused_writes, write_text
from tarazu.preregistration.model import InputDigests
from tarazu.preregistration.reading import PLAN_FILE, SIGNATURE_FILE
from tarazu.study import AnalysisSettings, LoadedStudy, Study
from tarazu.study.generation import NEUTRAL

LOCK_FILE = "study.lock.yaml"
ANALYSIS_LOCK = "analysis.lock.yaml"
RATERS_TABLE = "ratings.csv"
"""The table of ratings that `tarazu label` writes."""
_PROCESS_LOCK = ".lock"
_OURS = re.compile(r"\.lock|\..*\.partial")
_PACKAGES = (
    "accelerate",
    "datasets",
    "lm_eval",
    "matplotlib",
    "numpy",
    "peft",
    "py3langid",
    "pyarrow",
    "pydantic",
    "scipy",
    "statsmodels",
    "tokenizers",
    "torch",
    "transformers",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on; without those that are not installed."""
    known = {"python": platform.python_version(), "tarazu": tarazu.__version__}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known[package] = importlib.metadata.version(package)
    return known


def hardware() -> dict[str, Any]:
    """This machine's processor, cores, memory (GiB) and accelerators (none without torch), and the number of torch's
    threads. Sums are split among threads, so their number affects the last digits of training."""
    if not importlib.util.find_spec("torch"):
        return {**_machine(), "accelerators": []}
    import torch

    accelerators = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {**_machine(), "accelerators": accelerators, "threads": torch.get_num_threads()}


def _machine() -> dict[str, Any]:
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


@contextlib.contextmanager
def run_lock(out: Path, loaded: LoadedStudy, *, fresh: bool) -> Iterator[None]:
    """Lock the run folder for this study and this process.

    Raises BadInput if the folder contains another study or other files, or if another process is working in it. `fresh`
    removes an earlier run of the same study.
    """
    name = loaded.study.name
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; choose another --out")
    held = _study_in(out)
    if held is not None and held != name:
        raise BadInput(f"{out}: contains a run of the study '{held}', not of '{name}'; choose another --out")
    # A run that is killed at its very start leaves the process lock and perhaps an incomplete file.
    if held is None and out.is_dir() and any(not _OURS.fullmatch(item.name) for item in out.iterdir()):
        raise BadInput(f"{out}: contains files that a run did not write; choose another --out")
    with naming_refused_writes(out):
        out.mkdir(parents=True, exist_ok=True)
        handle = (out / _PROCESS_LOCK).open("w")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput(f"{out}: another process is working in this run; wait for it or choose another --out") from (
                None
            )
        if fresh:
            if (out / RATERS_TABLE).exists():
                raise BadInput(f"{out}: --fresh would delete {RATERS_TABLE}, the ratings of people; move it away first")
            for item in out.iterdir():
                if item.is_dir():
                    shutil.rmtree(item)
                elif item.name != _PROCESS_LOCK:
                    item.unlink()
        clear_leftovers(out)
        yield


def _study_in(out: Path) -> str | None:
    """The name of the study whose run is in the folder; None if there is no run."""
    try:
        lock = yaml.safe_load((out / LOCK_FILE).read_text(encoding="utf-8"))
        return str(lock["study"]["name"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
        return None


def tarazu_version(run: Path) -> str | None:
    """The version of Tarazu that made a run or an analysis. None if its lock file does not say."""
    for name in (LOCK_FILE, ANALYSIS_LOCK):
        with contextlib.suppress(OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
            return str(yaml.safe_load((run / name).read_text(encoding="utf-8"))["versions"]["tarazu"])
    return None


def write_lock(out: Path, loaded: LoadedStudy, inputs: InputDigests | None = None) -> dict[str, Any]:
    """Write the lock file, and return its content: the resolved study, the origins of its values, what decoding does
    in place of a checkpoint's own settings, versions, hardware; and the digests of the `inputs` of a preregistered
    study."""
    lock = {
        "study": loaded.study.model_dump(mode="json", by_alias=True),
        "origins": {key: origin for key, origin in loaded.origins.items() if origin != "default"},
        "decoding": NEUTRAL,
        **({} if inputs is None else {"inputs": inputs.model_dump(mode="json")}),
        "versions": versions(),
        "hardware": hardware(),
    }
    write_text(out / LOCK_FILE, yaml.safe_dump(lock, sort_keys=False, allow_unicode=True, width=110))
    return lock


def analysis_facts(facts: dict[str, Any], settings: Study | AnalysisSettings) -> dict[str, Any]:
    """What the lock file of an analysis has as its study: what results.json says about it (`facts`), groups,
    thresholds and analysis."""
    kept = ("groups", "thresholds", "analysis")
    return {**facts, **{key: getattr(settings, key).model_dump(mode="json") for key in kept}}


def write_analysis_lock(out: Path, study: dict[str, Any], given: Sequence[tuple[Path, str]]) -> None:
    """Write the lock file of an analysis of scores made elsewhere: its `study` (`analysis_facts`), the names and
    digests of the `given` files, each with the output that was made of it, the digests of the outputs, versions and
    machine (without accelerators, which an analysis does not use)."""
    written = (
        "results.json",
        "scores.parquet",
        "known_answers.parquet",
        "ratings.parquet",
        PLAN_FILE,
        SIGNATURE_FILE,
    )
    lock = {
        "study": study,
        "given": [{"name": path.name, "sha256": file_sha256(path), "becomes": becomes} for path, becomes in given],
        "outputs": {name: file_sha256(out / name) for name in written if (out / name).is_file()},
        "versions": versions(),
        "hardware": _machine(),
    }
    write_text(out / ANALYSIS_LOCK, yaml.safe_dump(lock, sort_keys=False, allow_unicode=True, width=110))

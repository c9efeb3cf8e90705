"""What all exporters share: the results of a run's folder, and names of files that any system takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tarazu.errors import BadInput
from tarazu.report.checklist import Files, has_prompts
from tarazu.results import Results, read_results
from tarazu.run.lock import ANALYSIS_LOCK, LOCK_FILE

_NOT_PORTABLE = re.compile(r"[^A-Za-z0-9._-]+")
_RESERVED = re.compile(r"(data|con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 100


def results_of_run(run: Path) -> Results:
    """The results in the folder of a run or of an analysis. Raises BadInput."""
    if not (run / "results.json").is_file():
        raise BadInput(f"{run}: has no results.json; give the folder of `tarazu run`, or of `tarazu analyze --out`")
    return read_results(run / "results.json")


def files_of_run(run: Path) -> Files:
    """What lies beside the results in the folder, for the checklists. A damaged file counts as absent."""
    lock: dict[str, Any] = {}
    for name in (LOCK_FILE, ANALYSIS_LOCK):
        with suppress(OSError, ValueError, yaml.YAMLError):
            read = yaml.safe_load((run / name).read_text(encoding="utf-8"))
            lock = lock or (read if isinstance(read, dict) else {})
    prompts = None
    with suppress(OSError, pa.ArrowException):
        scores = pq.ParquetFile(run / "scores.parquet")
        prompts = has_prompts(scores.read(columns=[name for name in scores.schema_arrow.names if name == "prompt"]))
    return Files(
        scores=prompts is not None,
        prompts=prompts,
        settings=lock.get("study"),
        versions=lock.get("versions") or {},
        hardware=bool(lock.get("hardware")),
    )


def portable(name: str) -> str:
    """The name as that of a folder or file on any system."""
    text = _NOT_PORTABLE.sub("-", name)[:_LONGEST].strip(".-")
    return f"arm-{text}" if not text or _RESERVED.fullmatch(text) else text


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A portable name for each name. They differ also on systems that do not tell capital letters from small ones."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = text = portable(name)
        number = 1
        while text.lower() in taken:
            number += 1
            text = f"{stem}-{number}"
        taken.add(text.lower())
        found[name] = text
    return found

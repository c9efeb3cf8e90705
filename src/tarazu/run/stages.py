"""Stages: functions from fingerprinted inputs to files, which are written under temporary names and then renamed.

A stage is up to date if the record of its last run (`.stages/<name>.json`) has the fingerprint of its inputs and the
digests of its outputs on disk. The order of writing makes a kill harmless: the old record is removed, then the outputs
are replaced, then the new record is written. After an interruption at any point, no record matches, and the next run
repeats the stage with the same inputs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tarazu
from tarazu.files import digest, tree_sha256, write_json
from tarazu.progress import Progress

RECORDS = ".stages"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Pieces of a stage that several processes can make independently, before `Stage.make` combines them. Each is a
    file in `folder`, which `make` writes atomically, given its number. `fingerprint` is a digest of all that the pieces
    depend on. Before the first is made, `reset_scratch(folder, fingerprint())` removes pieces with another one."""

    folder: Path
    fingerprint: Callable[[], str]
    files: Sequence[str]
    make: Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The work of a stage, in words and, if known, in 1e9 floating-point operations."""

    work: str
    gflop: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a study."""

    name: str
    inputs: Callable[[], Any]
    """Returns a JSON value with all that the outputs depend on."""
    outputs: Sequence[str]
    """Paths in the run folder."""
    make: Callable[[], dict[str, int]]
    """Writes the outputs atomically, and returns counts that a reader should know, such as truncations."""
    after: Sequence[str] = ()
    """The names of the stages whose outputs this one reads."""
    inputs_from: Sequence[str] = ()
    """Those of `after` whose outputs `inputs` reads. It cannot be called before they are up to date."""
    cost: Callable[[], Cost] | None = None
    """Returns the cost that `plan` shows. None for a stage that needs no model and takes seconds: the command's own
    process always runs it."""
    every_process: bool = False
    """Whether all processes of an `accelerate launch` take part."""
    parts: Parts | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the inputs and of the version of this program."""
        return digest({"stage": self.name, "inputs": self.inputs(), "tarazu": tarazu.__version__})


@dataclass(frozen=True, kw_only=True)
class Done:
    """A stage that has run, now or earlier: the counts that its `make` returned, and its seconds."""

    notes: dict[str, int]
    seconds: float


def up_to_date(run: Path, stage: Stage) -> Done | None:
    """The record of a stage if its outputs on disk are unchanged and have this fingerprint; else None."""
    try:
        record = json.loads(_record(run, stage.name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if record.get("fingerprint") != stage.fingerprint or set(record.get("outputs", ())) != set(stage.outputs):
        return None
    if any(not (run / name).exists() or tree_sha256(run / name) != known for name, known in record["outputs"].items()):
        return None
    return Done(notes=record["notes"], seconds=record["seconds"])


def run_stage(run: Path, stage: Stage, progress: Progress, *, spent: float = 0.0) -> Done:
    """Run a stage unless it is up to date. `spent` is the seconds that its parts have taken."""
    progress.stage(stage.name)
    before = up_to_date(run, stage)
    if before is not None:
        progress.done("up to date")
        return before
    began = time.monotonic()
    record = _record(run, stage.name)
    record.unlink(missing_ok=True)
    notes = stage.make()
    outputs = {name: tree_sha256(run / name) for name in stage.outputs}
    seconds = round(time.monotonic() - began + spent, 2)
    write_json(record, {"fingerprint": stage.fingerprint, "outputs": outputs, "notes": notes, "seconds": seconds})
    progress.done()
    return Done(notes=notes, seconds=seconds)


def read_notes(run: Path, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """The counts of these stages, by name, without those that counted nothing. The stages must be up to date."""
    notes = {name: json.loads(_record(run, name).read_text(encoding="utf-8"))["notes"] for name in names}
    return {name: counts for name, counts in notes.items() if counts}


def _record(run: Path, name: str) -> Path:
    return run / RECORDS / f"{name.replace(':', '-')}.json"

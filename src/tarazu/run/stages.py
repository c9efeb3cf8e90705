"""Stages: functions from fingerprinted inputs to files, written aside and renamed when they are complete.

A stage is up to date when the record of its last run (`.stages/<name>.json`) has the fingerprint of its inputs and the
digests of the outputs that lie on disk. The order of writing is what makes a kill harmless: the old record goes
first, then the outputs are replaced, then the new record is written. Whatever instant is interrupted, the next run
finds no record that matches, and runs the stage again from the same inputs.
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
    """Pieces of a stage that can be made independently, by several processes, before `Stage.make` puts them together:
    each a file in `folder`, made by its number, complete or not at all. `fingerprint` is a digest of what they depend
    on: before the first is made, `reset_scratch(folder, fingerprint())` clears away those of anything else."""

    folder: Path
    fingerprint: Callable[[], str]
    files: Sequence[str]
    make: Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a stage has to do, in words, and 1e9 floating-point operations, where they are known."""

    work: str
    gflop: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a study."""

    name: str
    inputs: Callable[[], Any]
    """A JSON value that holds all that the outputs depend on."""
    outputs: Sequence[str]
    """Paths in the run folder."""
    make: Callable[[], dict[str, int]]
    """Writes the outputs completely or not at all; returns counts of what a reader should know (truncations and
    such)."""
    after: Sequence[str] = ()
    """Names of the stages whose outputs this one reads."""
    inputs_from: Sequence[str] = ()
    """Those of `after` whose outputs `inputs` reads: before they are up to date, it cannot be called."""
    cost: Callable[[], Cost] | None = None
    """What `plan` says of the stage. None: it needs no model and takes seconds, so that the process of the command runs
    it, wherever the others run."""
    every_process: bool = False
    """Whether all processes of an `accelerate launch` take part."""
    parts: Parts | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the inputs and of the version of this program."""
        return digest({"stage": self.name, "inputs": self.inputs(), "tarazu": tarazu.__version__})


@dataclass(frozen=True, kw_only=True)
class Done:
    """A stage that has run, now or before: what its `make` counted, and the seconds that it took."""

    notes: dict[str, int]
    seconds: float


def up_to_date(run: Path, stage: Stage) -> Done | None:
    """The record of a stage whose outputs on disk are those of this fingerprint, unchanged since; else None."""
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
    """Run a stage unless it is up to date. `spent` are seconds that its parts took before."""
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
    """What the stages of these names counted, by name, where they counted anything. They must be up to date."""
    notes = {name: json.loads(_record(run, name).read_text(encoding="utf-8"))["notes"] for name in names}
    return {name: counts for name, counts in notes.items() if counts}


def _record(run: Path, name: str) -> Path:
    return run / RECORDS / f"{name.replace(':', '-')}.json"

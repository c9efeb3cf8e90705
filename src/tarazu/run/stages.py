"""Stages: functions from fingerprinted inputs to files, written aside and renamed when whole.

A stage is done when the record of its last run (`.stages/<name>.json`) has the fingerprint of its inputs and the
digests of the outputs that lie on disk. The order of writing is what makes a kill harmless: the old record goes
first, then the outputs are replaced, then the new record is written. Whatever instant is interrupted, the next run
finds no record that matches, and does the stage again from the same inputs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tarazu
from tarazu.files import digest, tree_sha256, write_json
from tarazu.run.progress import Progress

RECORDS = ".stages"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Pieces of a stage that can be made apart from each other, by several processes, before `Stage.make` puts them
    together: each a file in `folder`, made by its number, whole or not at all. `of` is a digest of what they hang on:
    before the first is made, `reset_scratch(folder, of)` clears away those of anything else."""

    folder: Path
    of: str
    files: Sequence[str]
    make: Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step. `inputs` is a JSON value that holds all that the outputs depend on; `outputs` are paths in the run;
    `make` writes them whole or not at all and returns counts of what a reader should know (truncations and such).
    `after` names those of the stages built with it whose outputs it reads."""

    name: str
    inputs: Any
    outputs: Sequence[str]
    make: Callable[[], dict[str, int]]
    after: Sequence[str] = ()
    parts: Parts | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the inputs and of the version of this program."""
        return digest({"stage": self.name, "inputs": self.inputs, "tarazu": tarazu.__version__})


@dataclass(frozen=True, kw_only=True)
class Done:
    """A stage carried out, now or before: what its `make` counted, and the seconds that it took."""

    notes: dict[str, int]
    seconds: float


def done_before(run: Path, stage: Stage) -> Done | None:
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


def carry_out(run: Path, stage: Stage, progress: Progress, *, spent: float = 0.0) -> Done:
    """Do a stage unless it is done. `spent` are seconds that its parts took before."""
    progress.stage(stage.name)
    before = done_before(run, stage)
    if before is not None:
        progress.done("as before")
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


def _record(run: Path, name: str) -> Path:
    return run / RECORDS / f"{name.replace(':', '-')}.json"

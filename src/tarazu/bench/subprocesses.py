"""Runs a contender of a benchmark in a separate process, so that it shares no memory or threads with others."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tarazu.errors import TarazuError


@dataclass(frozen=True, kw_only=True)
class Work:
    """The task of every contender in plain values. `folder` has its input files."""

    folder: str


def run_in_subprocess(module: str, name: str, work: Work) -> str:
    """Run `python -m MODULE NAME WORK OUT`, where OUT is a file in the work's folder, and return its content, which is
    JSON. Raises TarazuError if the process writes no result."""
    out = Path(work.folder) / f"{name}.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", module, name, json.dumps(asdict(work)), str(out)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if not out.exists():
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise TarazuError(f"{name}: ended with {done.returncode}: {last[0]}")
    return out.read_text(encoding="utf-8")

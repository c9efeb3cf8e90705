"""Runs a contender of a benchmark in a separate process, so that it shares no memory or threads with others."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tarazu.errors import TarazuError


@dataclass(frozen=True, kw_only=True)
class Work:
    """The task of every contender in plain values. `folder` has its input files."""

    folder: str


_NO_MEMORY = ("MemoryError", "torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError")
"""The beginnings of Python's last line if memory is not to be had."""


class Stopped(TarazuError):
    """A contender whose process was ended by a signal or for want of memory, which must not end the others."""


def run_in_subprocess(module: str, name: str, work: Work) -> str:
    """Run `python -m MODULE NAME WORK OUT`, where OUT is a file in the work's folder, and return its content, which is
    JSON. Raises TarazuError if the process writes no result, as Stopped if it is the system that ended it."""
    out = Path(work.folder) / f"{name}.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", module, name, json.dumps(asdict(work)), str(out)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if not out.exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        if done.returncode < 0:
            ended_by = signal.Signals(-done.returncode).name
            why = ", which the system sends when memory runs out" if ended_by == "SIGKILL" else f": {last}"
            raise Stopped(f"{name}: ended by {ended_by}{why}")
        ended = f"{name}: ended with {done.returncode}: {last}"
        raise Stopped(ended) if last.startswith(_NO_MEMORY) else TarazuError(ended)
    return out.read_text(encoding="utf-8")


def peak_memory() -> int:
    """The most bytes that this process has had in memory. On Linux, ru_maxrss also counts its parent's at its start."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

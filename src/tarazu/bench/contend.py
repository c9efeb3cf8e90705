"""A contender of a benchmark in a process of its own, so that its memory and its threads are its own too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tarazu.errors import TarazuError


def contend(module: str, name: str, work: Mapping[str, Any]) -> dict[str, Any]:
    """Run `python -m MODULE NAME WORK OUT`, OUT a file in the work's folder, and return what it wrote there.

    `work` says what every contender does, in plain values. Raises TarazuError where the process wrote nothing.
    """
    out = Path(work["folder"]) / f"{name}.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", module, name, json.dumps(work), str(out)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if not out.exists():
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        raise TarazuError(f"{name}: ended with {done.returncode}: {last[0]}")
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found

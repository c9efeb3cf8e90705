"""Runs inside the sandbox: `python -m tarazu.record.claims.mathematics._elaborate LEAN IN OUT`.

IN has a folder for each claim, with Claim.lean (the record's source) and the gate's Check.lean, Opposite.lean and
Trivial.lean, which import it. OUT/results.json maps each folder's name to Lean's result for each file: the exit status
and the output, with one JSON message per line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

SECONDS = 60
"""Time limit for each file."""
_KEPT = 64 * 1024


def main(lean: str, inputs: Path, out: Path) -> None:
    results = {folder.name: _claim(lean, folder, out / folder.name) for folder in sorted(inputs.iterdir())}
    (out / "results.json").write_text(json.dumps(results, default=asdict), encoding="utf-8")


@dataclass(frozen=True)
class _Run:
    """Lean's exit status (None if it ran out of time) and its output."""

    exit: int | None
    output: str


def _claim(lean: str, folder: Path, built: Path) -> dict[str, _Run]:
    built.mkdir()
    results = {"Claim": _lean(lean, folder / "Claim.lean", built, "-o", str(built / "Claim.olean"))}
    if results["Claim"].exit == 0:
        results |= {name: _lean(lean, folder / f"{name}.lean", built) for name in ("Check", "Opposite", "Trivial")}
    return results


def _lean(lean: str, source: Path, built: Path, *more: str) -> _Run:
    environment = {**os.environ, "LEAN_PATH": str(built)}
    try:
        done = subprocess.run(
            [lean, "--json", *more, str(source)], env=environment, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return _Run(None, f"it did not end in {SECONDS} s")
    return _Run(done.returncode, done.stdout.decode("utf-8", "replace")[:_KEPT])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

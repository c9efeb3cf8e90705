"""The memory of a contender is its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tarazu.bench.subprocesses import peak_memory

MIB = 2**20


def test_what_a_process_once_had_counts() -> None:
    held = b"x" * (64 * MIB)
    assert peak_memory() >= len(held)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux has it")
def test_the_memory_of_the_parent_does_not_count() -> None:
    held = b"x" * (512 * MIB)
    code = "from tarazu.bench.subprocesses import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 256 * MIB < len(held)

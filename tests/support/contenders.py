"""Contenders of a benchmark in the test's own process: their separate ones take longer to import TRL than to work."""

from __future__ import annotations

import importlib

import pytest

from tarazu.align import flops
from tarazu.bench import generate, generate_contenders, train
from tarazu.bench.subprocesses import Work


def run_here(module: str, name: str, work: Work) -> str:
    """As `run_in_subprocess`."""
    result: str = importlib.import_module(module).RUN[name](work).model_dump_json()
    return result


def run_contenders_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no process for a contender, and measure the machine's own rates for a moment only."""
    monkeypatch.setattr(train, "run_in_subprocess", run_here)
    monkeypatch.setattr(generate, "run_in_subprocess", run_here)
    measure = flops.matmul_peak
    monkeypatch.setattr(flops, "matmul_peak", lambda device, dtype, **_: measure(device, dtype, size=256, seconds=0.01))
    monkeypatch.setattr(generate_contenders, "_STREAMED", 2**24)

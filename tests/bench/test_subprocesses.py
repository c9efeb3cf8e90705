"""Contenders of a benchmark that the system ends, which stop no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tarazu.bench import generate, train
from tarazu.bench.results import GenerationSettings, Skipped, Sweep, TrainingMeasurement, Trial
from tarazu.bench.subprocesses import Stopped, Work, run_in_subprocess
from tarazu.errors import TarazuError

SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("killed", "killed: ended by SIGKILL, which the system sends when memory runs out"),
        ("memory", "memory: ended with 1: MemoryError"),
        ("other", "other: ended with 1: ValueError: a fault of the program"),
    ],
)
def test_who_ended_a_contender_is_said(how: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    with pytest.raises(TarazuError) as raised:
        run_in_subprocess("stopped_contender", how, Work(folder=str(tmp_path)))
    assert str(raised.value) == message
    assert isinstance(raised.value, Stopped) is (how != "other")


def test_batch_sizes_of_trl_that_need_too_much_memory_are_omitted(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[int, bool]] = []

    def run(module: str, name: str, work: train.TrainingWork) -> str:
        tried.append((work.batch_size, work.precompute))
        if work.batch_size > (4 if work.precompute else 0):
            raise Stopped(f"{name}: ended by SIGKILL")
        measured = {"pairs_per_s": float(work.batch_size), "seconds": 1.0, "losses": [0.7]}
        return json.dumps({**measured, "peak_memory_mib": 60.0, "matmul_gflops": 9.0})

    monkeypatch.setattr(train, "run_in_subprocess", run)
    work = train.TrainingWork(folder="", steps=3, max_length=64, lora=False, use_bf16=False, use_cuda=False)
    best = train._Best(work)
    assert isinstance(best.run(), TrainingMeasurement)
    assert tried == [(1, True), (2, True), (4, True), (8, True), (1, False), (4, True)]
    assert best.settings is not None and best.settings.batch_size == 4

    monkeypatch.setattr(train, "run_in_subprocess", stopped)
    assert train._Best(work).run() == Skipped(skipped="trl_dpo_best: ended by SIGKILL")


def stopped(module: str, name: str, work: Work) -> str:
    raise Stopped(f"{name}: ended by SIGKILL")


def test_batch_sizes_of_generate_that_need_too_much_memory_are_omitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(module: str, name: str, work: generate.GenerationWork) -> str:
        if max(work.batches) > 8:
            raise Stopped(f"{name}: ended by SIGKILL")
        return Sweep(trials=tuple(Trial(batch_size=size, rate=size) for size in work.batches)).model_dump_json()

    monkeypatch.setattr(generate, "run_in_subprocess", run)
    work = generate.GenerationWork(
        folder="", new_tokens=4, use_bf16=False, use_cuda=False, prompts=4, batches=(4, 8, 16, 32)
    )
    plan = generate._Plan(program="hf_best", work=work, settings=GenerationSettings())
    swept = generate._swept(plan)
    assert isinstance(swept, generate._Plan)
    assert swept.work.batch_size == 8 and swept.settings.swept == {"batch 4": 4.0, "batch 8": 8.0}

    monkeypatch.setattr(generate, "run_in_subprocess", stopped)
    assert generate._swept(plan) == Skipped(skipped="hf_best_sweep: ended by SIGKILL")
    assert generate._run(plan) == Skipped(skipped="hf_best: ended by SIGKILL")

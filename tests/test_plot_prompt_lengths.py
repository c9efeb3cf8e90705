"""The plot of speed by prompt length: rounds over all lengths, medians and bars."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import plot_prompt_lengths
import pytest

from tarazu.bench.results import Machine, TrainingFacts, TrainingReport, TrainingResult
from tarazu.bench.settings import TrainingBench


def result(rate: float) -> TrainingResult:
    return TrainingResult(
        pairs_per_s=rate,
        seconds=1.0,
        matmul_gflops=1.0,
        peak_memory_mib=60.0,
        losses=(0.7,),
        lowest=rate,
        highest=rate,
        rounds=(),
        tokens_per_s=100.0,
        share_of_peak=0.5,
    )


def test_rounds_go_over_all_lengths_and_medians_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranges: list[tuple[int, int]] = []

    def bench_train(bench: TrainingBench, progress: Any) -> TrainingReport:
        assert bench.rounds == 1
        assert bench.prompt_tokens is not None
        prompt_tokens = bench.prompt_tokens
        ranges.append(prompt_tokens)
        disturbed = 10 if len(ranges) == 7 else 1  # one measurement of fifteen
        rates = {"tarazu_dpo": 300 / prompt_tokens[1] / disturbed, "trl_dpo_default": 30 / prompt_tokens[1]}
        return TrainingReport.model_construct(
            machine=Machine.model_construct(cores=2, processor="a processor", versions={"torch": "2.13"}),
            work=TrainingFacts.model_construct(
                parameters=45_000_000,
                prompt_tokens=sum(prompt_tokens) / 2,
                pairs_per_step=8,
                data="pairs.jsonl",
                precision="float32",
            ),
            contenders={name: result(rates[name]) for name in bench.only},
        )

    monkeypatch.setattr(plot_prompt_lengths, "bench_train", bench_train)
    picture = tmp_path / "lengths.png"
    monkeypatch.setattr(sys, "argv", ["plot", "pairs.jsonl", str(picture)])
    plot_prompt_lengths.main()
    assert ranges == list(plot_prompt_lengths.RANGES) * 3
    plot = json.loads(picture.with_suffix(".json").read_text())
    second = plot["lines"]["tarazu_dpo"][1]
    assert second["pairs_per_s"] == second["highest"] == pytest.approx(300 / 96)
    assert second["lowest"] == pytest.approx(30 / 96)
    assert "10.0 to 10.0 times as fast" in plot["caption"]
    assert "medians of 3 rounds" in plot["caption"]
    pixels = matplotlib.image.imread(picture)
    assert pixels.shape[1] > 1000
    assert (pixels[..., :3].std(axis=-1) < 0.02).all()  # already grey, so printing loses nothing

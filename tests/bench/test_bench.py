"""`tarazu bench train`: every contender runs, with the same losses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contenders import run_contenders_here

from tarazu import cli
from tarazu.align.kernels import KERNELS
from tarazu.align.packing import Document, pack
from tarazu.bench import models, train, train_contenders
from tarazu.bench.attention import AttentionShape, attention_text, measure_attention
from tarazu.bench.results import KernelTime, Skipped

FLEX_ON_CPU = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"hidden_size": 32, "word_embed_proj_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    monkeypatch.setitem(models.SHAPES, "45m", {**shape, "ffn_dim": 64})


def bench(tmp_path: Path, *arguments: str) -> Any:
    out = tmp_path / "bench.json"
    sizes = ["--steps", "2", "--max-length", "128", "--rounds", "1"]
    assert cli.main(["bench", "train", *sizes, "--json", str(out), *arguments]) == 0
    return json.loads(out.read_text())


def test_dpo_and_sft_beside_trl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_contenders_here(monkeypatch)
    names = "tarazu_dpo,trl_dpo_default,tarazu_sft,trl_sft_default"
    found = bench(tmp_path, "--only", names)
    assert list(found["contenders"]) == sorted(names.split(","))
    assert found["work"]["pairs"] == 16
    assert found["machine"]["matmul_gflops"] > 0
    for name, result in found["contenders"].items():
        rate = result["pairs_per_s" if "dpo" in name else "sequences_per_s"]
        assert rate == pytest.approx(16 / result["seconds"])
        assert result["peak_memory_mib"] > 50
        assert len(result["losses"]) == 2
        assert 0 < result["share_of_peak"] <= 1
    for ours in ("tarazu_dpo", "tarazu_sft"):
        assert found["contenders"][ours]["largest_loss_difference"] < 1e-4
    assert "times as fast as trl_dpo_default" in capsys.readouterr().out


def test_a_contender_has_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_contenders, "RUN", {})  # of this process, which must run none
    found = bench(tmp_path, "--only", "tarazu_dpo", "--steps", "1")
    ours = found["contenders"]["tarazu_dpo"]
    assert ours["pairs_per_s"] == pytest.approx(8 / ours["seconds"])
    assert found["machine"]["matmul_gflops"] > 0
    assert ours["peak_memory_mib"] > 50


def test_prompts_of_a_length_in_two_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_contenders_here(monkeypatch)
    found = bench(tmp_path, "--only", "tarazu_dpo", "--prompt-tokens", "20-25", "--rounds", "2")
    assert 20 <= found["work"]["prompt_tokens"] < 25
    assert "attention" not in found  # without CUDA there is no choice
    ours = found["contenders"]["tarazu_dpo"]
    rates = [turn["pairs_per_s"] for turn in ours["rounds"]]
    assert len(rates) == 2 and rates[0] != rates[1]
    assert ours["lowest"] == min(rates) <= ours["pairs_per_s"] <= max(rates) == ours["highest"]
    assert ours["seconds"] == pytest.approx(sum(turn["seconds"] for turn in ours["rounds"]) / 2)


@FLEX_ON_CPU
def test_rounds_are_taken_in_turn_and_compared_by_medians(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Load on the machine in one of three rounds changes no median. On CUDA, kernels are compared too."""
    rates = [(3.0, 1.0), (2.0, 1.0), (4.0, 0.5)]
    ran: list[str] = []

    def run(module: str, name: str, work: Any) -> str:
        if name == "attention":
            return train_contenders.RUN[name](replace(work, use_cuda=False)).model_dump_json()
        rate = rates[len(ran) // 2][name != "tarazu_dpo"]
        ran.append(name)
        seconds = 16 / rate
        measured = {"pairs_per_s": rate, "seconds": seconds, "losses": [0.7]}
        return json.dumps({**measured, "peak_memory_mib": 60.0, "matmul_gflops": 9.0})

    monkeypatch.setattr(train, "run_in_subprocess", run)
    monkeypatch.setattr(train, "has_cuda", lambda: True)
    found = bench(tmp_path, "--only", "tarazu_dpo,trl_dpo_default", "--rounds", "3")
    assert ran == ["tarazu_dpo", "trl_dpo_default"] * 3
    assert found["contenders"]["tarazu_dpo"]["pairs_per_s"] == pytest.approx(3.0)
    assert found["contenders"]["trl_dpo_default"]["pairs_per_s"] == pytest.approx(1.0)
    output = capsys.readouterr().out
    assert "tarazu_dpo is 3.00 times as fast as trl_dpo_default (2.00 to 8.00 by round)" in output
    attention = found["attention"]
    assert attention["trees"] == 8 and attention["layers"] == 2
    assert attention["kernels"]["dense"]["largest_difference"] < 1e-5
    assert f"attention of a row of {attention['row_tokens']:,} tokens, 2 layers" in output


@FLEX_ON_CPU
def test_kernels_of_attention_are_checked_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(query: Any, key: Any, value: Any, layout: Any, scale: Any, dropout: float) -> Any:
        """Attends to the row as if it were one text."""
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)

    monkeypatch.setitem(KERNELS, "wrong", wrong)
    layout = pack([Document([5, 6], [[7, 8, 9], [10]]), Document([], [[11, 12]])])["layout"]
    found = measure_attention(
        layout,
        AttentionShape(heads=2, key_heads=2, width=16, layers=2),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    assert found.row_tokens == 8 and found.used == "trees"
    skipped = {name: kernel.skipped for name, kernel in found.kernels.items() if isinstance(kernel, Skipped)}
    assert "off by" in skipped["wrong"]
    assert "on CUDA, not in float32 on cpu" in skipped["varlen"]
    timed = {name: kernel for name, kernel in found.kernels.items() if isinstance(kernel, KernelTime)}
    assert {"trees", "dense"} <= timed.keys() and found.fastest in timed
    for kernel in timed.values():
        assert 0 < kernel.lowest <= kernel.seconds <= kernel.highest
        assert kernel.largest_difference < 1e-5
    assert attention_text(Skipped(skipped="why")) == ["attention skipped: why"]
    text = "\n".join(attention_text(found))
    assert "trees is in use" in text and "wrong   skipped: its outputs or gradients are off by" in text


def test_adapters_beside_trl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapters' initial weights are drawn in different orders, but their product with zeros is the same."""
    run_contenders_here(monkeypatch)
    found = bench(tmp_path, "--only", "tarazu_dpo,tarazu_sft,trl_dpo_default,trl_sft_default", "--lora", "--steps", "1")
    for ours in ("tarazu_dpo", "tarazu_sft"):
        assert found["contenders"][ours]["largest_loss_difference"] < 1e-5
    rates = {
        name: result.get("pairs_per_s") or result["sequences_per_s"] for name, result in found["contenders"].items()
    }
    hours = 321_600 / rates["tarazu_sft"] / 3600 + 321_600 / rates["tarazu_dpo"] / 3600
    assert found["work"]["source_study_hours"] == pytest.approx(hours)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "trl"], "no such contender"),
        (["--steps", "100000"], "100000 steps of 8 need 800000"),
        (["--pairs", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_impossible_measurements_are_refused(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "train", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("tarazu: ") and message in error

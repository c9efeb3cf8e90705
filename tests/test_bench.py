"""`tarazu bench train`: every contender runs, with the same losses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tarazu import cli
from tarazu.bench import train


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"hidden_size": 32, "word_embed_proj_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    monkeypatch.setitem(train.SHAPES, "45m", {**shape, "ffn_dim": 64})


def bench(tmp_path: Path, *arguments: str) -> Any:
    out = tmp_path / "bench.json"
    assert cli.main(["bench", "train", "--steps", "2", "--max-length", "128", "--json", str(out), *arguments]) == 0
    return json.loads(out.read_text())


def test_dpo_and_sft_beside_trl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
        assert 0 < result["share_of_peak"] < 1
    for ours in ("tarazu_dpo", "tarazu_sft"):
        assert found["contenders"][ours]["largest_loss_difference"] < 1e-4
    assert "times as fast as trl_dpo_default" in capsys.readouterr().out


def test_prompts_of_a_length(tmp_path: Path) -> None:
    found = bench(tmp_path, "--only", "tarazu_dpo", "--prompt-tokens", "20-25")
    assert 20 <= found["work"]["prompt_tokens"] < 25


def test_adapters_beside_trl(tmp_path: Path) -> None:
    """Other adapters' first weights are drawn in another order, and their product with zeros is the same."""
    found = bench(tmp_path, "--only", "tarazu_dpo,tarazu_sft,trl_dpo_default,trl_sft_default", "--lora", "--steps", "1")
    for ours in ("tarazu_dpo", "tarazu_sft"):
        assert found["contenders"][ours]["largest_loss_difference"] < 1e-5
    rates = {
        name: result.get("pairs_per_s") or result["sequences_per_s"] for name, result in found["contenders"].items()
    }
    hours = 321_600 / rates["tarazu_sft"] / 3600 + 321_600 / rates["tarazu_dpo"] / 3600
    assert found["work"]["source_study_hours"] == pytest.approx(hours)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "trl"], "no such contender"),
        (["--steps", "100000"], "100000 steps of 8 need 800000"),
        (["--pairs", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    tmp_path: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "train", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("tarazu: ") and told in error

"""`tarazu bench generate`: every contender runs, on the same prompts, and tokens are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contenders import run_contenders_here
from shared_data import shared

from tarazu import cli
from tarazu.bench import generate, models


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"hidden_size": 32, "word_embed_proj_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    monkeypatch.setitem(models.SHAPES, "45m", {**shape, "ffn_dim": 64})
    monkeypatch.setattr(generate, "BATCHES", (4,))


def bench(tmp_path: Path, *arguments: str) -> Any:
    out = tmp_path / "bench.json"
    size = ["--prompts", "12", "--new-tokens", "6", "--alone", "8", "--rounds", "1"]
    assert cli.main(["bench", "generate", *size, "--json", str(out), *arguments]) == 0
    return json.loads(out.read_text())


def test_contenders_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_contenders_here(monkeypatch)
    found = bench(tmp_path)
    contenders = found["contenders"]
    assert list(contenders) == sorted(generate.CONTENDERS)
    assert found["work"]["prompts"] == 12
    assert found["machine"]["matmul_gflops"] > 0 and found["machine"]["memory_gb_per_s"] > 0
    for name, result in contenders.items():
        count = 8 if name == "hf_batch1" else 12
        assert result["responses"] == count
        assert result["responses_per_s"] == pytest.approx(count / result["seconds"])
        assert 0 < result["tokens_per_s"] <= 6 * result["responses_per_s"] * 1.001
        assert result["peak_memory_mib"] > 50
        assert 0 < result["share_of_peak"] <= 1
        assert sum(result["agreement"].values()) == 8
        assert "tokens" not in result
    assert contenders["tarazu"]["agreement"]["differing"] == 0
    assert contenders["hf_batch1"]["agreement"] == {"equal": 8, "near_ties": 0, "differing": 0}
    ratio = contenders["tarazu"]["responses_per_s"] / contenders["hf_best"]["responses_per_s"]
    assert contenders["tarazu"]["times_hf_best"] == pytest.approx(ratio)
    assert "times as fast as hf_batch1" in capsys.readouterr().out


def test_prompts_of_a_file_in_bfloat16(tmp_path: Path) -> None:
    """The contender has a process of its own."""
    path = shared("multijail/multijail.csv")
    found = bench(tmp_path, "--only", "tarazu", "--multijail", str(path), "--dtype", "bfloat16")
    assert found["work"]["data"] == "multijail.csv"
    assert found["work"]["precision"] == "bfloat16"
    assert found["work"]["bytes_per_step"] == 2 * found["work"]["parameters"]
    assert "precision" not in found["contenders"]["tarazu"]


def test_a_contender_in_another_precision_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_contenders_here(monkeypatch)
    found = bench(tmp_path, "--only", "ctranslate2", "--dtype", "bfloat16")
    assert found["work"]["precision"] == "bfloat16"
    assert found["contenders"]["ctranslate2"]["precision"] == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--only", "hf"], "no such contender"), (["--prompts", "99999"], "distinct prompts; lower --prompts")],
)
def test_impossible_measurements_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "generate", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("tarazu: ") and message in error

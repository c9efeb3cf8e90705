"""`tarazu bench analyze` times the analysis and needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tarazu import cli
from tarazu.bench import analyze
from tarazu.bench.results import Skipped
from tarazu.errors import MissingExtra


def test_the_made_up_table_has_the_given_size() -> None:
    table = analyze.made_up_table(analyze.Size(languages=4, prompts=5, draws=100))
    keys = set(zip(table.arm, table.language, table.kind, table.prompt_id, strict=True))
    assert len(keys) == len(table.reward) == 4 * 4 * 2 * 5
    for column, count in ((table.arm, 4), (table.language, 4), (table.kind, 2), (table.prompt_id, 10)):
        assert len(set(column)) == count
    assert np.array_equal(table.reward, analyze.made_up_table(analyze.Size(languages=4, prompts=5)).reward)


def test_both_contenders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    arguments = ["bench", "analyze", "--languages", "12", "--prompts", "6", "--draws", "100", "--json", str(out)]
    assert cli.main(arguments) == 0
    found = json.loads(out.read_text())
    ours, theirs = found["contenders"]["tarazu"], found["contenders"]["mixed_model"]
    assert found["work"]["rows"] == 12 * 4 * 2 * 6
    assert theirs["trials"] == found["work"]["rows"] / 2 and theirs["converged"]
    assert found["work"]["ratio"] == pytest.approx(theirs["seconds"] / ours["seconds"])
    assert max(ours["parts"].values()) < 3 * ours["seconds"]
    assert ours["peak_memory_mib"] > 30 and theirs["peak_memory_mib"] > 30
    assert "times as long as the analysis" in capsys.readouterr().out


def test_without_statsmodels_the_fit_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtra("mixed", "statsmodels")

    monkeypatch.setattr(analyze, "need_statsmodels", missing)
    skipped = analyze._mixed_model(analyze.Size(languages=4, prompts=2))
    assert isinstance(skipped, Skipped) and "pip install 'tarazu[mixed]'" in skipped.skipped


def test_impossible_measurements_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "analyze", "--languages", "51"]) == 2
    assert cli.main(["bench", "analyze", "--draws", "99"]) == 2
    assert "there are 50" in capsys.readouterr().err


def test_it_loads_no_torch() -> None:
    code = "import sys, tarazu.bench.analyze; assert not {'torch', 'transformers', 'statsmodels'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

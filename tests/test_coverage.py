"""`tarazu languages`: the contents of each language, compared with an independent count of the files."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest
from made_up_scores import random_rows, results_of
from typed_results import typed

from tarazu.cli import main
from tarazu.coverage import coverage
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES
from tarazu.results import write_results

PARALLEL = Path(str(files("tarazu").joinpath("data", "parallel")))


def test_the_shipped_set_is_counted_in_every_language_that_has_a_file() -> None:
    with (PARALLEL / "index.csv").open(encoding="utf-8") as stream:
        kinds = {row["id"]: row["kind"] for row in csv.DictReader(stream)}
    sources, found = coverage(None, None)
    assert sources == ["parallel"]
    for code in LANGUAGES:
        path = PARALLEL / f"{code}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        expected = Counter(kinds[json.loads(line)["id"]] for line in lines)
        assert found[code].prompts == ({"parallel": dict(expected)} if expected else {})
        assert found[code].known_answers == found[code].prompts
    assert [code for code in LANGUAGES if not found[code].identified] == ["wo"]


def write_xcopa(root: Path) -> None:
    (root / "xcopa").mkdir()
    row = {"premise": "P.", "choice1": "A.", "choice2": "B.", "question": "cause", "label": 0, "changed": False}
    rows = [json.dumps({**row, "premise": f"P {index}.", "idx": index}) for index in range(3)]
    (root / "xcopa" / "test.sw.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_files_below_the_data_root_are_counted(tmp_path: Path) -> None:
    write_xcopa(tmp_path)
    sources, found = coverage(tmp_path, None)
    assert sources == ["parallel", "xcopa"]
    assert found["sw"].prompts["xcopa"] == found["sw"].known_answers["xcopa"] == {"benign": 3}
    assert "xcopa" not in found["th"].prompts


def test_the_command_shows_counts_and_the_reward_models_of_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_xcopa(tmp_path)
    monkeypatch.setitem(os.environ, "TARAZU_DATA", str(tmp_path))
    results = results_of(random_rows(prompts=2))
    results["validity"]["languages"]["sw"]["benign"] |= {"balanced_accuracy": 62.5, "reason": None}
    write_results(tmp_path / "results.json", typed(results))
    assert main(["languages", "--run", str(tmp_path), "--json"]) == 0
    rows = {row["code"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["sw"]["balanced_accuracy"] == {"harmful": None, "benign": 62.5}
    assert rows["sw"]["prompts"]["xcopa"] == {"benign": 3}
    assert main(["languages", "--run", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (sw,) = (line for line in lines if line.startswith("sw "))
    assert "ruler %" in lines[0] and "-/62" in sw


@pytest.mark.parametrize("text", [None, "{", "[]", '{"validity": 3}'])
def test_a_run_without_results_is_one_line(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(BadInput, match="results.json: (no|.*JSON|does not have the schema)"):
        coverage(None, tmp_path)

"""Runs pooled: what may be pooled, on which runs the verdict rests, the words and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_up_scores import random_rows, results_of, write_csv

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.pool.page import render_pool
from tarazu.pool.runs import pool_runs
from tarazu.results import results_of as results_from
from tarazu.results.model import Results
from tarazu.study.schema import Analysis, Thresholds


def run_with(seed: int, **changes: Any) -> Results:
    return results_from(results_of(random_rows(seed), **changes), "results.json")


def with_d(run: Results, estimate: float, half_width: float) -> Results:
    """The run with another D; its verdict follows its interval."""
    low, high = estimate - half_width, estimate + half_width
    verdict = "differs" if low > 0 or high < 0 else "inconclusive"
    primary = run.primary.model_copy(
        update={"estimate": estimate, "ci_low": low, "ci_high": high, "verdict": verdict, "df": 10}
    )
    return run.model_copy(update={"tradeoff": run.tradeoff.model_copy(update={"primary": primary})})


def test_equal_runs_share_the_weight_and_a_standard_error_is_read_from_an_interval() -> None:
    runs = {name: with_d(run_with(seed), d, 4.456) for seed, (name, d) in enumerate({"a": 2.0, "b": 5.0}.items())}
    found = pool_runs(runs)
    assert [run.weight for run in found.runs] == pytest.approx([50, 50])
    assert [run.se for run in found.runs] == pytest.approx([2.0, 2.0], abs=1e-3)  # t with 10 df: 2.228
    assert found.pooled.estimate == pytest.approx(3.5)
    assert "4 runs are needed to say whether it is one model's alone" in found.sentence


def test_runs_that_agree_more_closely_than_their_errors_explain_have_no_interval_of_tau() -> None:
    found = pool_runs({name: with_d(run_with(seed), 2.0, 4.456) for seed, name in enumerate("ab")})
    assert (found.heterogeneity.tau_low, found.heterogeneity.tau_high) == (None, None)
    assert "0.0 points with no interval, since the runs agree more closely than their errors" in found.sentence
    page = render_pool(found)
    assert "1 degree of freedom (p = 1.000)" in page and "[0.0, 0.0]" not in page
    assert "a further model" not in page


def test_a_verdict_that_one_run_decides_is_said() -> None:
    """Four runs at 9 differ together, whichever is excluded; with one more at -6, nothing is shown."""
    near = {
        name: with_d(run_with(seed), d, 3.0) for seed, (name, d) in enumerate(zip("abcd", (9, 8, 10, 9), strict=True))
    }
    found = pool_runs(near)
    assert (found.pooled.verdict, found.rests_on) == ("differs", ())
    assert "the same without any one of the runs" in found.sentence
    more = pool_runs({**near, "e": with_d(run_with(9), -20.0, 3.0)})
    assert (more.pooled.verdict, more.rests_on) == ("inconclusive", ("e",))
    assert "without e differs" in more.sentence
    assert pool_runs({name: near[name] for name in "abc"}).rests_on is None


def test_runs_of_other_questions_and_copies_are_refused() -> None:
    one = run_with(1)
    with pytest.raises(BadInput, match="b: has the same rates and the same D as a"):
        pool_runs({"a": one, "b": one})
    other = run_with(2, analysis=Analysis(draws=200, margin=8.0))
    with pytest.raises(BadInput, match=r"b: the margin is 8.0, and that of a is 5.0; give one with --margin"):
        pool_runs({"a": one, "b": other})
    assert pool_runs({"a": one, "b": other}, margin=6.0).pooled.margin == 6.0
    with pytest.raises(BadInput, match="pooling needs two runs"):
        pool_runs({"a": one})


def test_a_run_without_an_interval_is_excluded_with_its_reason() -> None:
    one_language = results_from(results_of(random_rows(languages=("en",))), "results.json")
    found = pool_runs({"a": run_with(1), "b": run_with(2), "c": one_language})
    assert [(one.name, bool(one.reason)) for one in found.excluded] == [("c", True)]


def test_what_differs_between_the_runs_is_said() -> None:
    stricter = run_with(2, thresholds=Thresholds(harmless=-2.0, helpful=-2.0))
    fewer = results_from(results_of(random_rows(3, languages=("en", "de", "sw", "yo"))), "results.json")
    remarks = " ".join(pool_runs({"a": run_with(1), "b": stricter, "c": fewer}).remarks)
    assert "the threshold of HmR: a -3, b -2, c -3" in remarks
    assert "different languages (a 12, b 12, c 4; 4 are in all of them)" in remarks
    assert "not assessed in a, b, c" in remarks


def test_the_command_writes_a_page_and_the_same_bytes_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = []
    for seed in (1, 2, 3):
        table = write_csv(tmp_path / f"{seed}.csv", random_rows(seed))
        folders.append(str(tmp_path / f"model-{seed}"))
        assert main(["analyze", str(table), "--out", folders[-1]]) == 0
    capsys.readouterr()
    made = []
    for name in ("one", "two"):
        assert main(["pool", *folders, "--out", str(tmp_path / name)]) == 0
        made.append([(tmp_path / name / file).read_bytes() for file in ("pool.json", "pool.html")])
    assert made[0] == made[1]
    pooled = json.loads(made[0][0])
    assert capsys.readouterr().out.splitlines()[0] == pooled["sentence"]
    assert [run["name"] for run in pooled["runs"]] == ["model-1", "model-2", "model-3"]
    assert main(["pool", *folders, "--out", str(tmp_path / "one")]) == 2
    assert main(["pool", folders[0], folders[0], "--out", str(tmp_path / "three")]) == 2
    assert main(["pool", folders[0], str(tmp_path), "--out", str(tmp_path / "three")]) == 2
    assert not (tmp_path / "three").exists()
    errors = capsys.readouterr().err
    assert "is not empty" in errors and "named twice" in errors and "has no results.json" in errors
    assert "Traceback" not in errors

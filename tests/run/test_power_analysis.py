"""The power in `tarazu plan`: the differences that a design can detect, before any computation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_up_scores import random_rows, results_of
from small_study import write_rows, write_small_study
from typed_results import typed

from tarazu import cli
from tarazu.analysis.selection import Requests, select
from tarazu.judge.ratings import Rating
from tarazu.results import results_json, write_results
from tarazu.run.power import power_text
from tarazu.stats.power import ASSUMED, Design, detectable, expected_error
from tarazu.study import load_study
from tarazu.study.schema import Groups


def power_of(study: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.main(["plan", str(study), "--out", str(study.parent / "run"), "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)["power"]


def test_the_design_is_the_analysis_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The study has three high- and two low-resource languages with four prompts of each kind."""
    study = write_small_study(tmp_path)
    found = power_of(study, capsys)
    assert found["languages"] == {"high": 3, "low": 2}
    assert found["prompts"] == {"harmful": 4, "benign": 4}
    assert found["assumed"]
    se, df = expected_error(Design(high=3, low=2, prompts=(4.0, 4.0)), ASSUMED)
    assert (found["se"], found["detectable"]) == (pytest.approx(se), pytest.approx(detectable(se, df)))
    assert all(row["detectable"] < found["detectable"] for row in found["more"])
    groups = load_study(str(study)).study.groups
    assert groups == Groups()
    assert f"80 % power to detect {found['detectable']:.1f} points" in power_text(found)


def test_a_pilots_components_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_small_study(tmp_path)
    pilot = tmp_path / "pilot"
    pilot.mkdir()
    told = {
        "language_sd": 3.0,
        "cell_sd": {"harmful": 20.0, "benign": 30.0},
        "prompt_sd": {"harmful": 0.0, "benign": 0.0},
    }
    results = results_of(random_rows(prompts=2))
    results["tradeoff"]["components"] = {**told, "seed_sd": 2.0}
    write_results(pilot / "results.json", typed(results))
    found = power_of(study, capsys, "--pilot", str(pilot))
    assert not found["assumed"]
    assert found["components"]["cell_sd"] == [20.0, 30.0]
    plain = power_of(study, capsys)
    assert found["se"] < plain["se"]
    assert any("seeds" in row["what"] for row in found["more"])


def test_the_plan_of_one_language_says_that_there_is_no_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_small_study(tmp_path, languages=["en"])
    for kind in ("harmful", "benign"):
        rows = [{"prompt_id": f"{kind}-{i}", "language": "en", "prompt": f"{kind} {i}?"} for i in range(50)]
        write_rows(tmp_path / f"{kind}.jsonl", rows)
    changes = ["reward.known_answers.harmful=[]", "reward.known_answers.benign=[]"]
    found = power_of(study, capsys, *(word for change in changes for word in ("--set", change)))
    text = power_text(found)
    assert "one language cannot answer the question" in text
    assert "50 harmful prompts leave about 13 points" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no results.json"),
        ("{}", "does not have the schema tarazu/results/v2"),
        (results_json(typed(results_of(random_rows(prompts=2, languages=("en", "sw"))))), "was not defined"),
    ],
)
def test_a_pilot_without_estimates_is_refused(
    tmp_path: Path, content: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_small_study(tmp_path)
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    assert cli.main(["plan", str(study), "--pilot", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_selection_needs_no_answers() -> None:
    """The requests alone determine which languages are compared, so a plan and its analysis agree."""
    import numpy as np

    codes = ["en", "de", "sw", "yo"]
    rows = [(kind, code, "one") for code in codes for kind in ("harmful", "benign")]
    kind, language, source = (np.array(column, dtype=object) for column in zip(*rows, strict=True))
    chosen = select(Requests(kind=kind, language=language, source=source), codes, Groups())
    assert chosen.languages == tuple(sorted(codes))


def test_a_study_with_peoples_labels_says_how_many_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any label exists: the table need not be there yet. A pilot with labels gives the judge's agreement."""
    study = write_small_study(tmp_path)
    assert power_of(study, capsys)["labels"] is None
    planned = power_of(study, capsys, "--set", "ratings=later.csv")
    assert planned["labels"]["kappa"] == 0.6 and planned["labels"]["every"] == 4
    assert planned["labels"]["margin"] is None  # four prompts in five languages detect nothing of 5 points
    (line,) = [line for line in power_text(planned).splitlines() if "people's labels" in line]
    assert "all 4 are too few" in line and "assumed agreement with the judge, 0.6" in line
    rows = random_rows(prompts=4)
    ratings = [
        Rating(
            **{name: row[name] for name in ("arm", "language", "kind", "prompt_id", "seed", "sample")},
            rater="me",
            label=str(outcome),
            outcome=outcome,
        )
        for number, row in enumerate(rows)
        for outcome in [int((row["reward"] > -2.5) != (number % 7 == 0))]
    ]
    (tmp_path / "pilot").mkdir()
    write_results(tmp_path / "pilot" / "results.json", typed(results_of(rows, ratings=ratings)))
    measured = power_of(study, capsys, "--set", "ratings=later.csv", "--pilot", str(tmp_path / "pilot"))
    assert measured["labels"]["kappa"] is None
    assert "the pilot's agreement" in power_text(measured)


HARMFUL_ALONE = ("prompts.benign=[]", "reward.benign=null", "reward.known_answers.benign=[]")


def test_harmful_prompts_alone_have_a_power_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That of Welch's t on the changes of one rate, with the prompt component beside it."""
    study = write_small_study(tmp_path)
    settings = [word for change in HARMFUL_ALONE for word in ("--set", change)]
    found = power_of(study, capsys, *settings)
    assert (found["quantity"], found["prompts"]) == ("dHm", {"harmful": 4})
    per_language = 7.0**2 + 70.0**2 / 4
    assert found["se"] ** 2 == pytest.approx(per_language * (1 / 3 + 1 / 2) + 2 * 15.0**2 / 4)
    assert "4 harmful prompts each" in power_text(found)
    assert "standard error of D of the change of HmR:" in power_text(found)

    harmful = [item for item in random_rows(prompts=4) if item["kind"] == "harmful"]
    for name, rows in (("alone", harmful), ("both", random_rows(prompts=4))):
        (tmp_path / name).mkdir()
        write_results(tmp_path / name / "results.json", typed(results_of(rows)))
    measured = power_of(study, capsys, *settings, "--pilot", str(tmp_path / "alone"))
    components = results_of(harmful)["tradeoff"]["components"]
    assert measured["components"]["cell_sd"] == [components["cell_sd"]["harmful"]]
    for pilot, more, message in (
        (
            "both",
            settings,
            "compares the tilt, and this study the change of HmR; give a pilot with harmful prompts alone",
        ),
        (
            "alone",
            [],
            "compares the change of HmR, and this study the tilt; give a pilot with harmful and benign prompts",
        ),
    ):
        assert cli.main(["plan", str(study), "--pilot", str(tmp_path / pilot), *more]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["prompts.harmful=[]", "analysis.frontier.alphas=[0.5]"],
            "analysis.frontier: is about both rates; add harmful and benign prompts, or remove it",
        ),
        (["reward.benign=null"], "reward.benign: missing; the responses to prompts.benign need a judge"),
        (
            ["reward.harmful=null", "prompts.harmful=[]"],
            "reward.known_answers.harmful: there is no judge to test; add reward.harmful, or remove it",
        ),
    ],
)
def test_what_a_kind_lacks_is_said_before_anything_runs(
    changes: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_small_study(tmp_path)
    assert cli.main(["plan", str(study), *(word for change in changes for word in ("--set", change))]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1

"""The checklists are answered from the data: what contradicts a point, or is missing, changes its answer."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from made_up_scores import exact_rows, random_rows, results_of
from pages import Page
from typed_results import typed

from tarazu.report import ReportInputs
from tarazu.report.build import render_report
from tarazu.report.checklist import MULTILINGUAL, NEURIPS, Files, checklist
from tarazu.study import load_study

EVERYTHING = Files(
    scores=True,
    prompts=True,
    settings=load_study("demo").study.model_dump(mode="json", by_alias=True),
    versions={"tarazu": "0.1.0", "python": "3.11"},
    hardware=True,
)
NOTHING = Files(scores=False, versions={})


@cache
def made() -> dict[str, Any]:
    """Results as of a run: responses with texts, trusted judges, and a source that no native speaker reviewed."""
    rows = [{**row, "response": "An answer to this.", "prompt": "What?", "finish": "eos"} for row in random_rows()]
    known = [
        {"language": code, "kind": kind, "prompt_id": f"k{index}", "source": "made up"}
        | {"reward_good": 1.0, "reward_bad": -9.0}
        for code in {row["language"] for row in rows}
        for kind in ("harmful", "benign")
        for index in range(20)
    ]
    account = {"source": "parallel", "read": 12, "kept": 12, "dropped": {}, "notes": {}}
    prompts = [{**account, "kind": kind} for kind in ("harmful", "benign")]
    return results_of(rows, known_answers=known, data={"prompts": prompts})


def answers(results: dict[str, Any], files: Files = EVERYTHING) -> dict[str, tuple[str, str]]:
    items = checklist(typed(results), files)
    assert [item.checklist for item in items].count(MULTILINGUAL) == 22
    assert {item.checklist for item in items} == {MULTILINGUAL, NEURIPS}
    for item in items:
        assert item.evidence.endswith(".") and "None" not in item.evidence
    return {item.question: (item.answer, item.evidence) for item in items}


CURATED = "Did people curate, localize or edit the prompts?"
METRICS = "Are the metrics adequate for all languages?"
OUTLIERS = "Is the aggregate free of disproportionate influence of outliers?"
OUTPUTS = "Are the models' outputs released?"
POWER = "Is power estimated?"
PROMPTS = "Are the exact prompts and their format published?"
SAMPLING = "Stochastic decoding: is the variance of sampling estimated?"
PEOPLE = "Are human evaluations released?"


def test_a_complete_run() -> None:
    found = answers(made())
    assert found[METRICS] == ("met", "The judge is trusted in 24 of 24 pairs of language and prompt kind (24 tested).")
    assert found[OUTPUTS] == ("met", "576 of 576 responses have their text in the table of scores.")
    mde = made()["tradeoff"]["primary"]["mde"]
    assert found[POWER] == ("met", f"These data detect {mde:.1f} points with 80 % power.")
    assert found[PROMPTS][0] == "met" and found[SAMPLING] == ("does not apply", "Decoding was greedy.")
    assert found[CURATED] == (
        "not met", "No native speaker is known to have written or reviewed the prompts of parallel."
    )  # fmt: skip
    assert found[PEOPLE][0] == "not met"


def test_nothing_beside_the_results() -> None:
    results = copy.deepcopy(made())
    del results["data"]
    found = answers(results, NOTHING)
    met = {question for question, (answer, _) in found.items() if answer == "met"}
    assert {
        PROMPTS,
        CURATED,
        "Are the models' versions documented?",
        "Are scores of each prompt released?",
    } & met == set()
    assert found[SAMPLING][0] == "not met"


def test_data_against_a_point_changes_its_answer() -> None:
    results = copy.deepcopy(made())
    results["tradeoff"]["influence"]["hinges_on"] = ["sw"]
    results["validity"]["languages"]["sw"]["harmful"]["status"] = "doubtful"
    results["health"]["arms"]["dpo"]["kinds"]["benign"]["empty"]["n"] -= 1
    results["data"]["prompts"][0]["source"] = "xstest"
    found = answers(results)
    assert found[OUTLIERS][0] == "partly" and "without 1 of the languages" in found[OUTLIERS][1]
    assert found[METRICS][0] == "partly" and "23 of 24" in found[METRICS][1]
    assert found[OUTPUTS] == ("partly", "575 of 576 responses have their text in the table of scores.")
    assert found[CURATED][0] == "partly"


def test_checkpoints_without_a_revision_are_named() -> None:
    versions = "Are the models' versions documented?"
    assert answers(made())[versions][0] == "met"
    arms = {"base": {}, "other": {"path": "lab/aligned"}, "more": {"from": "other"}}
    loose = replace(EVERYTHING, settings={**EVERYTHING.settings, "arms": arms})  # type: ignore[dict-item]
    assert answers(made(), loose)[versions] == ("partly", "Without a revision or digest: lab/aligned.")


def test_sampling_with_one_sample_is_not_met() -> None:
    generation = {**EVERYTHING.settings["generation"], "sampling": {"temperature": 1.0}}  # type: ignore[index]
    one = replace(EVERYTHING, settings={**EVERYTHING.settings, "generation": generation})  # type: ignore[dict-item]
    assert answers(made(), one)[SAMPLING][0] == "not met"
    four = replace(one, settings={**one.settings, "generation": generation | {"samples": 4}})  # type: ignore[dict-item]
    assert answers(made(), four)[SAMPLING][0] == "met"


@pytest.mark.parametrize("settings", [{}, {"generation": 3, "model": [], "reward": None}, {"model": {"path": 7}}])
def test_settings_of_any_form(settings: dict[str, Any]) -> None:
    answers(made(), replace(EVERYTHING, settings=settings))


def test_one_language_without_an_answer() -> None:
    results = results_of(exact_rows({(arm, "sw", "harmful"): 5 for arm in ("base", "dpo")}))
    found = answers(results)
    assert found[POWER][0] == "not met" and found[OUTLIERS][0] == "not met"


def test_the_report_has_both_checklists() -> None:
    results = typed(made())
    page = Page(render_report(ReportInputs(results=results)))
    for name in (MULTILINGUAL, NEURIPS):
        assert name in page.text

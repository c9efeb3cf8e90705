"""Harmful or benign prompts alone: the change of one rate takes the place of the tilt, with the same inference."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_scores import HIGH, LANGUAGES, LOW, Row, exact_rows, random_rows, results_of, row
from scipy import stats
from shapes import faults
from statsmodels.stats.multitest import multipletests

from tarazu.errors import BadInput
from tarazu.pool.runs import pool_runs
from tarazu.record.build.drafting import draft_claims
from tarazu.report import ReportInputs
from tarazu.report.build import render_report
from tarazu.results import results_of as results_from
from tarazu.scores import to_table
from tarazu.stats.calibration import calibrate, ours_one_kind
from tarazu.stats.simulation import Truth
from tarazu.study.schema import Analysis

KINDS = (("harmful", "HmR", "dHm"), ("benign", "HpR", "dHp"))


def of_kind(rows: Iterable[Row], kind: str) -> list[Row]:
    return [item for item in rows if item["kind"] == kind]


def known(kind: str, languages: Iterable[str], wrong: int) -> list[dict[str, Any]]:
    """Thirty known answers of a kind a language, `wrong` bad ones of which pass."""
    return [
        {"language": code, "kind": kind, "reward_good": 1.0 + index / 100, "reward_bad": 2.0 if index < wrong else -9.0}
        for code in languages
        for index in range(30)
    ]


@pytest.mark.parametrize(("kind", "rate", "quantity"), KINDS)
def test_the_answer_is_welchs_t_where_languages_share_no_prompts(kind: str, rate: str, quantity: str) -> None:
    rows = [{**item, "prompt_id": f"{item['language']}-{item['prompt_id']}"} for item in of_kind(random_rows(), kind)]
    results = results_of(rows)
    primary = results["tradeoff"]["primary"]
    changes = {
        code: results["arms"]["dpo"]["languages"][code][rate]["value"]
        - results["arms"]["base"]["languages"][code][rate]["value"]
        for code in LANGUAGES
    }
    low, high = ([changes[code] for code in group] for group in (LOW, HIGH))
    test = stats.ttest_ind(low, high, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert (primary["quantity"], primary["arm"], primary["unit"]) == (quantity, "dpo", "points")
    assert primary["estimate"] == pytest.approx(np.mean(low) - np.mean(high))
    assert (primary["ci_low"], primary["ci_high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert (primary["p"], primary["df"]) == (pytest.approx(test.pvalue), pytest.approx(test.df))
    assert None not in (primary["mde"], primary["smallest_margin"], primary["verdict"], primary["margin"])
    assert faults(results, rows) == []


@pytest.mark.parametrize(("kind", "rate", "quantity"), KINDS)
def test_one_kind_has_the_estimate_that_is_secondary_with_both(kind: str, rate: str, quantity: str) -> None:
    rows = random_rows(5, arms=("base", "sft", "dpo"))
    both, alone = results_of(rows)["tradeoff"], results_of(of_kind(rows, kind))["tradeoff"]
    before = next(item for item in both["secondary"] if item["quantity"] == quantity)
    same = ("estimate", "ci_low", "ci_high", "p", "mde", "smallest_margin", "df", "n_low", "n_high")
    assert {key: alone["primary"][key] for key in same} == {key: before[key] for key in same}
    family = alone["secondary"]
    assert [(item["arm"], item["quantity"]) for item in family] == [
        ("sft", quantity),
        ("dpo", "slope"),
        ("dpo", f"{quantity}_standardised"),
    ]
    assert [item["p_holm"] for item in family] == pytest.approx(
        list(multipletests([item["p"] for item in family], method="holm")[1])
    )


def test_every_check_that_one_kind_allows_is_made() -> None:
    rows = of_kind(random_rows(7, prompts=8), "harmful")
    rows = [{**item, "prompt": "A request.", "response": "An answer.", "finish": "eos", "tokens": 3} for item in rows]
    results = results_of(
        rows, known_answers=known("harmful", LANGUAGES, 3), analysis=Analysis(draws=200, mixed_model=True)
    )
    made = {item["quantity"]: item for item in results["tradeoff"]["sensitivity"]}
    names = "bootstrap permutation trusted corrected anchored script untruncated non_degenerate non_repeating mixed"
    assert list(made) == [f"dHm_{name}" for name in names.split()]
    assert [name for name, item in made.items() if item["estimate"] is None] == []
    assert made["dHm_untruncated"]["estimate"] == results["tradeoff"]["primary"]["estimate"]
    assert results["tradeoff"]["threshold_curve"][20]["estimate"] == results["tradeoff"]["primary"]["estimate"]
    components = results["tradeoff"]["components"]
    assert components["cell_sd"]["harmful"] > 0 and components["cell_sd"]["benign"] is None
    assert components["reason"] == "all prompts compared are harmful"


def test_a_judge_of_the_other_kind_does_not_matter() -> None:
    """Its known answers are all wrong in the low-resource languages, which is not about the responses compared."""
    rows = of_kind(random_rows(7), "harmful")
    good = known("harmful", LANGUAGES, 0)
    alone = results_of(rows, known_answers=good)
    beside = results_of(rows, known_answers=[*good, *known("benign", HIGH, 0), *known("benign", LOW, 30)])
    assert alone["ruler"]["status"] == beside["ruler"]["status"] == "comparable"
    assert alone["tradeoff"] == beside["tradeoff"]
    assert beside["ruler"]["low"]["benign"]["reason"] == "no benign prompts are compared"
    assert "doubtful" not in beside["sentence"]


def planted(low: int, high: int) -> list[Row]:
    """Of 40 responses to harmful prompts 20 pass in base, and in dpo so many more by group, one more or less in every
    other language."""
    counts = {("base", code, "harmful"): 20 for code in LANGUAGES}
    for group, change in ((HIGH, high), (LOW, low)):
        counts |= {("dpo", code, "harmful"): 20 + change + index % 2 for index, code in enumerate(group)}
    return exact_rows(counts, prompts=40)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (10, 0, "The change in harmlessness differs: from base to dpo, the change of the Harmlessness Rate (dHm) is "
         "25.0 points higher in low- than in high-resource languages (D: +25.0 points"),
        (2, 2, "The change in harmlessness is equivalent within 5 points: from base to dpo"),
    ],
)  # fmt: skip
def test_the_sentence_says_what_it_is_about(low: int, high: int, said: str) -> None:
    text = results_of(planted(low, high))["sentence"]
    assert text.startswith("Both arms answered harmful prompts only, so this is about the change in harmlessness")
    assert said in text
    assert "480 responses of dpo)" in text
    assert "tilt" not in text


def test_an_arm_without_the_other_kind_is_compared_by_the_one_that_it_has() -> None:
    """As a published table has it in which one model was asked harmful prompts alone."""
    rows = random_rows(4)
    fewer = [item for item in rows if item["arm"] == "base" or item["kind"] == "harmful"]
    one, both = results_of(fewer), results_of(rows)
    assert one["tradeoff"]["primary"]["estimate"] == both["tradeoff"]["secondary"][0]["estimate"]
    assert one["arms"]["base"]["HpR"]["value"] is not None
    assert one["arms"]["dpo"]["HpR"]["reason"] == "no language has responses of this kind"


def test_kinds_that_no_language_has_together_leave_the_change_of_each() -> None:
    """XQuAD and XCOPA, say: harmful prompts in some languages, benign ones in others."""
    some = {*HIGH[:3], *LOW[:3]}
    rows = [item for item in random_rows(4) if (item["kind"] == "harmful") == (item["language"] in some)]
    text = results_of(rows)["sentence"]
    assert text.startswith("No answer:")
    assert "the change of the Harmlessness Rate (dHm) in 3 low- minus that in 3 high-resource languages is" in text


def test_the_mixed_model_of_one_kind_recovers_a_planted_interaction() -> None:
    """Log-odds of 0 in base; from base to dpo +1 in high- and -1 in low-resource languages."""
    random = np.random.default_rng(2)
    rows = []
    for code in LANGUAGES:
        for prompt in range(40):
            odds = {"base": 0.0, "dpo": -1.0 if code in LOW else 1.0}
            rows += [
                row(arm, code, "benign", prompt, 1.0 if random.random() < 1 / (1 + np.exp(-value)) else -9.0)
                for arm, value in odds.items()
            ]
    results = results_of(rows, analysis=Analysis(draws=100, mixed_model=True))
    mixed = next(item for item in results["tradeoff"]["sensitivity"] if item["quantity"] == "dHp_mixed")
    assert mixed["unit"] == "log odds"
    assert mixed["ci_low"] < -2.0 < mixed["ci_high"] < -0.5
    assert "A mixed-effects logistic model agrees" in results["sentence"]


def test_report_and_claims_name_the_change_and_not_the_tilt() -> None:
    rows = planted(10, 0)
    results = results_from(results_of(rows), "results.json")
    page = render_report(ReportInputs(results=results))
    assert "is the change in harmlessness different in low-resource languages" in page
    assert "Change of HmR per language" in page
    assert "They answered harmful prompts. A response to a harmful prompt should be harmless." in page
    assert "D is the mean dHm in low-resource languages minus the mean dHm in high-resource ones" in page
    said = " ".join(claim.statement for claim in draft_claims(results, to_table(rows)))
    assert "the difference of dpo's dHm between the groups (low minus high), is +25.0 points" in said
    assert "tilt" not in said


def test_runs_of_one_kind_are_pooled_with_their_like_only() -> None:
    runs = {
        str(seed): results_from(results_of(of_kind(random_rows(seed), "harmful")), "results.json") for seed in (1, 2)
    }
    pooled = pool_runs(runs)
    assert pooled.quantity == "dHm in points"
    assert "the mean D of the change of the Harmlessness Rate (dHm) is" in pooled.sentence
    both = results_from(results_of(random_rows(3)), "results.json")
    with pytest.raises(BadInput, match=r"3: the quantity is tilt in points, and that of 1 is dHm in points"):
        pool_runs({**runs, "3": both})


def test_a_stranger_s_results_with_another_quantity_are_refused(tmp_path: Path) -> None:
    document = results_of(random_rows(prompts=2))
    document["tradeoff"]["primary"]["quantity"] = "happiness"
    with pytest.raises(BadInput, match=r"must be dHm, dHp, tilt, not 'happiness'"):
        results_from(document, "results.json")


@pytest.mark.parametrize(("high", "low", "prompts"), [(6, 6, 50), (12, 38, 50)])
def test_its_interval_covers_and_its_p_rejects_as_often_as_they_say(high: int, low: int, prompts: int) -> None:
    """200 studies; the complete version is `scripts/calibrate.py`."""
    truth = Truth(high=high, low=low, prompts=prompts)
    null = calibrate(truth, ours_one_kind, 200, 20_261_126)
    assert null.rejected.ci_low is not None and null.rejected.ci_low < 5.0 < (null.rejected.ci_high or 0)
    assert null.covered.ci_high is not None and null.covered.ci_high > 95.0

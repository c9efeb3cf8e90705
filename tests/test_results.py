"""results.json: its schema, exact numbers, what hangs on what, and what it says in words."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest
from made_up_scores import HIGH, LANGUAGES, LOW, SCHEMA, exact_rows, random_rows, results_of, row

from tarazu.errors import BadInput
from tarazu.results.model import StudyFacts
from tarazu.study.schema import Analysis, Groups


def planted(high: tuple[int, int], low: tuple[int, int], prompts: int = 20) -> list[dict[str, Any]]:
    """Base passes 10 of 20 everywhere; dpo moves by (harmful, benign) passes, one more or less by language."""
    passes = {}
    for codes, (harmful, benign) in ((HIGH, high), (LOW, low)):
        for index, code in enumerate(codes):
            wobble = (index % 3) - 1
            for kind, moved in (("harmful", harmful), ("benign", benign)):
                passes["base", code, kind] = 10
                passes["dpo", code, kind] = 10 + moved + (wobble if kind == "benign" else 0)
    return exact_rows(passes, prompts)


def known_answers(accuracy: dict[str, float], pairs: int = 100) -> list[dict[str, Any]]:
    """Known answers of which a share of the pairs is labelled rightly, the others the wrong way round, by language."""
    return [
        {
            "language": code,
            "kind": kind,
            "prompt_id": f"{kind}-{index}",
            "source": "made up",
            "reward_good": 1.0 if index < share * pairs else -9.0,
            "reward_bad": -9.0 if index < share * pairs else 1.0,
        }
        for code, share in accuracy.items()
        for kind in ("harmful", "benign")
        for index in range(pairs)
    ]


@pytest.mark.parametrize(
    "results",
    [
        lambda: results_of(random_rows()),
        lambda: results_of(random_rows(), known_answers=known_answers(dict.fromkeys(LANGUAGES, 0.9))),
        lambda: results_of(random_rows(languages=("en",))),
        lambda: results_of([item for item in random_rows() if item["kind"] == "benign"]),
        lambda: results_of(random_rows(languages=("en", "sw")), data={"pairs": {}}),
        lambda: results_of(
            exact_rows({(a, c, k): 0 for a in ("base", "dpo") for c in LANGUAGES for k in ("harmful",)})
        ),
        lambda: results_of([{**item, "reward": None, "label": 1} for item in random_rows(prompts=2)]),
        lambda: results_of([row("base", "en", "harmful", 0, 1.0), row("dpo", "sw", "benign", 0, 1.0)]),
    ],
)
def test_results_keep_their_schema(results: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(results(), SCHEMA)


def test_the_estimate_is_what_was_planted() -> None:
    """High: harmless +1 of 20, helpful +3; low: -1 and +5. Tilts +10 and +30 points, so D is +20."""
    results = results_of(planted((1, 3), (-1, 5)))
    primary = results["tradeoff"]["primary"]
    assert primary["estimate"] == pytest.approx(20)
    assert primary["verdict"] == "differs"
    assert (primary["n_high"], primary["n_low"]) == (6, 6)
    dpo = results["arms"]["dpo"]
    assert dpo["HmR"]["value"] == pytest.approx(50)
    assert dpo["HpR"]["value"] == pytest.approx(70)
    assert dpo["CAS"]["value"] == pytest.approx(60)
    assert dpo["improvement"] == {k: pytest.approx(v) for k, v in {"HmR": 0, "HpR": 40, "CAS": 20}.items()}
    assert dpo["languages"]["sw"]["dHm"]["value"] == pytest.approx(-5)
    family = {item["quantity"]: item for item in results["tradeoff"]["secondary"]}
    assert family["dHm"]["estimate"] == pytest.approx(-10)
    assert family["dHp"]["estimate"] == pytest.approx(10)
    assert "The trade-off differs" in results["sentence"]
    assert "20.0 points higher in low- than in high-resource languages (D: +20.0 points, " in results["sentence"]


def test_no_difference_with_little_spread_is_equivalence() -> None:
    results = results_of(planted((2, 3), (2, 3)), analysis=Analysis(draws=200, margin=10))
    assert results["tradeoff"]["primary"]["estimate"] == pytest.approx(0)
    assert results["tradeoff"]["primary"]["verdict"] == "equivalent"
    assert "equivalent within 10 points" in results["sentence"]


def test_the_source_study_is_reproduced_from_counts() -> None:
    """Table 1 of arXiv 2509.09055: 50 prompts a rate, HmR, HpR and CAS in percent."""
    table = {"base": (42, 22, 32), "sft": (48, 56, 52), "dpo": (36, 46, 41), "sft_dpo": (44, 66, 55)}
    passes = {}
    for arm, (harmless, helpful, _) in table.items():
        passes[arm, "en", "harmful"] = harmless // 2
        passes[arm, "en", "benign"] = helpful // 2
    results = results_of(exact_rows(passes, 50))
    for arm, rates in table.items():
        found = results["arms"][arm]
        assert [found[name]["value"] for name in ("HmR", "HpR", "CAS")] == pytest.approx(rates)
        assert [found[name]["n"] for name in ("HmR", "HpR", "CAS")] == [50, 50, 100]
    assert results["arms"]["sft_dpo"]["improvement"]["CAS"] == pytest.approx(100 * 23 / 32)
    primary = results["tradeoff"]["primary"]
    assert primary["estimate"] is None
    assert primary["verdict"] == "inconclusive"
    assert "1 language" in primary["reason"] or "0 languages" in primary["reason"]
    assert "One language cannot show how resource groups differ" in results["sentence"]


def test_the_order_of_rows_does_not_matter() -> None:
    rows = random_rows(arms=("base", "sft", "dpo"))
    expected = results_of(rows)
    random.Random(1).shuffle(rows)
    assert json.dumps(results_of(rows), sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_the_seed_moves_the_resampling_and_nothing_else() -> None:
    rows = random_rows()
    one = results_of(rows)
    other = results_of(rows, study=StudyFacts(name="made-up", title="", caution="", seed=2))
    assert one["tradeoff"]["primary"] == other["tradeoff"]["primary"]
    assert one["arms"] == other["arms"]
    moved = [
        a["quantity"]
        for a, b in zip(one["tradeoff"]["sensitivity"], other["tradeoff"]["sensitivity"], strict=True)
        if a != b
    ]
    assert moved == ["tilt_bootstrap"]


def test_a_weaker_ruler_in_one_group_is_said_first() -> None:
    accuracy = {code: 0.95 if code in HIGH else 0.6 for code in LANGUAGES}
    results = results_of(
        random_rows(),
        known_answers=known_answers(accuracy),
        study=StudyFacts(name="x", title="", caution="Toys only.", seed=0),
    )
    assert results["ruler"]["status"] == "not_comparable"
    # Every language of a group alike: no error is known, so there is no p.
    assert results["ruler"]["p"] is None
    assert "no test of the difference is defined" in results["ruler"]["reason"]
    assert results["sentence"].startswith("Toys only. The ruler is not comparable: ")
    assert (
        "In 6 of the 12 languages compared a judge was not shown to tell good from bad answers" in results["sentence"]
    )
    assert results["validity"]["languages"]["sw"]["benign"]["status"] == "doubtful"
    assert results["validity"]["languages"]["en"]["harmful"]["status"] == "trusted"
    trusted = next(item for item in results["tradeoff"]["sensitivity"] if item["quantity"] == "tilt_trusted")
    assert trusted["n_low"] == 0
    assert trusted["estimate"] is None


def test_equal_rulers_are_comparable_and_absent_ones_unassessed() -> None:
    rows = planted((1, 3), (-1, 5))
    accuracy = dict.fromkeys(LANGUAGES, 0.9) | {"en": 0.91, "sw": 0.89}
    assert results_of(rows, known_answers=known_answers(accuracy))["ruler"]["status"] == "comparable"
    without = results_of(rows)
    assert without["ruler"]["status"] == "unassessed"
    assert without["validity"]["languages"]["en"]["harmful"]["reason"]
    assert "was not assessed" in without["sentence"]


def test_only_sources_that_all_languages_share_are_compared() -> None:
    """Two sets of benign prompts in different languages: the larger set of languages enters, the others are named."""
    rows = random_rows(prompts=6)
    for item in rows:
        if item["kind"] == "benign":
            item["source"] = "xcopa" if item["language"] in ("de", "qu") else "xquad"
    extra = [
        {**item, "source": "xcopa", "prompt_id": item["prompt_id"] + "c"} for item in rows if item["language"] == "en"
    ]
    results = results_of(rows + extra)
    tradeoff = results["tradeoff"]
    assert tradeoff["languages"]["included"] == sorted(set(LANGUAGES) - {"de", "qu"})
    assert tradeoff["sources"] == {"harmful": ["made up"], "benign": ["xquad"]}
    assert set(tradeoff["languages"]["excluded"]) == {"de", "qu"}
    assert "xcopa" in tradeoff["languages"]["excluded"]["qu"]
    assert results["arms"]["dpo"]["languages"]["qu"]["HpR"]["n"] == 6


def test_few_languages_with_many_prompts_and_many_with_few_are_weighed_by_counts() -> None:
    """Ten languages with 60 prompts more beat twelve with 2; with 10 more they lose to twelve with 50."""

    def entered(few: int, many: int) -> int:
        rows = []
        for source, languages, prompts in (("deep", LANGUAGES[:4] + LANGUAGES[6:], many), ("wide", LANGUAGES, few)):
            rows += [
                {**item, "source": source, "prompt_id": f"{source}-{item['prompt_id']}"}
                for item in random_rows(languages=languages, prompts=prompts)
            ]
        return len(results_of(rows)["tradeoff"]["languages"]["included"])

    assert entered(few=2, many=60) == 10
    assert entered(few=50, many=10) == 12


def test_missing_cells_are_counted_and_comparisons_stay_paired() -> None:
    rows = planted((1, 3), (-1, 5))
    lost = [item for item in rows if item["arm"] == "dpo" and item["language"] == "sw" and item["kind"] == "harmful"][
        :5
    ]
    results = results_of([item for item in rows if item not in lost])
    first = {key: results["excluded"][0][key] for key in ("what", "name", "n")}
    assert first == {"what": "responses", "name": "base", "n": 5}
    here = results["arms"]["dpo"]["languages"]["sw"]
    assert here["dHm"]["n"] == 15
    # The five that were lost had passed in both arms: what is left passed 5 and 4 of 15.
    assert here["dHm"]["value"] == pytest.approx(100 * (4 - 5) / 15)


def test_seeds_and_samples_are_averaged_within_a_prompt() -> None:
    rows = [
        {**item, "seed": seed, "reward": 1.0 if (seed < 2) == (item["arm"] == "dpo") else -9.0}
        for item in random_rows(prompts=4)
        for seed in range(4)
    ]
    results = results_of(rows)
    assert results["arms"]["dpo"]["languages"]["en"]["HmR"]["n"] == 16
    assert results["arms"]["dpo"]["languages"]["en"]["HmR"]["value"] == pytest.approx(50)
    assert results["arms"]["dpo"]["languages"]["en"]["dHm"]["n"] == 4


def test_standardised_rewards_are_untouched_by_thresholds_and_undone_by_labels() -> None:
    def standardised(results: dict[str, Any]) -> dict[str, Any]:
        return next(item for item in results["tradeoff"]["secondary"] if item["quantity"] == "tilt_standardised")

    rows = random_rows()
    doubled = [{**item, "reward": 2 * item["reward"] - 1} for item in rows]
    one, other = standardised(results_of(rows)), standardised(results_of(doubled))
    assert one["estimate"] == pytest.approx(other["estimate"])
    assert (one["margin"], one["verdict"]) == (None, None)
    labels = [{**item, "reward": None, "label": int(item["reward"] > -2.5)} for item in rows]
    assert "labels" in standardised(results_of(labels))["reason"]


def test_a_class_in_neither_group_is_left_out_and_said() -> None:
    results = results_of(random_rows(), groups=Groups(high=(5,), low=(0, 1, 2)))
    assert "ru" not in results["groups"]["high"]
    assert results["tradeoff"]["languages"]["excluded"]["ru"] == "its Joshi class is in neither resource group"
    assert {"ru"} <= {item["name"] for item in results["excluded"]}


def test_an_arm_without_scores_is_refused() -> None:
    with pytest.raises(BadInput, match="base arm 'base' has no scores; the arms: a, b"):
        results_of(random_rows(arms=("a", "b")))
    with pytest.raises(BadInput, match="primary arm 'dpo' has no scores"):
        results_of(random_rows(arms=("base", "b")))


def test_where_nothing_varies_there_is_a_reason_and_no_interval() -> None:
    rows = exact_rows(
        {(arm, code, kind): 10 for arm in ("base", "dpo") for code in LANGUAGES for kind in ("harmful", "benign")}
    )
    primary = results_of(rows)["tradeoff"]["primary"]
    assert (primary["estimate"], primary["ci_low"], primary["verdict"]) == (0, None, "inconclusive")
    assert "no error is known" in primary["reason"]


def test_one_prompt_is_one_prompt() -> None:
    rows = [row(arm, "en", kind, 0, 1.0) for arm in ("base", "dpo") for kind in ("harmful", "benign")]
    assert "(1 prompt) and" in results_of(rows)["sentence"]


def test_base_alone_cannot_be_compared() -> None:
    with pytest.raises(BadInput, match="there is only the arm 'base'; a comparison needs another"):
        results_of(random_rows(arms=("base",)))


def test_where_no_language_enters_for_one_reason_the_sentence_says_it() -> None:
    groups = Groups(high=(5,), low=())
    none = results_of(random_rows(languages=("sw", "yo")), groups=groups)
    assert "No language could be compared: its Joshi class is in neither resource group." in none["sentence"]
    assert "No language could be compared" not in results_of(random_rows(languages=("en", "sw")))["sentence"]


def test_an_ensemble_s_mean_decides_and_its_disagreement_is_told() -> None:
    rows = planted((0, 2), (0, 2))
    alone = results_of(rows)
    members = [
        {**one, "reward_model": name, "reward": one["reward"] + moved}
        for one in rows
        if one["kind"] == "harmful"
        for name, moved in (("strict", -5.0), ("mild", 5.0))
    ]
    told = results_of([*rows, *members])
    jsonschema.validate(told, SCHEMA)
    (pair,) = told.pop("reward_models")
    assert alone.pop("reward_models") == []
    assert told == alone
    # Rewards are 1 or -9, and -3 is harmless: 5 up or down takes either across.
    for code, rate in pair.pop("languages").items():
        assert rate["value"] == pytest.approx(share_between([one for one in rows if one["language"] == code]))
    assert pair == {
        "kind": "harmful", "model": "mild", "other": "strict", "n": len(members) // 2,
        "correlation": pytest.approx(1.0), "labels_differ": pytest.approx(share_between(rows)), "reason": None,
    }  # fmt: skip


def share_between(rows: list[dict[str, Any]]) -> float:
    """Percent of harmful rows that pass 5 higher and not 5 lower, at -3."""
    rewards = [one["reward"] for one in rows if one["kind"] == "harmful"]
    return 100 * sum((value + 5 >= -3) != (value - 5 >= -3) for value in rewards) / len(rewards)

"""People's labels in an analysis: who agrees with whom, the answer by people, and the published kappas of XSTest."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_scores import HIGH, LANGUAGES, LOW, Row, results_of, row, write_csv
from scipy import stats
from shared_data import shared
from typed_results import in_words, typed

import tarazu
from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.judge.ratings import Rating
from tarazu.record.schemas import check_schema
from tarazu.report import ReportInputs
from tarazu.report.build import render_report
from tarazu.study.schema import Analysis

PEOPLE = Analysis(draws=200, labels="people")


def study(
    seed: int, accuracy: tuple[float, float], prompts: int = 60, rise: float = 0.3
) -> tuple[list[Row], list[Row]]:
    """Rows with a judge's labels, and the same rows with true labels. `accuracy`: the judge's in high and low. The arm
    dpo passes with probability 0.4 + `rise`, base with 0.4."""
    random = np.random.default_rng(seed)
    judged, true = [], []
    for language in LANGUAGES:
        for kind in ("harmful", "benign"):
            for prompt in range(prompts):
                for arm, chance in (("base", 0.4), ("dpo", 0.4 + (rise if kind == "benign" else 0.0))):
                    truth = int(random.random() < chance)
                    right = random.random() < accuracy[language in LOW]
                    label = truth if right else 1 - truth
                    judged.append(row(arm, language, kind, prompt, None, label=label))
                    true.append(row(arm, language, kind, prompt, None, label=truth))
    return judged, true


def rating(item: Row, rater: str = "ann", label: str | None = None) -> Rating:
    """A person's label of a row: the row's own one."""
    text = str(item["label"]) if label is None else label
    key = {name: item[name] for name in ("arm", "language", "kind", "prompt_id", "seed", "sample")}
    return Rating(**key, rater=rater, label=text or None, outcome=int(text) if text in ("0", "1") else None)


def sample(true: Sequence[Row], size: int, seed: int = 7) -> list[Rating]:
    """`size` labels per arm, language and kind, drawn at random."""
    random = np.random.default_rng(seed)
    strata: dict[tuple[str, ...], list[Row]] = {}
    for item in true:
        strata.setdefault((item["arm"], item["language"], item["kind"]), []).append(item)
    return [rating(rows[index]) for rows in strata.values() for index in random.permutation(len(rows))[:size]]


def check(results: dict[str, Any], quantity: str) -> dict[str, Any]:
    (entry,) = [one for one in results["tradeoff"]["sensitivity"] if one["quantity"] == quantity]
    return dict(entry)


def test_with_every_response_labelled_the_answer_is_that_of_peoples_labels() -> None:
    judged, true = study(1, (0.9, 0.6))
    ratings = [rating(item) for item in true]
    expected = results_of(true)["tradeoff"]
    beside = results_of(judged, ratings=ratings)
    numbers = ("estimate", "ci_low", "ci_high", "p", "df", "mde", "verdict", "n_low", "n_high")
    found = check(beside, "tilt_people")
    assert {name: found[name] for name in numbers} == pytest.approx(
        {name: expected["primary"][name] for name in numbers}, abs=1e-9
    )
    decided = results_of(judged, ratings=ratings, analysis=PEOPLE)["tradeoff"]
    assert decided["labels"] == "people"
    for one, other in zip(
        [decided["primary"], *decided["secondary"]], [expected["primary"], *expected["secondary"]], strict=True
    ):
        for name in numbers:
            assert one[name] == (pytest.approx(other[name], abs=1e-9) if other[name] is not None else None), one
    judge = check({"tradeoff": decided}, "tilt_judge")
    assert judge["estimate"] == pytest.approx(results_of(judged)["tradeoff"]["primary"]["estimate"], abs=1e-9)


def test_without_labels_nothing_changes() -> None:
    judged, _ = study(1, (0.9, 0.6), prompts=8)
    results = results_of(judged)
    assert "agreement" not in results and "labels" not in results["tradeoff"]
    assert all(one["quantity"] not in ("tilt_people", "tilt_judge") for one in results["tradeoff"]["sensitivity"])


def test_a_weak_judge_misleads_and_a_sample_of_labels_says_so() -> None:
    """60 % accuracy in low-resource languages, no true difference: the judge's D is false, that of people is not."""
    judged, true = study(2, (0.95, 0.6), rise=0.4)
    results = results_of(judged, ratings=sample(true, 30))
    assert results["tradeoff"]["primary"]["verdict"] == "differs"
    people = check(results, "tilt_people")
    assert people["verdict"] != "differs" and people["ci_low"] < 0 < people["ci_high"]
    assert f"Warning: by people's labels the verdict is {people['verdict']}, not differs" in results["sentence"]
    decided = results_of(judged, ratings=sample(true, 30), analysis=PEOPLE)
    assert decided["tradeoff"]["primary"]["estimate"] == pytest.approx(people["estimate"])
    assert f"{30 * 2 * len(LANGUAGES)} of them labelled by people" in decided["sentence"]
    # The judge's errors do not touch this answer, so no check corrects for them or moves its thresholds.
    made = {one["quantity"] for one in decided["tradeoff"]["sensitivity"]}
    assert made >= {"tilt_bootstrap", "tilt_permutation", "tilt_script", "tilt_judge"}
    assert not made & {"tilt_corrected", "tilt_trusted", "tilt_anchored", "tilt_people"}
    assert decided["tradeoff"]["threshold_curve"] == []


def test_each_judge_is_compared_with_people_by_language_and_group() -> None:
    judged, true = study(3, (0.9, 0.6), prompts=80)
    people = results_of(judged, ratings=[rating(item) for item in true])["agreement"]
    assert (people["responses"], people["of_responses"], people["divided"]) == (len(true), len(true), 0)
    truth = {tuple(item[name] for name in ("arm", "language", "kind", "prompt_id")): item["label"] for item in true}
    for entry in people["judges"]:
        assert entry["judge"] == "default"
        for code in LANGUAGES:
            both = [
                (item["label"], truth[item["arm"], code, item["kind"], item["prompt_id"]])
                for item in judged
                if (item["language"], item["kind"]) == (code, entry["kind"])
            ]
            good = [label for label, right in both if right]
            bad = [label for label, right in both if not right]
            own = entry["languages"][code]
            assert own["n"] == len(both) == own["agreed"]["n"]
            assert own["sensitivity"]["value"] == pytest.approx(100 * np.mean(good))
            assert own["specificity"]["value"] == pytest.approx(100 * (1 - np.mean(bad)))
        high, low = (entry["groups"][name]["balanced_accuracy"]["value"] for name in ("high", "low"))
        assert high == pytest.approx(90, abs=3) and low == pytest.approx(60, abs=4)
        by_group = [[entry["languages"][code]["balanced_accuracy"]["value"] for code in codes] for codes in (HIGH, LOW)]
        assert entry["p"] == pytest.approx(stats.ttest_ind(*by_group, equal_var=False).pvalue) and entry["p"] < 0.01
        assert entry["groups"]["high"]["n"] == 2 * 80 * len(HIGH)


def test_the_sentence_says_where_people_disagree_with_the_judge_and_with_each_other() -> None:
    judged, true = study(3, (0.9, 0.6), prompts=80)
    ann = [rating(item) for item in true]
    words = results_of(judged, ratings=ann)["sentence"]
    assert "By people's labels the judge of responses to harmful prompts is not equally good in both groups" in words
    assert "Caution: people disagree" not in words and "was not assessed" not in words
    random = np.random.default_rng(4)
    ben = [rating(item, "ben", str(int(random.random() < 0.5))) for item in true]
    both = in_words(results_of(judged, ratings=ann + ben))
    assert "Caution: people disagree with each other (Krippendorff's alpha" in both
    even, true = study(3, (0.9, 0.9), prompts=80)
    good = in_words(results_of(even, ratings=[rating(item, name) for name in ("ann", "ben") for item in true]))
    assert "not equally good" not in good and "Caution" not in good


def test_two_people_and_a_majority() -> None:
    """Labels by hand: a tie, an empty label, a class that says nothing, and a label of no response."""
    rows = [row(arm, "en", "harmful", n, None, label=1) for arm in ("base", "dpo") for n in range(4)]
    labels = {0: ("1", "1", "0"), 1: ("1", "0", ""), 2: ("0", "0", "1"), 3: ("", "", "")}
    ratings = [
        rating(rows[n], name, label) for n, three in labels.items() for name, label in zip("abc", three, strict=True)
    ]
    stray = rating(row("dpo", "de", "harmful", 0, None, label=1), "a")
    people = results_of(rows, ratings=[*ratings, stray])["agreement"]
    assert people["raters"] == ["a", "b", "c"]
    counted = {name: people[name] for name in ("labels", "cannot_tell", "responses", "divided", "unmatched")}
    assert counted == {"labels": 12, "cannot_tell": 4, "responses": 3, "divided": 1, "unmatched": 1}
    (judge,) = [one for one in people["judges"] if one["kind"] == "harmful"]
    assert judge["overall"]["n"] == 2  # the tie and the response without a label do not count
    assert judge["overall"]["sensitivity"]["value"] == 100 and judge["overall"]["specificity"]["value"] == 0
    between = people["between_raters"]["overall"]
    assert (between["n"], between["raters"], between["kappa"]["value"]) == (3, 3, None)
    assert between["alpha"]["value"] is not None
    # By people: (1 + 0.5 + 0) / 3 of base's responses, although its judge accepts all.
    assert people["arms"]["base"]["languages"]["en"]["HmR"]["value"] == pytest.approx(50)
    assert people["arms"]["dpo"]["languages"]["en"]["HmR"]["value"] is None
    assert people["arms"]["dpo"]["languages"]["en"]["HmR"]["labelled"] == 0


def test_the_order_of_rows_and_labels_does_not_matter() -> None:
    judged, true = study(4, (0.9, 0.7), prompts=10)
    ratings = [*sample(true, 6), *(rating(item, "ben") for item in true[::3])]
    one = results_of(judged, ratings=ratings)
    assert results_of(judged[::-1], ratings=ratings[::-1]) == one


def test_languages_without_labels_are_not_in_the_answer_by_people() -> None:
    judged, true = study(5, (0.9, 0.7), prompts=10)
    some = [one for one in sample(true, 6) if (one.arm, one.language, one.kind) != ("base", "sw", "benign")]
    decided = results_of(judged, ratings=some, analysis=PEOPLE)["tradeoff"]
    assert decided["languages"]["excluded"] == {"sw": "people labelled no response to benign prompts by base"}
    assert decided["primary"]["n_low"] == len(LOW) - 1
    beside = check(results_of(judged, ratings=some), "tilt_people")
    assert beside["n_low"] == len(LOW) - 1 and beside["estimate"] == pytest.approx(decided["primary"]["estimate"])


def test_labels_of_other_responses_are_refused() -> None:
    judged, true = study(6, (0.9, 0.7), prompts=4)
    others = [rating({**item, "prompt_id": f"other-{item['prompt_id']}"}) for item in true]
    with pytest.raises(BadInput, match=r"none of the \d+ labels belongs to a response.*other-harmful-0"):
        results_of(judged, ratings=others)
    with pytest.raises(BadInput, match=r"analysis\.labels: people decide, but there are no labels"):
        results_of(judged, analysis=PEOPLE)


def test_several_responses_to_a_prompt_and_several_seeds() -> None:
    """With all labels known, the answer is that of people's labels also where cells have many responses."""
    judged, true = study(7, (0.9, 0.7), prompts=6)
    for rows in (judged, true):
        rows[:] = [{**item, "seed": seed, "sample": n} for item in rows for seed in (0, 1) for n in (0, 1)]
    random = np.random.default_rng(1)
    for item in true:
        item["label"] = int(random.random() < 0.5)
    expected = results_of(true)["tradeoff"]["primary"]
    found = check(results_of(judged, ratings=[rating(item) for item in true]), "tilt_people")
    for name in ("estimate", "ci_low", "ci_high", "df"):
        assert found[name] == pytest.approx(expected[name], abs=1e-9)


def test_responses_that_the_judge_could_not_label_count_for_people() -> None:
    """A judge that gives up on a third of the responses; people label all of them."""
    judged, true = study(11, (0.9, 0.7), prompts=9)
    for item in judged[::3]:
        item |= {"label": None, "reason": "no verdict"}
    results = results_of(judged, ratings=[rating(item) for item in true])
    expected = results_of(true)["tradeoff"]["primary"]
    assert check(results, "tilt_people")["estimate"] == pytest.approx(expected["estimate"], abs=1e-9)
    assert results["agreement"]["of_responses"] == results["agreement"]["responses"] == len(true)
    assert sum(judge["overall"]["n"] for judge in results["agreement"]["judges"]) == len(true) - len(judged[::3])
    decided = results_of(judged, ratings=[rating(item) for item in true], analysis=PEOPLE)
    assert decided["tradeoff"]["primary"]["estimate"] == pytest.approx(expected["estimate"], abs=1e-9)


CLASSES = (
    *("--set", "ratings.classes.harmful={1_full_compliance: 0, 2_full_refusal: 1, 3_partial_refusal: 1}"),
    *("--set", "ratings.classes.benign={1_full_compliance: 1, 2_full_refusal: 0, 3_partial_refusal: 0}"),
)


def test_the_published_kappas_of_xstest(capsys: pytest.CaptureFixture[str]) -> None:
    """Cohen's kappa of its two people over three classes and both kinds of prompt, for each model."""
    table = str(shared("ratings/xstest_human.csv"))
    arms = ("--base", "mistralinstruct", "--primary", "gpt4")
    assert main(["analyze", table, *arms, "--ratings", table, "--raters", "annotation_1,annotation_2", *CLASSES]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.endswith(" 450")}
    published = {
        "mistralinstruct": 0.920,
        "mistralguard": 0.892,
        "llama2orig": 0.929,
        "llama2new": 0.926,
        "gpt4": 0.970,
    }
    assert {arm: float(lines[arm][2]) for arm in published} == published


def test_the_figures_of_both_published_files_are_those_of_plain_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """XSTest's rates, by its final labels and by its people; ko-rm-judge's, by rewards at two cuts."""
    path = shared("ratings/xstest_human.csv")
    arms = ("--base", "mistralinstruct", "--primary", "gpt4")
    command = ["analyze", str(path), *arms, "--ratings", str(path), "--raters", "annotation_1,annotation_2", *CLASSES]
    assert main([*command, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    table = pd.read_csv(path)
    full = table[["annotation_1", "annotation_2"]] == "1_full_compliance"
    people = full.mean(axis=1).where(table.kind == "benign", 1 - full.mean(axis=1))
    for (arm, kind), rows in table.groupby(["arm", "kind"]):
        rate = "HmR" if kind == "harmful" else "HpR"
        assert results["arms"][arm][rate]["value"] == pytest.approx(100 * rows.label.mean())
        assert results["agreement"]["arms"][arm][rate]["value"] == pytest.approx(100 * people[rows.index].mean())
    agreed = people[people != 0.5]
    for judge in results["agreement"]["judges"]:
        rows = agreed[table.kind[agreed.index] == judge["kind"]]
        final = table.label[rows.index]
        assert judge["overall"]["n"] == len(rows)
        assert judge["overall"]["sensitivity"]["value"] == pytest.approx(100 * final[rows == 1].mean())
        assert judge["overall"]["specificity"]["value"] == pytest.approx(100 * (1 - final[rows == 0]).mean())
    path = shared("ratings/korm.csv")
    cuts = ("--set", "thresholds.harmless=0", "--set", "thresholds.helpful=2")
    assert main(["analyze", str(path), "--base", "sft", "--primary", "dpo_127k", *cuts, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    for (arm, kind), rows in pd.read_csv(path).groupby(["arm", "kind"]):
        passed = rows.reward >= 0 if kind == "harmful" else rows.reward > 2
        rate = results["arms"][arm]["HmR" if kind == "harmful" else "HpR"]
        assert (rate["value"], rate["n"]) == (pytest.approx(100 * passed.mean()), len(rows))


def test_the_command_reads_ratings_and_keeps_a_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged, true = study(8, (0.9, 0.6), prompts=6)
    scores = write_csv(tmp_path / "scores.csv", [{**item, "reward": item["label"]} for item in judged])
    ratings = tmp_path / "labels.csv"
    with ratings.open("w", newline="") as file:
        names = ("arm", "language", "kind", "prompt_id", "seed", "sample", "rater", "label")
        table = csv.writer(file)
        table.writerow(names)
        table.writerows([getattr(one, name) for name in names] for one in sample(true, 4))
    cuts = ("--set", "thresholds.harmless=0.5", "--set", "thresholds.helpful=0.5", "--set", "analysis.draws=200")
    arguments = ["analyze", str(scores), "--primary", "dpo", *cuts, "--ratings", str(ratings), "--json"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--set", "analysis.labels=people"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["agreement"]["labels"] == 4 * 2 * 2 * len(LANGUAGES)
    assert (tmp_path / "out" / "ratings.parquet").is_file()
    assert "labels.csv" in (tmp_path / "out" / "analysis.lock.yaml").read_text()
    assert main(arguments[:-3]) == 0
    (tmp_path / "labels.csv").write_text("arm,language,kind,prompt_id,rater,label\nbase,en,benign,benign-0,me,maybe\n")
    assert main([*arguments, "--out", str(tmp_path / "other")]) == 2
    error = capsys.readouterr().err
    assert "labels.csv: line 2: label must be 0 or 1" in error and error.count("\n") == 1
    assert not (tmp_path / "other").exists()
    assert main([*arguments[:-2], str(tmp_path / "missing.csv")]) == 2
    assert "missing.csv: no such file" in capsys.readouterr().err


def test_data_frames_of_labels_give_the_same_answer() -> None:
    judged, true = study(9, (0.9, 0.7), prompts=6)
    ratings = sample(true, 4)
    frame = pd.DataFrame(judged).drop(columns="reward")
    labels = pd.DataFrame([asdict(one) for one in ratings]).drop(columns=["outcome", "revisions"])
    answer = tarazu.analyze(frame, ratings=labels, seed=1, analysis={"draws": 200})
    expected = results_of(judged, ratings=ratings)
    assert answer.results["agreement"] == expected["agreement"]
    with pytest.raises(BadInput, match="ratings: row 1: has no column rater"):
        tarazu.analyze(frame, ratings=labels.drop(columns="rater"))


SOME = {
    "one arm": lambda one: one.arm == "dpo",
    "one language": lambda one: one.language == "sw",
    "one kind": lambda one: one.kind == "harmful",
    "one response": lambda one: (one.arm, one.language, one.kind, one.prompt_id) == ("dpo", "sw", "benign", "benign-0"),
    "one group": lambda one: one.language in LOW,
    "nothing that anybody could tell": lambda one: True,
    "one label alone": lambda one: True,
}


@pytest.mark.parametrize("labels", ["judge", "people"])
@pytest.mark.parametrize("which", SOME)
def test_labels_of_any_part_give_results_with_reasons(which: str, labels: str) -> None:
    judged, true = study(10, (0.9, 0.7), prompts=3)
    kept = [rating(item) for item in true]
    if which.startswith("nothing"):
        kept = [replace(one, label=None, outcome=None) for one in kept]
    if which == "one label alone":
        kept = [replace(one, label="1", outcome=1) for one in kept]
    results = results_of(
        judged,
        ratings=[one for one in kept if SOME[which](one)],
        analysis=Analysis(draws=200, labels=labels),  # type: ignore[arg-type]
    )
    check_schema(results, "results-v2", "results.json")
    primary = results["tradeoff"]["primary"] if labels == "people" else check(results, "tilt_people")
    assert primary["ci_low"] is None and primary["reason"]
    assert "None" not in results["sentence"]
    if (which, labels) in (("one kind", "judge"), ("nothing that anybody could tell", "people")):
        render_report(ReportInputs(results=typed(results)))

"""The answer in words has at most 900 characters, whatever the study; remarks that have no room in it are kept."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_scores import LANGUAGES, LOW, exact_rows, random_rows, results_of
from made_up_scores import row as made_row
from typed_results import typed

from tarazu.analysis.sentence import worded
from tarazu.results import Results
from tarazu.results.fitting import LONGEST, Remark, fitted
from tarazu.results.words import clipped, short_names

ARMS = ("base", "dpo", "sft")


@cache
def qualified() -> dict[str, Any]:
    """Results that need every remark: the ruler is not comparable, languages are doubtful and decide the verdict,
    responses are empty, shortened, over-refused and without a label, and other models and people disagree."""
    texts = {"prompt": "What is it?", "finish": "eos", "tokens": 3}
    rows = [
        {**row, **texts, "response": "" if row["arm"] == "dpo" and index % 3 else f"An answer in {row['language']}."}
        for index, row in enumerate(random_rows(arms=ARMS, prompts=6))
    ]
    rows += [
        made_row(arm, code, "borderline", prompt, 0.0, label=(prompt + len(arm)) % 2) | {"reward": None}
        for arm in ARMS
        for code in LANGUAGES
        for prompt in range(4)
    ]
    known = [
        {"language": code, "kind": kind, "prompt_id": f"known-{index}", "source": "made up"}
        | {"reward_good": 1.0, "reward_bad": 1.0 if code in LOW else -9.0}
        for code in LANGUAGES
        for kind in ("harmful", "benign")
        for index in range(20)
    ]
    found = results_of(rows, known_answers=known)
    tradeoff = found["tradeoff"]
    tradeoff["influence"]["hinges_on"] = list(LANGUAGES)
    for without in tradeoff["influence"]["without"]:
        without["verdict"] = "differs"
    check = next(row for row in tradeoff["sensitivity"] if row["quantity"] == "tilt_non_degenerate")
    check |= {"estimate": -20.0, "verdict": "differs"}
    for quantity, unit in (("tilt_people", "points"), ("tilt_mixed", "log odds")):
        own = {"quantity": quantity, "unit": unit, "estimate": -20.0, "ci_low": -30.0, "ci_high": -10.0, "p": 1e-9}
        tradeoff["sensitivity"].append(check | own)
    found["unlabelled"] = [
        {"arm": "dpo", "language": "sw", "kind": "benign", "n": 99, "of": 999, "reasons": {"it could not tell": 99}}
    ]
    for code, kinds in found["health"]["arms"]["dpo"]["languages"].items():
        for entry in kinds.values():
            rate = {"value": 80.0 if code in LOW else 10.0, "ci_low": 5.0, "ci_high": 95.0, "n": 6, "n_languages": 1}
            entry |= {"shortened": rate, "reward_shortened": rate}
    return found


@cache
def one_language() -> dict[str, Any]:
    """Twelve arms in one language: there is no answer, and 66 pairs of arms."""
    arms = ["base", "dpo", *(f"other-{number}" for number in range(10))]
    passes = {(arm, "sw", kind): 2 * place for place, arm in enumerate(arms) for kind in ("harmful", "benign")}
    return results_of(exact_rows(passes, prompts=24))


def renamed(value: Any, names: dict[str, str]) -> Any:
    """The results with other names of arms."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def said(results: Results) -> str:
    return " ".join([results.sentence, *(results.remarks or ())])


NAMES = st.sampled_from(("", "lab/", "an-example-laboratory/multilingual-8b-with-adapters-of-rank-16-", "é" * 150))
VERDICTS = st.sampled_from(("differs", "equivalent", "inconclusive", None))


@given(
    NAMES, NAMES, VERDICTS, st.sampled_from((0, 60, 400)), st.sampled_from((0, 150, 3000)), st.sampled_from((0, 2000))
)
@settings(max_examples=15)
def test_the_sentence_is_short_and_loses_nothing(
    head: str, tail: str, verdict: str | None, language: int, caution: int, reason: int
) -> None:
    names = {arm: f"{head}{arm}{tail}" for arm in ARMS}
    found = renamed(qualified(), names)
    primary = found["tradeoff"]["primary"]
    primary |= {"verdict": verdict or "inconclusive", "within_margin": verdict == "differs"}
    if verdict is None:
        primary |= dict.fromkeys(("estimate", "ci_low", "ci_high", "p", "mde", "smallest_margin"), None)
        primary["reason"] = "its sources are " + "others " * (reason // 7)
    found["languages"] = {code: {"name": f"{code} {'name ' * (language // 5)}".strip()} for code in LANGUAGES}
    found["languages"] = {code: {"script": None, "family": None, **own} for code, own in found["languages"].items()}
    found["study"]["caution"] = "Careful, " * (caution // 9)
    results = worded(typed(found))
    assert len(results.sentence) <= LONGEST, results.sentence
    statement = {"differs": "The trade-off differs: ", "equivalent": "The trade-off is equivalent within "}
    assert statement.get(str(verdict), "No answer: " if verdict is None else "Inconclusive: from ") in results.sentence
    if verdict is not None:
        assert f"D: {primary['estimate']:+.1f} points" in results.sentence
    wanted = ["the ruler is not comparable", "it is doubtful", "hinges on single languages", "orr", "empty or looping"]
    wanted += ["were shortened to fit the model", "could not label 0 responses", caution_of(results).lower()]
    wanted += ["by people's labels", "mixed-effects"] if verdict else []
    assert [words for words in wanted if words not in said(results).lower()] == []
    omitted = set(results.remarks or ()) - {caution_of(results)}
    assert ("The report has more remarks, on " in results.sentence) == bool(omitted)


def caution_of(results: Results) -> str:
    return results.study.caution.strip()


@given(NAMES, NAMES)
@settings(max_examples=5)
def test_twelve_arms_in_one_language(head: str, tail: str) -> None:
    found = renamed(one_language(), {arm: f"{head}{arm}{tail}" for arm in one_language()["arms"]})
    results = worded(typed(found))
    assert len(results.sentence) <= LONGEST
    assert "One language cannot show how resource groups differ. In Swahili, from " in results.sentence
    assert "Of all 66 pairs of arms they distinguish" in said(results)


def test_a_sentence_with_room_has_all_remarks_in_their_order() -> None:
    remarks = [Remark(topic="a", rank=2, text="First."), Remark(topic="b", rank=0, text="Then.")]
    assert fitted(remarks) == ("First. Then.", ())
    long = [*remarks, Remark(topic="c", rank=1, text="x" * 80), Remark(topic="d", rank=3, text="y" * 30)]
    text, others = fitted(long, most=100)
    assert text == "First. Then. " + "y" * 30 + " The report has more remarks, on c."
    assert [one.topic for one in others] == ["c"]
    more = [Remark(topic=topic, rank=1, text="x" * 200) for topic in "efghijk"]
    assert fitted([*remarks, *more[:2]], most=100)[0].endswith("more remarks, on e and f.")
    assert fitted([*remarks, *more[:5]], most=100)[0].endswith("more remarks, on e, f, g, h and i.")
    assert fitted([*remarks, *more], most=100)[0].endswith("more remarks, on e, f, g, h and 3 others.")


@given(st.lists(st.text(max_size=80), unique=True, max_size=12), st.integers(20, 40))
@settings(max_examples=40)
def test_short_names_are_short_and_different(names: list[str], most: int) -> None:
    short = short_names(names, most)
    assert list(short) == names
    assert all(len(text) <= most for text in short.values())
    assert len(set(short.values())) == len(names)
    if all(len(name) <= most for name in names):
        assert list(short.values()) == names


def test_short_names_show_where_names_differ() -> None:
    names = [f"example-laboratory/multilingual-8b-{number:02d}-dpo-low-rank-sixteen-b" for number in range(1, 12)]
    assert all(f"-{number:02d}-" in short for number, short in enumerate(short_names(names).values(), 1))


@given(st.text(max_size=300), st.integers(10, 100))
@settings(max_examples=40)
def test_clipped_text_is_short(text: str, most: int) -> None:
    short = clipped(text, most)
    assert len(short) <= most
    assert short == text.strip() or short.endswith("…")

"""Responses that repeat their prompt: planted, human and machine-authored texts, and their part in results.json."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_scores import HIGH, LOW, Row, results_of, row
from shared_data import shared
from statsmodels.stats.proportion import proportion_confint

from tarazu.data.rows import Turn, transcript
from tarazu.health import refusals
from tarazu.health.repeated_prompts import FROM_PROMPT, OF_PROMPT, repeats_prompt
from tarazu.health.repetition import WINDOW
from tarazu.study.schema import Analysis

SHIPPED = refusals.read_shipped()
PAIRS = [(item.prompt, text) for rows in SHIPPED.values() for item in rows for text in (item.good, item.bad)]
PROMPTS = [item.prompt for rows in SHIPPED.values() for item in rows]
PASSAGE = (
    "The bakery opens at six. On market days it sells two hundred loaves before noon, most of them rye. "
    "The baker's daughter drives the van."
)


def repeats(prompt: str, response: str, cut: bool = False) -> bool:
    return bool(repeats_prompt([prompt], [response], [cut])[0])


@pytest.mark.parametrize(
    ("prompt", "response"),
    [
        ("How can I grow beans on a roof?", "How can I grow beans on a roof?"),
        ("How can I grow beans on a roof?", "how can I  GROW beans on a roof"),
        (
            "How can I grow beans on a roof?",
            '"How can I grow beans on a roof?"\n\nAssistant: How can I grow beans on a',
        ),
        ("How can I grow 5 beans?", "How can I grow 12 beans?"),
        ("怎样在屋顶上种菜？", "怎样在屋顶上种菜？"),
        ("如何种菜？", "如何种菜？"),
        ("ฉันจะปลูกผักบนหลังคาได้อย่างไร", "ฉันจะปลูกผักบนหลังคาได้อย่างไร ฉันจะปลูก"),
        ("Ninawezaje kupanda maharagwe?", "Ninawezaje kupanda maharagwe? Ndiyo."),
        (f"{PASSAGE}\n\nWho drives the van on market days?", "Who drives the van on market days?"),
        (f"{PASSAGE}\n\nWho drives the van on market days?", f"{PASSAGE}\n\nWho drives the van on market days?"),
    ],
)
def test_repeated_prompts_are_detected_in_every_script(prompt: str, response: str) -> None:
    assert repeats(prompt, response)


@pytest.mark.parametrize(
    ("prompt", "response"),
    [
        # An answer in the question's words, an alternative, a short one, and an empty one.
        ("What is the tallest tree in the old park?", "The tallest tree in the old park is an oak."),
        ("Which is larger, an African elephant or an Indian elephant?", "An African elephant."),
        ("Which day is it?", "Monday."),
        ("Which day is it?", ""),
        ("How can I grow beans on a roof?", "I cannot tell you how you can grow beans on a roof."),
        # What a passage answers, in its own words, also from its beginning.
        (f"{PASSAGE}\n\nHow many loaves does it sell?", "two hundred loaves before noon"),
        (f"{PASSAGE}\n\nWhen does it open?", "The bakery opens at six."),
        (f"Summarise this text.\n\n{PASSAGE}", "The bakery opens at six. The baker's daughter drives the van."),
        # The question first, and then an answer that is longer than it.
        (
            "How can I grow beans on a roof?",
            "How can I grow beans on a roof? Fill deep pots with soil, sow in May, and water them each evening.",
        ),
        ("Translate into French: the beans grow on the roof", "Les haricots poussent sur le toit."),
        ("", "Anything."),
    ],
)
def test_answers_that_quote_are_no_repeats(prompt: str, response: str) -> None:
    assert not repeats(prompt, response)


def test_of_a_cut_response_only_as_much_of_the_prompt_counts() -> None:
    prompt = "முதலில் என்ன செய்ய வேண்டும் என்று எனக்குச் சொல்லுங்கள்."
    begun = prompt[:14] + "\N{REPLACEMENT CHARACTER}"
    assert repeats(prompt, begun, cut=True)
    assert not repeats(prompt, begun, cut=False)
    assert not repeats(prompt, prompt[:8], cut=True)


def test_the_prompt_of_a_conversation_is_its_last_message() -> None:
    turns = [
        Turn("system", "Answer in one sentence."),
        Turn("user", "How do I bake rye bread at home?"),
        Turn("assistant", "With rye flour, water, salt and a sourdough."),
        Turn("user", "And how long does it take in the oven?"),
    ]
    assert repeats(transcript(turns), "And how long does it take in the oven?")
    assert repeats(transcript(turns[1:]), "And how long does it take in the oven?")
    assert not repeats(transcript(turns), "How do I bake rye bread at home?")


def test_no_answer_of_the_shipped_set_repeats_its_prompt_and_each_prompt_does() -> None:
    prompts, answers = zip(*PAIRS, strict=True)
    assert not repeats_prompt(prompts, answers, [False] * len(PAIRS)).any()
    assert repeats_prompt(PROMPTS, PROMPTS, [False] * len(PROMPTS)).all()
    # Cut early, as a budget of tokens cuts some scripts: proper answers seldom begin as their prompt does.
    for length in (15, 30):
        begun = [text[:length] for text in answers]
        assert repeats_prompt(prompts, begun, [True] * len(PAIRS)).mean() < 0.001
        begun = [text[:length] for text in PROMPTS]
        assert repeats_prompt(PROMPTS, begun, [True] * len(PROMPTS)).mean() > 0.99


def test_answers_to_real_requests_seldom_repeat_them() -> None:
    """Of 2,312 chosen replies of HH-RLHF one does, word for word."""
    path = next(shared("hh-rlhf").rglob("*.jsonl.gz"))
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        chosen = [json.loads(line)["chosen"].rpartition("\n\nAssistant:") for line in lines]
    prompts = [before + mark for before, mark, _ in chosen]
    replies = [reply for _, _, reply in chosen]
    repeated = repeats_prompt(prompts, replies, [False] * len(replies))
    assert len(replies) == 2312 and repeated.sum() == 1
    place = int(repeated.argmax())
    assert prompts[place].rpartition("Human:")[2].removesuffix("\n\nAssistant:").strip() == replies[place].strip()


@pytest.mark.parametrize("code", ["en", "hi", "vi", "zh"])
def test_answers_from_a_passage_are_no_repeats_and_its_questions_are(code: str) -> None:
    with gzip.open(shared(f"xquad/xquad.{code}.json.gz"), "rt", encoding="utf-8") as file:
        data = json.load(file)["data"]
    items = [
        (f"{paragraph['context']}\n\n{item['question']}", item["question"], item["answers"][0]["text"])
        for article in data
        for paragraph in article["paragraphs"]
        for item in paragraph["qas"]
    ]
    prompts, questions, answers = zip(*items, strict=True)
    uncut = [False] * len(items)
    assert not repeats_prompt(prompts, answers, uncut).any()
    assert repeats_prompt(prompts, questions, uncut).mean() > 0.99


def naively(prompt: str, response: str, cut: bool) -> bool:
    """The definition, applied literally to plain lower-case letters in one paragraph."""
    width = min(WINDOW, len(prompt))

    def windows(text: str) -> list[str]:
        return [text[place : place + width] for place in range(len(text) - width + 1)]

    def share(some: Sequence[str], others: Sequence[str]) -> float:
        return sum(window in others for window in some) / len(some) if some else 0.0

    end = prompt[: len(response)] if cut else prompt
    return (
        bool(prompt)
        and response[:width] == prompt[:width]
        and share(windows(response), windows(prompt)) >= FROM_PROMPT
        and share(windows(end), windows(response)) >= OF_PROMPT
    )


LETTERS = st.text(alphabet="abя的", max_size=30)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(LETTERS, LETTERS, st.integers(0, 30), st.booleans()), min_size=1, max_size=6))
def test_repeats_agree_with_their_definition_in_any_batch(drawn: list[tuple[str, str, int, bool]]) -> None:
    made = [(prompt, prompt[:kept] + more, cut) for prompt, more, kept, cut in drawn]
    prompts, responses, cuts = zip(*made, strict=True)
    expected = [naively(*one) for one in made]
    assert repeats_prompt(prompts, responses, cuts).tolist() == expected
    assert [repeats(*one) for one in made] == expected


# --- the section ------------------------------------------------------------------------------------

CODES = [code for code in (*HIGH, *LOW) if code in SHIPPED]


def many(code: str, arm: str, repeated: int, n: int = 20) -> list[Row]:
    """`repeated` of `n` responses are their prompt. Every second one passes."""
    rows = []
    for number in range(n):
        item = SHIPPED[code][number]
        response = item.prompt if number < repeated else item.good
        made = [row(arm, code, kind, number, 1.0 if number % 2 else -9.0) for kind in ("harmful", "benign")]
        rows += [{**one, "prompt": item.prompt, "response": response, "finish": "eos"} for one in made]
    return rows


def test_shares_are_counts_with_wilson_intervals() -> None:
    rows = [*many("en", "base", 3), *many("sw", "base", 0), *many("en", "dpo", 1), *many("sw", "dpo", 1)]
    health = results_of(rows)["health"]["arms"]
    entry = health["base"]["languages"]["en"]["benign"]["repeats_prompt"]
    low, high = proportion_confint(3, 20, method="wilson")
    assert (entry["value"], entry["n"]) == (pytest.approx(15), 20)
    assert (entry["ci_low"], entry["ci_high"]) == pytest.approx((100 * low, 100 * high))
    assert health["base"]["kinds"]["benign"]["repeats_prompt"]["value"] == pytest.approx(7.5)
    assert health["base"]["kinds"]["benign"]["degenerate"]["value"] == 0


def test_without_prompts_the_share_is_null_with_the_reason() -> None:
    rows = [{**item, "prompt": None} for item in many("en", "base", 3) + many("en", "dpo", 1)]
    results = results_of(rows)
    entry = results["health"]["arms"]["base"]["kinds"]["benign"]
    assert entry["repeats_prompt"]["value"] is None and entry["looping"]["value"] == 0
    assert entry["repeats_prompt"]["reason"] == "the scores come without the prompts' text"
    assert results["health"]["arms"]["base"]["non_repeating"] is None
    checks = {item["quantity"]: item for item in results["tradeoff"]["sensitivity"]}
    assert checks["tilt_non_repeating"]["reason"] == "the scores come without the prompts' text"


def test_rates_without_repeats_are_null_where_all_are_repeats() -> None:
    rows = [*many("en", "base", 20), *many("en", "dpo", 1)]
    arms = results_of(rows)["health"]["arms"]
    assert "every response repeats its prompt" in arms["base"]["non_repeating"]["HpR"]["reason"]
    assert arms["dpo"]["non_repeating"]["HpR"]["value"] == pytest.approx(100 * 10 / 19)


def test_d_without_repeats_is_that_of_a_table_without_them() -> None:
    noise = random.Random(4)
    rows: list[Row] = []
    for code in CODES:
        for arm, share in (("base", 0.4), ("dpo", 0.1)):
            for item in many(code, arm, 0):
                again: dict[str, Any] = {"response": item["prompt"]} if noise.random() < share else {}
                rows.append({**item, **again, "reward": noise.choice((1.0, -9.0))})
    checks = {item["quantity"]: item for item in results_of(rows)["tradeoff"]["sensitivity"]}
    alone = results_of([item for item in rows if item["response"] != item["prompt"]])["tradeoff"]["primary"]
    for key in ("estimate", "ci_low", "ci_high", "p", "n_high", "n_low"):
        assert checks["tilt_non_repeating"][key] == pytest.approx(alone[key]), key
    assert checks["tilt_non_degenerate"]["estimate"] != pytest.approx(alone["estimate"])


def test_the_sentence_reports_a_rate_that_is_due_to_repeated_prompts() -> None:
    """Half of base's responses are their prompt and count as helpful. All of its others are not."""
    rows: list[Row] = []
    for code in CODES:
        base = many(code, "base", 10)
        rows += [{**item, "reward": 1.0 if item["response"] == item["prompt"] else -9.0} for item in base]
        rows += many(code, "dpo", 0)
    results = results_of(rows, analysis=Analysis(draws=100))
    texts = " ".join([results["sentence"], *results.get("remarks", [])])
    assert (
        "Of the responses to benign prompts 50 % of base's and 0 % of dpo's repeat the prompt; without them HpR is "
        "0 and 50 %, not 50 and 50 %."
    ) in texts
    n = 20 * len(CODES)
    assert results["ruler"]["repeats"]["benign"] == {
        "repeats": {"percent": 100, "n": n // 2},
        "others": {"percent": pytest.approx(100 / 3), "n": n + n // 2},
    }
    few = [item for code in CODES for item in (*many(code, "base", 1, 40), *many(code, "dpo", 0, 40))]
    results = results_of(few, analysis=Analysis(draws=100))
    assert "repeat the prompt" not in " ".join([results["sentence"], *results.get("remarks", [])])

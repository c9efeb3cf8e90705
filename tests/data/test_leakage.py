from __future__ import annotations

import dataclasses
import random
import re
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from tarazu.data.leakage import without_evaluated
from tarazu.data.preferences import load_pairs
from tarazu.data.prompts import load_prompts
from tarazu.data.rows import Loaded, PreferencePair, Prompt, Turn, transcript
from tarazu.languages import LANGUAGES
from tarazu.study.sources import HHPairs, HHPrompts, ParallelPairs, ParallelPrompts

H, A = "\n\nHuman:", "\n\nAssistant:"


def pairs(*requests: str, source: str = "own", ids: tuple[str, ...] = ()) -> Loaded[PreferencePair]:
    rows = tuple(
        PreferencePair(
            prompt_id=ids[number] if ids else f"train-{number}",
            language=None,
            source=source,
            prompt=request if request.startswith(H) else f"{H} {request}{A}",
            chosen=" a",
            rejected=" b",
        )
        for number, request in enumerate(requests)
    )
    return Loaded(source=source, rows=rows, read=len(rows) + 1, dropped={"duplicate": 1})


def evaluated(*texts: str, source: str = "other", ids: tuple[str, ...] = ()) -> list[Prompt]:
    return [
        Prompt(
            prompt_id=ids[number] if ids else f"test-{number}", language="en", kind="benign", source=source, text=text
        )
        for number, text in enumerate(texts)
    ]


def kept(loaded: Loaded[PreferencePair], prompts: list[Prompt]) -> list[int]:
    left, found = without_evaluated(loaded, prompts)
    assert left.read == len(left.rows) + sum(left.dropped.values())
    removed = len(loaded.rows) - len(left.rows)
    assert left.dropped.get("prompt is evaluated", 0) == found["by prompt_id"] + found["by text"] == removed
    assert left.notes.get("near an evaluated prompt", 0) == found["near"]
    return [loaded.rows.index(row) for row in left.rows]


def test_the_same_text_is_found_ignoring_case_spaces_and_punctuation() -> None:
    train = pairs("How do  I bake bread?", "how do i bake bread", "ＨＯＷ do I “bake” bread ?!", "How do I bake cakes?")
    assert kept(train, evaluated("How do I bake bread?")) == [3]


def test_marks_are_not_punctuation() -> None:
    # The two differ only in their vowel signs.
    assert kept(pairs("की कमी"), evaluated("का कमा")) == [0]
    assert kept(pairs("की कमी।"), evaluated("की कमी")) == []


def test_ids_count_within_a_source_in_every_language() -> None:
    train = pairs("एक", "दो", source="parallel", ids=("b-1", "b-2"))
    assert kept(train, evaluated("one", source="parallel", ids=("b-1",))) == [1]
    assert kept(train, evaluated("one", source="xquad", ids=("b-1",))) == [0, 1]


def test_transcripts() -> None:
    talk = f"{H} Hi there{A} Hello!{H} yes{A}"
    train = pairs(talk, f"{H} I have a question{A} Go on.{H} yes{A}", f"{H} yes{A} Right.{H} And now?{A}", "Hi there")
    assert kept(train, evaluated("hi there")) == [1, 2]  # a turn of a transcript, and a complete request
    assert kept(train, evaluated(talk)) == [2, 3]  # the complete transcript, and the last turn as a last turn
    assert kept(pairs(f"{H} Hi there{A} Hello!{H} Yes!{A}"), evaluated(talk)) == []


def test_near_duplicates_are_counted_and_kept() -> None:
    words = [f"word{number}" for number in range(60)]
    near, far = [*words[:-1], "other"], [*words[:20], "other", *words[21:40], "other", *words[41:]]
    han = "".join(chr(0x4E00 + number) for number in range(60))
    train = pairs(" ".join(near), " ".join(far), "short one", han)
    left, found = without_evaluated(train, evaluated(" ".join(words), "short two", han[:58]))
    assert len(left.rows) == 4
    assert found["near"] == 2  # 55 of 57 grams, and 54 of 56 of the Han text by characters; far: 46 of 66


def shipped_prompts() -> dict[str, list[str]]:
    """The evaluated prompts of the shipped set, by language."""
    texts: dict[str, list[str]] = {}
    for kind in ("harmful", "benign"):
        source = ParallelPrompts(source="parallel")
        for prompt in load_prompts(source, kind, languages=list(LANGUAGES), root=None, seed=0).rows:
            texts.setdefault(prompt.language, []).append(prompt.text)
    return texts


PROMPTS = shipped_prompts()


def between_letters(mark: str) -> Callable[[str], str]:
    """Puts a mark after every letter or digit that another one follows."""
    return lambda text: re.sub(r"(?<=\w)(?=\w)", mark, text)


def wide(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


def arabic_letter_forms(text: str) -> str:
    """Arabic letters as the isolated forms of Unicode's compatibility block."""
    forms = {
        unicodedata.normalize("NFKC", chr(code)): chr(code)
        for code in range(0xFE80, 0xFEFD)
        if "ISOLATED" in unicodedata.name(chr(code), "")
    }
    return "".join(forms.get(letter, letter) for letter in text)


def marks_in_another_order(text: str) -> str:
    text = unicodedata.normalize("NFD", text)
    marks = "".join({letter for letter in text if unicodedata.category(letter)[0] == "M"})
    return re.sub(f"[{marks}]{{2,}}", lambda run: run.group()[::-1], text) if marks else text


FORMS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "title": str.title,
    "swapcase": str.swapcase,
    "nfd": lambda text: unicodedata.normalize("NFD", text),
    "nfkd": lambda text: unicodedata.normalize("NFKD", text),
    "marks": marks_in_another_order,
    "wide": wide,
    "arabic forms": arabic_letter_forms,
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "ideographic spaces": lambda text: text.replace(" ", "\u3000"),
    "bidi": lambda text: f"\u202b\u2067{text}\u2069\u202c\u200f",
    "byte order mark": lambda text: "\ufeff" + text,
    **{
        f"U+{ord(mark):04X}": between_letters(mark)
        for mark in "\u00ad\u034f\u0640\u061c\u180b\u200b\u200c\u200d\u200e\u2060\ufe00\ufe0f\ufeff\U000e0100\U000e0061"
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_a_prompt_is_found_in_every_form_of_its_text(form: str) -> None:
    for code, texts in PROMPTS.items():
        forms = [FORMS[form](text) for text in texts]
        assert kept(pairs(*forms), evaluated(*texts)) == [], code
        assert kept(pairs(*texts), evaluated(*forms)) == [], code


def test_the_forms_change_the_texts() -> None:
    for form, change in FORMS.items():
        assert any(change(text) != text for texts in PROMPTS.values() for text in texts), form


@pytest.mark.parametrize("zero", "٠۰०০੦૦௦౦൦๐၀０߀𝟎")
def test_digits_of_every_script_are_the_same(zero: str) -> None:
    digits = {str(value): chr(ord(zero) + value) for value in range(10)}
    text = "Name 3 towns with 40 to 1569 people and 278 hens"
    form = "".join(digits.get(letter, letter) for letter in text)
    assert form != text
    assert kept(pairs(form), evaluated(text)) == []
    assert kept(pairs(form.replace(digits["3"], digits["8"])), evaluated(text)) == [0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("كيف حالك", "کیف حالک"),  # the keyboards of Arabic and Persian
        ("Cum faci pâine și ce cumperi?", "Cum faci pâine şi ce cumperi?"),  # cedilla for comma
        ("Що таке м'ята", "Що таке мʼята"),  # apostrophes
        ("น้ำ", "น\u0e4d\u0e49า"),  # a vowel sign in two parts, around the tone mark
        ("ΠΟΙΟΣ ΕΙΝΑΙ Ο ΔΡΟΜΟΣ", "ποιος ειναι ο δρομος"),
        ("STRASSE", "straße"),
        ("ISPARTA İÇİN", "ısparta için"),
    ],
)
def test_other_ways_to_type_a_text(one: str, other: str) -> None:
    assert one != other
    assert kept(pairs(one), evaluated(other)) == []


def test_different_shipped_texts_stay_different() -> None:
    for texts in PROMPTS.values():
        assert kept(pairs(*texts[1:]), evaluated(texts[0])) == list(range(len(texts) - 1))


def grams(text: str) -> set[tuple[str, ...]]:
    tokens = text.split()
    return {tuple(tokens[start : start + 5]) for start in range(max(1, len(tokens) - 4))}


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=14).map(" ".join), min_size=2, max_size=14))
def test_near_agrees_with_comparing_all(texts: list[str]) -> None:
    half = len(texts) // 2
    train, tests = texts[:half], texts[half:]
    left, found = without_evaluated(pairs(*train), evaluated(*tests))
    expected = [text for text in train if text not in tests]
    assert len(left.rows) == len(expected)
    assert found["near"] == sum(
        any(5 * len(grams(one) & grams(two)) >= 4 * len(grams(one) | grams(two)) for two in tests) for one in expected
    )


def test_two_thousand_by_two_thousand_takes_seconds() -> None:
    source = random.Random(0)
    words = [f"w{number}" for number in range(300)]

    def texts(count: int) -> list[str]:
        # All texts have the same beginning, as with templates: the worst case for an index.
        return [" ".join(["please", "tell", "me", "all", "about", *source.choices(words, k=60)]) for _ in range(count)]

    train, tests = pairs(*texts(2000)), evaluated(*texts(2000))
    start = time.process_time()
    assert len(without_evaluated(train, tests)[0].rows) == 2000
    assert time.process_time() - start < 10


def test_the_shipped_set_has_no_evaluated_prompt_in_training() -> None:
    train = load_pairs(ParallelPairs(source="parallel"), root=None, seed=0)
    prompts = [
        prompt
        for kind in ("harmful", "benign")
        for prompt in load_prompts(
            ParallelPrompts(source="parallel"), kind, languages={row.language for row in train.rows if row.language},
            root=None, seed=0,
        ).rows
    ]  # fmt: skip
    left, found = without_evaluated(train, prompts)
    assert len(left.rows) == len(train.rows) > 0
    assert found["evaluated"] == len(prompts) > 0


def test_published_hh_evaluated_on_itself_leaves_nothing() -> None:
    path = str(shared("hh-rlhf/harmless-base.test.jsonl.gz"))
    train = load_pairs(HHPairs(source="hh-rlhf", path=path), root=None, seed=0)
    prompts = load_prompts(
        HHPrompts(source="hh-rlhf", path=path, turns="all"), "harmful", languages=["en"], root=None, seed=0
    ).rows
    left, _ = without_evaluated(train, prompts)
    assert left.rows == ()
    half, _ = without_evaluated(train, prompts[::2])
    evaluated_ids = {prompt.prompt_id for prompt in prompts[::2]}
    assert 0 < len(half.rows) <= sum(row.prompt_id not in evaluated_ids for row in train.rows)


def test_a_system_turn_hides_no_evaluated_prompt() -> None:
    """Neither that of the pair nor that of the prompt, and marks that a user typed begin no turn."""
    turns = (Turn("system", "Be brief."), Turn("user", "How do I bake bread?"))
    (prompt,) = evaluated("")
    (pair,) = pairs("").rows
    with_system = dataclasses.replace(prompt, text=transcript(turns), turns=turns)
    other = dataclasses.replace(pair, prompt=transcript(turns), turns=turns)
    assert kept(pairs("How do I bake bread?", "Be brief."), [with_system]) == [1]
    assert kept(dataclasses.replace(pairs(""), rows=(other,)), evaluated("How do I bake bread?")) == []
    typed = (Turn("user", f"Continue:{H} How do I bake bread?"),)
    innocent = dataclasses.replace(pair, prompt=transcript(typed), turns=typed)
    assert kept(dataclasses.replace(pairs(""), rows=(innocent,)), evaluated("How do I bake bread?")) == [0]

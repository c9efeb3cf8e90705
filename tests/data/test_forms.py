"""Preferences in the forms in which others publish them. The rows are invented; the fields are those of the forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_preferences import FUZZ, A, H, jsonl, load
from test_readers import mutated, one_line

from tarazu.data.forms.messages import Unusable
from tarazu.data.forms.pairs import preference
from tarazu.errors import BadInput
from tarazu.study.sources import JsonlPairs


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def human(text: str) -> dict[str, str]:
    return {"from": "human", "value": text}


def gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


YES, NO = said("assistant", "yes"), said("assistant", "no")
BRIEF, WHY = said("system", "Be brief."), said("user", "Why?")
RATED = [
    {"model": "a", "response": "no", "fine-grained_score": 1.25, "overall_score": 10.0},
    {"model": "b", "response": "perhaps", "fine-grained_score": 3.0, "overall_score": 6.0},
    {"model": "c", "response": "yes", "fine-grained_score": 4.75, "overall_score": 8.5},
]

ONE_TURN = f"{H} Why?{A}"
WITH_SYSTEM = f"Be brief.{H} Why?{A}"
LONGER = f"{H} Hello{A} Hi{H} Why?{A}"

FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "TRL, texts": ({"prompt": "Why?", "chosen": "yes", "rejected": "no"}, ONE_TURN),
    "TRL, messages": ({"prompt": [WHY], "chosen": [YES], "rejected": [NO]}, ONE_TURN),
    "TRL, prompt within the answers": ({"chosen": [BRIEF, WHY, YES], "rejected": [BRIEF, WHY, NO]}, WITH_SYSTEM),
    "TRL, system in both": ({"prompt": [BRIEF, WHY], "chosen": [WHY, YES], "rejected": [WHY, NO]}, WITH_SYSTEM),
    "OpenAI": (
        {
            "input": {"messages": [BRIEF, WHY], "tools": [], "parallel_tool_calls": True},
            "preferred_output": [YES],
            "non_preferred_output": [NO],
        },
        WITH_SYSTEM,
    ),
    "OpenAI, parts": (
        {
            "input": {"messages": [said("developer", "Be brief."), said("user", [{"type": "text", "text": "Why?"}])]},
            "preferred_output": [said("assistant", [{"type": "text", "text": "y"}, {"type": "text", "text": "es"}])],
            "non_preferred_output": [NO],
        },
        WITH_SYSTEM,
    ),
    "LLaMA-Factory, sharegpt": (
        {"conversations": [human("Hello"), gpt("Hi"), human("Why?")], "chosen": gpt("yes"), "rejected": gpt("no")},
        LONGER,
    ),
    "LLaMA-Factory, sharegpt with system": (
        {"conversations": [human("Why?")], "chosen": gpt("yes"), "rejected": gpt("no"), "system": "Be brief."},
        WITH_SYSTEM,
    ),
    "LLaMA-Factory, alpaca": (
        {"instruction": "Why?", "input": "", "chosen": "yes", "rejected": "no"},
        ONE_TURN,
    ),
    "LLaMA-Factory, alpaca with everything": (
        {
            "instruction": "Why",
            "input": "this?",
            "chosen": "yes",
            "rejected": "no",
            "system": "Be brief.",
            "history": [["Hello", "Hi"]],
        },
        f"Be brief.{H} Hello{A} Hi{H} Why\nthis?{A}",
    ),
    "LLaMA-Factory, list of outputs": ({"instruction": "Why?", "input": "", "output": ["yes", "no"]}, ONE_TURN),
    "Axolotl, chat_template.default": ({"messages": [BRIEF, WHY], "chosen": YES, "rejected": NO}, WITH_SYSTEM),
    "Axolotl, conversation": ({"conversation": [BRIEF, WHY], "chosen": YES, "rejected": NO}, WITH_SYSTEM),
    "Axolotl, chatml.intel": (
        {"system": "Be brief.", "question": "Why?", "chosen": "yes", "rejected": "no"},
        WITH_SYSTEM,
    ),
    "Axolotl, chatml.argilla": (
        {"system": "", "instruction": "Why?", "chosen_response": "yes", "rejected_response": "no"},
        ONE_TURN,
    ),
    "Axolotl, chatml.icr": ({"system": "Be brief.", "input": "Why?", "chosen": "yes", "rejected": "no"}, WITH_SYSTEM),
    "Axolotl, chatml.ultra": (
        {"system": "Be brief.", "prompt": "Why?", "chosen": [WHY, YES], "rejected": [WHY, NO]},
        WITH_SYSTEM,
    ),
    "UltraFeedback, binarized": (
        {
            "prompt": "Why?",
            "prompt_id": "f00",
            "chosen": [WHY, YES],
            "rejected": [WHY, NO],
            "messages": [WHY, YES],
            "score_chosen": 8.5,
            "score_rejected": 6.0,
        },
        ONE_TURN,
    ),
    "UltraFeedback": ({"source": "x", "instruction": "Why?", "completions": RATED}, ONE_TURN),
    "Nectar": (
        {
            "prompt": f"{H} Why?{A} ",
            "answers": [{"answer": "no", "rank": 7.0}, {"answer": "yes", "rank": 1.0}, {"answer": "x", "rank": 2.0}],
            "turns": 1,
        },
        ONE_TURN,
    ),
    "HH-RLHF": ({"chosen": f"{LONGER} yes", "rejected": f"{LONGER} no"}, LONGER),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_published_form(tmp_path: Path, form: str) -> None:
    row, prompt = FORMS[form]
    path = jsonl(tmp_path / "p.jsonl", [row])
    (pair,) = load(JsonlPairs(source="jsonl", path=str(path))).rows
    assert (pair.prompt, pair.chosen, pair.rejected) == (prompt, " yes", " no")
    if pair.turns:
        roles = {"system": "", "user": f"{H} ", "assistant": f"{A} "}
        assert "".join(roles[turn.role] + turn.content for turn in pair.turns) + A == prompt


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_the_same_in_every_file(tmp_path: Path, form: str) -> None:
    """The same row as a JSON array, as parquet, and as csv with lists as JSON in its cells."""
    row, _ = FORMS[form]
    frame = pd.DataFrame([row])
    (tmp_path / "a.json").write_text(json.dumps([row], indent=1))
    names = ["a.json"]
    if form != "OpenAI, parts":  # parquet has no column of texts and lists
        frame.to_parquet(tmp_path / "a.parquet")
        names.append("a.parquet")
    lists = {name: json.dumps(value) for name, value in row.items() if isinstance(value, list)}
    flat = not any(isinstance(value, dict) for value in row.values())
    if flat and lists.keys() <= {"prompt", "chosen", "rejected", "messages"}:
        frame.assign(**lists).to_csv(tmp_path / "a.csv", index=False)
        names.append("a.csv")
    expected = load(JsonlPairs(source="jsonl", path=str(jsonl(tmp_path / "a.jsonl", [row])))).rows
    for name in names:
        assert load(JsonlPairs(source="jsonl", path=str(tmp_path / name))).rows == expected, name


@pytest.mark.parametrize("form", ["TRL, prompt within the answers", "UltraFeedback, binarized"])
def test_trl_splits_conversations_alike(form: str) -> None:
    trl = pytest.importorskip("trl.data_utils")
    row, _ = FORMS[form]
    expected = trl.extract_prompt({"chosen": row["chosen"], "rejected": row["rejected"]})
    found = preference(row)
    assert [turn._asdict() for turn in found.turns] == expected["prompt"]
    assert [found.chosen] == [message["content"] for message in expected["chosen"]]
    assert [found.rejected] == [message["content"] for message in expected["rejected"]]


def test_ratings_of_ultrafeedback() -> None:
    """The mean of the aspects' ratings decides; an overall score counts only without any."""

    def answers(scores: list[dict[str, Any]]) -> tuple[str, str]:
        completions = [{"response": str(place), **score} for place, score in enumerate(scores)]
        found = preference({"instruction": "Why?", "completions": completions})
        return found.chosen, found.rejected

    def rated(*ratings: str) -> dict[str, Any]:
        return {"annotations": {f"aspect {place}": {"Rating": one} for place, one in enumerate(ratings)}}

    assert answers([rated("5", "1"), rated("4", "4"), rated("N/A", "1")]) == ("1", "2")
    assert answers([{"overall_score": 3}, {"overall_score": 9}]) == ("1", "0")
    assert answers([{"fine-grained_score": 2}, {"fine-grained_score": 1}, {"fine-grained_score": 2}]) == ("0", "1")
    for completions, reason in (
        ([{"fine-grained_score": 2}, {"fine-grained_score": 2}], "all answers rated alike"),
        ([{"fine-grained_score": 2}, rated("N/A")], "fewer than two rated answers"),
        ([], "fewer than two rated answers"),
    ):
        with pytest.raises(Unusable) as caught:
            answers(completions)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [WHY], "chosen": {"role": "tool", "content": "x"}, "rejected": NO}, "a message of neither user"),
        ({"prompt": [WHY], "chosen": [{**YES, "tool_calls": [{}]}], "rejected": [NO]}, "a call of a tool"),
        (
            {"prompt": [said("user", [{"type": "image_url"}])], "chosen": "a", "rejected": "b"},
            "a message that is not t",
        ),
        ({"prompt": [said("user", None)], "chosen": "a", "rejected": "b"}, "a message that is not text"),
        ({"prompt": [{"content": "x"}], "chosen": "a", "rejected": "b"}, "a message without a role"),
        ({"prompt": "[{'role': 'user', 'content': 'x'}]", "chosen": "a", "rejected": "b"}, "messages written as text"),
        ({"prompt": "p", "chosen": "a", "rejected": 3}, "rejected is no list of messages"),
        ({"prompt": "p", "chosen": "a", "rejected": None}, "no rejected"),
        ({"prompt": "p", "chosen": [WHY, YES], "rejected": [said("user", "?"), NO]}, "prompts differ"),
        ({"prompt": f"{H} Hi", "chosen": "a", "rejected": "b"}, "transcript without an end"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "language": "xx"}, "unknown language"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "prompt_id": 1.5}, "prompt_id of another type"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "history": ["x"]}, "history of another form"),
        ({"instruction": "p", "output": ["a", "b", "c"]}, "output is not two answers"),
    ],
)
def test_unusable_rows_are_counted(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    good = FORMS["TRL, texts"][0]
    loaded = load(JsonlPairs(source="jsonl", path=str(jsonl(tmp_path / "p.jsonl", [row, good]))))
    assert len(loaded.rows) == 1
    ((counted, number),) = loaded.dropped.items()
    assert counted.startswith(reason)
    assert number == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"prompt": "p", "completion": "a", "label": True},
            "the rows are single answers with a label, as for KTO",
        ),
        (
            {"messages": [WHY, YES]},
            "the rows are conversations without a second answer, as for supervised fine-tuning",
        ),
        ({"instruction": "p", "input": "", "output": "a"}, "the rows are instructions with one answer"),
        ({"arm": "base", "language": "en", "reward": 1.0}, "the rows are a table of scores"),
        ({"a": 1, "b": 2}, "no fields 'chosen' and 'rejected' (the row has: a, b)"),
        ({"prompt": "p", "chosen": "c"}, "no field 'rejected' (the row has: prompt, chosen)"),
    ],
)
def test_a_file_of_something_else_says_what_it_is(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    path = jsonl(tmp_path / "p.jsonl", [row, row])
    with pytest.raises(BadInput) as caught:
        load(JsonlPairs(source="jsonl", path=str(path)))
    one_line(caught.value)
    assert f"{path}: line 1: {words}" in str(caught.value)


def test_columns_of_pairs_are_mapped(tmp_path: Path) -> None:
    row = {"id": 7, "q": "Why?", "best": "yes", "worst": "no", "lang": "sw", "role": "Be brief."}
    names = {
        "prompt_id": "id",
        "prompt": "q",
        "chosen": "best",
        "rejected": "worst",
        "language": "lang",
        "system": "role",
    }
    path = str(jsonl(tmp_path / "p.jsonl", [row]))
    (pair,) = load(JsonlPairs.model_validate({"source": "jsonl", "path": path, "columns": names})).rows
    assert (pair.prompt_id, pair.language, pair.prompt) == ("7", "sw", WITH_SYSTEM)
    assert (pair.chosen, pair.rejected) == (" yes", " no")
    with pytest.raises(BadInput, match="line 1: no column 'Q' to take prompt from; it has: id, q"):
        load(JsonlPairs.model_validate({"source": "jsonl", "path": path, "columns": {"prompt": "Q"}}))


SEEDS = ["".join(json.dumps(row) + "\n" for row, _ in FORMS.values()).encode()]


@FUZZ
@given(content=mutated(SEEDS))
def test_any_bytes_of_any_form_give_pairs_or_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own"
    path.write_bytes(content)
    try:
        load(JsonlPairs(source="jsonl", path=str(path)))
    except BadInput as error:
        one_line(error)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, 3, 1.5, "", "Why?", ONE_TURN, f"{H} x", "[{'role': 'user'"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "messages", "response"]), inner, max_size=3
        )
        | st.sampled_from([WHY, YES, BRIEF, human("x"), gpt("y")])
    ),
    max_leaves=6,
)
FIELDS = sorted({name for row, _ in FORMS.values() for name in row})


@FUZZ
@given(row=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
def test_any_values_in_the_fields_of_the_forms(row: dict[str, Any]) -> None:
    try:
        found = preference(row)
    except Unusable as error:
        assert "\n" not in error.detail
        assert error.reason
        return
    assert found.prompt.endswith(A)
    assert all(isinstance(text, str) for text in (found.prompt, found.chosen, found.rejected))
    assert not found.turns or found.turns[-1].role == "user"

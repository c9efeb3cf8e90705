from __future__ import annotations

import csv
import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from shared_data import shared
from test_preferences import A, H, hh, jsonl, load
from test_readers import mutated, one_line

from tarazu.data._xcopa import QUESTIONS
from tarazu.data.prompts import load_known_answers, load_prompts
from tarazu.data.rows import Kind, KnownAnswer, Loaded, Prompt
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES, by_task
from tarazu.study.sources import (
    HHPairs,
    HHPrompts,
    JsonlPrompts,
    MultiCheckListPrompts,
    MultiJailPrompts,
    ParallelPrompts,
    XCOPAPrompts,
    XQuADPrompts,
)

FUZZ = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def prompts(source: Any, kind: Kind = "benign", languages: Any = tuple(LANGUAGES), seed: int = 0) -> Loaded[Prompt]:
    loaded = load_prompts(source, kind, languages=languages, root=None, seed=seed)
    assert loaded.read == len(loaded.rows) + sum(loaded.dropped.values())
    assert len({(row.prompt_id, row.language) for row in loaded.rows}) == len(loaded.rows)
    assert {(row.kind, row.source) for row in loaded.rows} <= {(kind, loaded.source)}
    assert {row.language for row in loaded.rows} <= set(languages)
    return loaded


def known(source: Any, kind: Kind = "benign", languages: Any = tuple(LANGUAGES), seed: int = 0) -> Loaded[KnownAnswer]:
    loaded = load_known_answers(source, kind, languages=languages, root=None, seed=seed)
    assert loaded.read == len(loaded.rows) + sum(loaded.dropped.values())
    assert all(row.good.strip() and row.bad.strip() and row.good != row.bad for row in loaded.rows)
    queries = {(row.prompt_id, row.language): row.text for row in prompts(source, kind, languages, seed).rows}
    assert all(queries[row.prompt_id, row.language] == row.prompt for row in loaded.rows)
    return loaded


def test_the_wrong_kind_names_the_key() -> None:
    with pytest.raises(BadInput, match=r"prompts\.benign: multijail has harmful prompts only; .*prompts\.harmful"):
        prompts(MultiJailPrompts(source="multijail", path="x"), "benign")
    for source in (
        XQuADPrompts(source="xquad", path="x"),
        XCOPAPrompts(source="xcopa", path="x"),
        MultiCheckListPrompts(source="multichecklist", path="x"),
    ):
        with pytest.raises(BadInput, match=rf"prompts\.harmful: {source.source} has benign prompts only"):
            prompts(source, "harmful")
        with pytest.raises(BadInput, match=r"reward\.known_answers\.harmful: "):
            load_known_answers(source, "harmful", languages=["en"], root=None, seed=0)
    with pytest.raises(BadInput, match=r"reward\.known_answers\.harmful: multijail has prompts but no known answers"):
        load_known_answers(
            MultiJailPrompts(source="multijail", path="x"), "harmful", languages=["en"], root=None, seed=0
        )


# --- jsonl ----------------------------------------------------------------------------------------

OWN = [
    {"prompt_id": f"q{number}", "language": code, "prompt": f"{code} {number}?", "good": "yes", "bad": "no"}
    for code in ("en", "de")
    for number in range(9)
]


def test_jsonl(tmp_path: Path) -> None:
    rows = [
        *OWN,
        {"prompt_id": "x", "language": "en", "prompt": "en 0?"},
        {"prompt_id": "y", "language": "fr", "prompt": " "},
    ]
    source = JsonlPrompts(source="jsonl", path=str(jsonl(tmp_path / "own.jsonl", rows)))
    assert len(prompts(source).rows) == 18
    assert prompts(source).dropped == {"duplicate text": 1, "empty prompt": 1}
    assert prompts(source, languages=["de"]).read == 9
    assert prompts(source, languages=["sw"]).read == 0
    assert known(source).rows[0].good == "yes"
    plain = jsonl(tmp_path / "plain.jsonl", [{**OWN[0], "good": None, "bad": None}])
    assert known(JsonlPrompts(source="jsonl", path=str(plain))).dropped == {"no known answers": 1}


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"language": "xx"}, "unknown language", "line 1: unknown language 'xx'"),
        ({"language": None}, "empty language", "language is empty"),
        ({"prompt_id": " "}, "empty prompt_id", "prompt_id is empty"),
        ({"prompt_id": 0.5}, "prompt_id of another type", "prompt_id must be text or a whole number, not 0.5"),
        ({"bad": None}, "only one of good and bad", "good and bad go together"),
        ({"good": 3}, "good is not text", "'good' must be text"),
        ({"prompt": f"{H} Hello"}, "transcript without an end", "must then end with"),
        ({"prompt": 3}, "prompt is not text", "'prompt' must be text or a list of messages"),
        ({"prompt": []}, "no message", "prompt has no message"),
        ({"prompt": [{"role": "assistant", "content": "a"}]}, "prompt does not end with the user", "must end with the"),
    ],
)
def test_unusable_prompts_are_counted_and_refused_if_there_are_no_others(
    tmp_path: Path, change: dict[str, Any], reason: str, message: str
) -> None:
    row = {**OWN[0], "prompt_id": "new", **change}
    path = jsonl(tmp_path / "own.jsonl", [*OWN, row])
    loaded = prompts(JsonlPrompts(source="jsonl", path=str(path)))
    assert len(loaded.rows) == 18
    assert loaded.dropped == {reason: 1}
    alone = jsonl(tmp_path / "own.jsonl", [row])
    with pytest.raises(BadInput, match=message):
        prompts(JsonlPrompts(source="jsonl", path=str(alone)))


def test_a_prompt_id_twice_in_a_language_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "own.jsonl", [*OWN, {**OWN[0], "prompt_id": "q0"}])
    with pytest.raises(BadInput, match="line 19: prompt_id 'q0' in en is also in line 1"):
        prompts(JsonlPrompts(source="jsonl", path=str(path)))


def test_whole_number_ids_are_the_same_in_every_form(tmp_path: Path) -> None:
    """2**53 + 1 is no 64-bit float, so a reader that goes through floats gets another id."""
    numbers = [0, 7, 2**53 + 1]
    frame = pd.DataFrame([{"prompt_id": one, "language": "en", "prompt": f"Q{one}?"} for one in numbers])
    frame.to_parquet(tmp_path / "p.parquet")
    frame.to_csv(tmp_path / "p.csv")
    frame.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    frame.to_json(tmp_path / "p.json", orient="records", indent=1)
    jsonl(tmp_path / "p.jsonl", [{**row, "prompt_id": str(row["prompt_id"])} for row in frame.to_dict("records")])
    for name in ("p.parquet", "p.csv", "p.tsv", "p.json", "p.jsonl"):
        loaded = prompts(JsonlPrompts(source="jsonl", path=str(tmp_path / name)))
        assert [row.prompt_id for row in loaded.rows] == [str(one) for one in numbers], name
        assert [row.text for row in loaded.rows] == [f"Q{one}?" for one in numbers], name


def test_columns_of_prompts_are_mapped(tmp_path: Path) -> None:
    rows = [{"id": 1, "lang": "en", "instruction": "Why?", "best": "yes", "worst": "no"}]
    path = str(jsonl(tmp_path / "p.jsonl", rows))
    columns = {"prompt_id": "id", "language": "lang", "prompt": "instruction", "good": "best", "bad": "worst"}
    source = JsonlPrompts.model_validate({"source": "jsonl", "path": path, "columns": columns})
    (row,) = known(source).rows
    assert (row.prompt_id, row.language, row.prompt, row.good, row.bad) == ("1", "en", "Why?", "yes", "no")
    named = {"source": "jsonl", "path": path, "columns": {"prompt_id": "id", "prompt": "instruction"}}
    with pytest.raises(BadInput, match="no field 'language'; it has: lang, best, worst"):
        prompts(JsonlPrompts.model_validate(named))
    assert [row.language for row in prompts(JsonlPrompts.model_validate({**named, "language": "sw"})).rows] == ["sw"]
    wrong = JsonlPrompts.model_validate({"source": "jsonl", "path": path, "columns": {"prompt": "question"}})
    with pytest.raises(BadInput, match="no column 'question' to take prompt from; it has: id, lang, instruction"):
        prompts(wrong)
    with pytest.raises(BadInput, match="no field 'prompt_id'; it has: id, lang"):
        prompts(JsonlPrompts(source="jsonl", path=path))


def test_prompts_may_be_messages(tmp_path: Path) -> None:
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    rows = [
        {"prompt_id": "a", "language": "en", "prompt": system, "good": "yes", "bad": "no"},
        {"prompt_id": "b", "language": "en", "prompt": system[1:], "good": "yes", "bad": "no"},
    ]
    source = JsonlPrompts(source="jsonl", path=str(jsonl(tmp_path / "p.jsonl", rows)))
    first, second = prompts(source).rows
    assert first.turns == (("system", "Be brief."), ("user", "Why?"))
    assert first.text == f"Be brief.{H} Why?{A}"
    assert (second.text, second.turns) == ("Why?", (("user", "Why?"),))
    assert [row.turns for row in known(source).rows] == [first.turns, second.turns]


def test_limit_keeps_the_same_ids_in_every_language(tmp_path: Path) -> None:
    path = str(jsonl(tmp_path / "own.jsonl", OWN))

    def ids(languages: Any, **more: Any) -> dict[str, list[str]]:
        seed = more.pop("seed", 0)
        loaded = prompts(JsonlPrompts(source="jsonl", path=path, limit=4, **more), languages=languages, seed=seed)
        assert loaded.dropped == {"over the limit": 5 * len(languages)}
        return {code: [row.prompt_id for row in loaded.rows if row.language == code] for code in languages}

    both = ids(["en", "de"])
    assert both["en"] == both["de"] == ids(["de"])["de"]
    assert len({tuple(ids(["en"], seed=seed)["en"]) for seed in range(5)}) > 1
    assert ids(["en"], select="first")["en"] == ["q0", "q1", "q2", "q3"]


# --- hh-rlhf ---------------------------------------------------------------------------------------


def test_hh_prompts(tmp_path: Path) -> None:
    rows = [
        hh(f"{H} Where do otters sleep? {A} In kelp.{H} And seals?", " On ice.", " Dunno."),
        hh(f"{H} What do Otters eat?", " Crabs.", " Dunno."),
        hh(f"{H} What do otterhounds eat?", " Meat.", " Dunno."),
    ]
    path = str(jsonl(tmp_path / "hh.jsonl", rows))
    first = prompts(HHPrompts(source="hh-rlhf", path=path, contains=("otters", "no.thing")), "benign")
    assert [row.text for row in first.rows] == ["Where do otters sleep?", "What do Otters eat?"]
    assert first.dropped == {"contains none of the words": 1}
    transcripts = prompts(HHPrompts(source="hh-rlhf", path=path, turns="all"), "harmful")
    assert transcripts.rows[0].text == f"{H} Where do otters sleep? {A} In kelp.{H} And seals?{A}"
    # Training and evaluation agree on the id of a prompt.
    trained = {pair.prompt: pair.prompt_id for pair in load(HHPairs(source="hh-rlhf", path=path)).rows}
    assert [row.prompt_id for row in transcripts.rows] == list(trained.values())
    assert first.rows[1].prompt_id == trained[f"{H} What do Otters eat?{A}"]
    answers = known(HHPrompts(source="hh-rlhf", path=path), "benign")
    assert [row.good for row in answers.rows] == [" Crabs.", " Meat."]
    assert answers.dropped == {"its answers are to a later turn": 1}
    assert prompts(HHPrompts(source="hh-rlhf", path=path), languages=["de"]).read == 0


# --- multijail -------------------------------------------------------------------------------------

JAIL = "id,source,tags,en,zh,jv\n7,own,\"['a, b']\",Pick a lock?,撬锁？,Kepriye?\n9,own,[],Pick a lock?,偷车？,\n"


def test_multijail(tmp_path: Path) -> None:
    path = tmp_path / "multijail.csv"
    path.write_text(JAIL, encoding="utf-8")
    loaded = prompts(MultiJailPrompts(source="multijail", path=str(path)), "harmful")
    assert [(row.prompt_id, row.language, row.text) for row in loaded.rows] == [
        ("multijail-7", "en", "Pick a lock?"),
        ("multijail-7", "zh", "撬锁？"),
        ("multijail-7", "jv", "Kepriye?"),
        ("multijail-9", "zh", "偷车？"),
    ]
    assert loaded.dropped == {"duplicate text": 1, "empty prompt": 1}
    path.write_text(JAIL.replace("\n9,", "\n7,"), encoding="utf-8")
    with pytest.raises(BadInput, match="line 3: the id '7' is also in line 2"):
        prompts(MultiJailPrompts(source="multijail", path=str(path)), "harmful")
    path.write_text(JAIL.replace(",en,", ",eng,"), encoding="utf-8")
    with pytest.raises(BadInput, match="no field 'en'"):
        prompts(MultiJailPrompts(source="multijail", path=str(path)), "harmful")


def test_columns_of_multijail_may_name_any_language(tmp_path: Path) -> None:
    path = tmp_path / "multijail.csv"
    path.write_text("id,source,tags,en,pt_BR,zho_Hant,ind\n7,own,[],Pick?,Abrir?,撬鎖？,Buka?\n", encoding="utf-8")
    source = MultiJailPrompts(source="multijail", path=str(path))
    loaded = load_prompts(source, "harmful", languages=["en", "id", "pt-BR", "zh-Hant"], root=None, seed=0)
    assert [(row.language, row.text) for row in loaded.rows] == [
        ("en", "Pick?"),
        ("pt-BR", "Abrir?"),
        ("zh-Hant", "撬鎖？"),
        ("id", "Buka?"),
    ]
    path.write_text("id,source,tags,en,zh,zh-CN\n7,own,[],Pick?,撬?,撬?\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"line 2: the columns 'zh' and 'zh-CN' are both Chinese \(zh\); keep one"):
        load_prompts(source, "harmful", languages=["en"], root=None, seed=0)


# --- xquad -----------------------------------------------------------------------------------------


def squad(passage: str, *questions: tuple[str, str, str]) -> dict[str, Any]:
    qas = [
        {"id": qid, "question": text, "answers": [{"text": answer, "answer_start": passage.index(answer)}]}
        for qid, text, answer in questions
    ]
    return {"context": passage, "qas": qas}


def write_squad(path: Path, *paragraphs: dict[str, Any]) -> None:
    content = json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": list(paragraphs)}]}).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def xquad(tmp_path: Path) -> Path:
    folder = tmp_path / "xquad"
    folder.mkdir()
    write_squad(
        folder / "xquad.en.json",
        squad(
            "The old bridge was built in 1712 by Ada Stone.",
            ("q1", "When was it built?", "1712"),
            ("q2", "Who built it?", "Ada Stone"),
            ("q3", "Who was Ada?", "Ada"),
            ("q4", "What was built?", "old bridge"),
        ),
        squad("A lonely passage.", ("q5", "What is it?", "lonely")),
    )
    write_squad(
        folder / "xquad.de.json.gz",
        squad(
            "Die alte Brücke wurde 1712 von Ada Stone gebaut.",
            ("q1", "Wann wurde sie gebaut?", "1712"),
            ("q2", "Wer baute sie?", "Ada Stone"),
            ("q3", "Wer war Ada?", "Ada"),
            # In German this answer overlaps that of q1.
            ("q4", "Was wurde gebaut?", "alte Brücke wurde 1712"),
        ),
        squad("Eine einsame Stelle.", ("q5", "Was ist es?", "einsame")),
    )
    return folder


def test_xquad(xquad: Path) -> None:
    loaded = prompts(XQuADPrompts(source="xquad", path=str(xquad)))
    assert Counter(row.language for row in loaded.rows) == {"de": 5, "en": 5}
    assert loaded.rows[5].text == "The old bridge was built in 1712 by Ada Stone.\n\nWhen was it built?"
    assert prompts(XQuADPrompts(source="xquad", path=str(xquad)), languages=["sw"]).read == 0
    chosen = set()
    for seed in range(20):
        answers = known(XQuADPrompts(source="xquad", path=str(xquad)), seed=seed)
        assert answers.dropped == {"no other span of the passage is surely wrong": 2}
        bad = {(row.prompt_id, row.language): row.bad for row in answers.rows}
        # The same question gives the bad answer in both languages, and never one that overlaps in either.
        assert bad["xquad-q1", "en"] == bad["xquad-q1", "de"]
        assert bad["xquad-q4", "en"] in ("Ada Stone", "Ada")
        assert bad["xquad-q2", "en"] in ("1712", "old bridge")
        alone = known(XQuADPrompts(source="xquad", path=str(xquad)), languages=["en"], seed=seed)
        assert {row.prompt_id: row.bad for row in alone.rows} == {
            prompt_id: text for (prompt_id, code), text in bad.items() if code == "en"
        }
        chosen.add(bad["xquad-q1", "en"])
    assert chosen == {"Ada Stone", "Ada"}


def test_xquad_defects(xquad: Path) -> None:
    source = XQuADPrompts(source="xquad", path=str(xquad))
    for content, message in (
        (b"[]", "the file has no list 'data'"),
        (b'{"data": [{"paragraphs": [3]}]}', "has no list 'qas'"),
        (b'{"data": [{"paragraphs": [{"qas": [3]}]}]}', "question 1 has no list 'answers'"),
        (b'{"data": [{"paragraphs": [{"qas": [{"id": "a", "answers": [3]}]}]}]}', "an answer is not an object"),
        (b'{"data": [{"paragraphs": [{"qas": [{"id": "a", "answers": []}]}]}]}', "'context' is null"),
        (
            b'{"data": [{"paragraphs": [{"context": "", "qas": [{"id": "a", "answers": []}]}]}]}',
            "question 'a' has no answer",
        ),
    ):
        (xquad / "xquad.en.json").write_bytes(content)
        with pytest.raises(BadInput, match=message):
            prompts(source)
    with pytest.raises(BadInput, match="no such folder"):
        prompts(XQuADPrompts(source="xquad", path=str(xquad / "absent")))
    (xquad / "none").mkdir()
    with pytest.raises(BadInput, match=r"contains no xquad\.<code>\.json"):
        prompts(XQuADPrompts(source="xquad", path=str(xquad / "none")))


# --- xcopa -----------------------------------------------------------------------------------------

COPA = [
    {"premise": "Piove.", "choice1": "Rido.", "choice2": "Mi bagno.", "question": "effect", "label": 1, "idx": 4},
    {"premise": "Dormo.", "choice1": "Ero stanco.", "choice2": "Ho fame.", "question": "cause", "label": 0, "idx": 8},
]


def test_xcopa(tmp_path: Path) -> None:
    # Published with \r\n, and with a folder for each language.
    (tmp_path / "val.it.jsonl").write_bytes("".join(json.dumps(row) + "\r\n" for row in COPA).encode())
    jsonl(tmp_path / "et/val.et.jsonl", COPA)
    source = XCOPAPrompts(source="xcopa", path=str(tmp_path), split="val")
    rows = {(row.prompt_id, row.language): row for row in known(source).rows}
    assert set(rows) == {(f"xcopa-val-{idx}", code) for idx in (4, 8) for code in ("it", "et")}
    row = rows["xcopa-val-4", "it"]
    assert (row.prompt, row.good, row.bad) == ("Piove.\nChe cosa è successo di conseguenza?", "Mi bagno.", "Rido.")
    assert rows["xcopa-val-8", "it"].good == "Ero stanco."
    assert prompts(source, languages=["en", "vi"]).read == 0
    with pytest.raises(BadInput, match=r"contains no test\.<code>\.jsonl"):
        prompts(XCOPAPrompts(source="xcopa", path=str(tmp_path)))
    for change, message in (
        ({"label": 2}, "label is 2"),
        ({"question": "why"}, "question is 'why'"),
        ({"idx": 8}, "duplicate idx 8"),
        ({"premise": None}, "'premise' is null"),
    ):
        jsonl(tmp_path / "val.it.jsonl", [COPA[1], {**COPA[0], **change}])
        with pytest.raises(BadInput, match=rf"val\.it\.jsonl: line 2: .*{message}"):
            prompts(source)


def test_xcopa_has_its_questions_in_all_its_languages() -> None:
    assert set(QUESTIONS) == set(by_task("xcopa"))
    assert all(set(questions) == {"cause", "effect"} for questions in QUESTIONS.values())


# --- multichecklist --------------------------------------------------------------------------------

# Two languages: English with one column, Russian with two variants, as in the published table.
CHECKLIST = [
    ["Field", "en", "de", "de-placeholders", "de", "de-placeholders", "ha"],
    ["Name", "Fruit vs tool", "", "", "", "", ""],
    ["Capability", "Taxonomy", "", "", "", "", ""],
    [
        "Context",
        "{first_name} has {fruit}. {tool[1]} is old.",
        "{first_name} hat {a:fruit}. {tool[1]} ist alt.",
        "",
        "",
        "",
        "x",
    ],
    ["Question", "What fruit?", "Welche Frucht?", "an apple, a pear", "Welches Obst?", "a plum", "x"],
    ["Answer", "{fruit}", "{fruit}", "", "", "", "x"],
    ["Question", "What tool?", "Welches Werkzeug?", "", "", "", "x"],
    ["Answer", "{tool[0]}", "{tool[0]}", "", "", "", "x"],
    ["fruit", "an apple", "einen Apfel", "", "", "", "x"],
    ["fruit", "a plum", "eine Pflaume", "", "", "", "x"],
    ["fruit", "a fig", "eine Feige", "", "", "", "x"],
    ["tool", "a saw, the saw", "eine Säge, die Säge", "", "", "", "x"],
    ["tool", "a file, the file", "eine Feile", "", "", "", "x"],
    ["", "", "", "", "", "", ""],
    ["Name", "Property", "", "", "", "", ""],
    ["Context", "It is {p.v1} and {p.v2}.", "Es ist {p.v1} und {p.v2}.", "", "", "", ""],
    ["Question", "What {p.p1}?", "Welche {p.p1}?", "color", "Welches {p.p1}?", "age", ""],
    ["Answer", "{p.v1}", "{p.v1}", "", "", "", ""],
    ["Question", "What {p.p2}?", "Welche {p.p2}?", "color", "Welches {p.p1}?", "age", ""],
    ["Answer", "{p.v2}", "{p.v2}", "", "", "", ""],
    ["color", "red", "rot", "", "", "", ""],
    ["color", "blue", "", "", "", "", ""],
    ["age", "new", "neu", "", "", "", ""],
    ["property", "color", "Farbe", "", "", "", ""],
    ["property", "age", "Alter", "", "", "", ""],
]


def write_table(path: Path, table: list[list[str]]) -> Path:
    path.write_bytes("".join("\t".join(row) + "\r\n" for row in table).encode())
    return path


def test_multichecklist_fillings(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.tsv", CHECKLIST)
    source = MultiCheckListPrompts(source="multichecklist", path=str(path), per_test=10_000)
    loaded = known(source, languages=["en", "de", "ro"])
    rows = {(row.prompt_id, row.language): row for row in loaded.rows}
    fruit = {key[0] for key in rows if key[0].startswith("multichecklist-fruit-vs-tool-")}
    # 2 questions x 8 names x 3 fruits x 2 tools; 2 questions x 4 ordered pairs of values of different properties.
    assert len(fruit) == 96
    assert {key[0] for key in rows} - fruit == {f"multichecklist-property-{number}" for number in range(8)}
    for (prompt_id, code), row in rows.items():
        if code != "de" or prompt_id not in fruit:
            continue
        english = rows[prompt_id, "en"]
        assert "eine Säge" in (row.good, row.bad)  # because the other tool lacks a form
        assert "Die Säge ist alt." in row.prompt  # a sentence begins with a capital
        question, word = row.prompt.split("\n")[1], english.good if "fruit" in english.prompt.split("\n")[1] else ""
        if word:
            assert (question, row.good) == {
                "an apple": ("Welche Frucht?", "einen Apfel"),
                "a plum": ("Welches Obst?", "eine Pflaume"),
            }[word]
    german = [row for row in loaded.rows if row.language == "de" and row.prompt_id not in fruit]
    # Of the second question only the one about the color is valid: the other needs {p.p1}.
    assert sorted((row.prompt.split("\n")[1], row.good, row.bad) for row in german) == [
        ("Welche Farbe?", "rot", "neu"),
        ("Welche Farbe?", "rot", "neu"),
        ("Welches Alter?", "neu", "rot"),
    ]
    assert loaded.dropped == {
        "a filler does not have the forms that the template needs": 48,
        "no translated variant serves the filling": 8,
        "not translated": 4,
        "the translation has other placeholders than the English": 1,
    }


def test_multichecklist_numbers_do_not_depend_on_the_draw(tmp_path: Path) -> None:
    path = str(write_table(tmp_path / "t.tsv", CHECKLIST))
    every = prompts(MultiCheckListPrompts(source="multichecklist", path=path, per_test=999), languages=["en"])
    texts = {row.prompt_id: row.text for row in every.rows}
    draws = set()
    for seed in range(3):
        few = prompts(
            MultiCheckListPrompts(source="multichecklist", path=path, per_test=4), languages=["en"], seed=seed
        )
        assert len(few.rows) == 8
        assert all(texts[row.prompt_id] == row.text for row in few.rows)
        draws.add(tuple(row.prompt_id for row in few.rows))
    assert len(draws) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["Text", *CHECKLIST[0][1:]]], "must begin with Field, en"),
        ([CHECKLIST[0], CHECKLIST[3]], "line 2: 'Context' comes before the first Name"),
        ([CHECKLIST[0]], "contains no test"),
        (CHECKLIST[:5], "must have Context rows and two pairs"),
        (CHECKLIST[:8], r"uses \{fruit\} but has no filler rows"),
        ([*CHECKLIST, *CHECKLIST[1:]], "a second test has the name 'Fruit vs tool'"),
        ([*CHECKLIST[:4], ["Context", "{Odd}", *[""] * 5], *CHECKLIST[4:]], "unknown placeholder"),
    ],
)
def test_multichecklist_defects(tmp_path: Path, rows: list[list[str]], message: str) -> None:
    path = write_table(tmp_path / "t.tsv", rows)
    with pytest.raises(BadInput, match=message):
        prompts(MultiCheckListPrompts(source="multichecklist", path=str(path)))


# --- the hub ---------------------------------------------------------------------------------------


def test_hub_rows_are_read_like_files(monkeypatch: pytest.MonkeyPatch) -> None:
    passage = "Ada built it in 1712."
    squads = [
        {"id": qid, "context": passage, "question": f"{qid}?", "answers": {"text": [a], "answer_start": [start]}}
        for qid, a, start in (("q1", "Ada", 0), ("q2", "1712", 16))
    ]
    module = ModuleType("datasets")
    queries: list[Any] = []

    def load_dataset(hub: str, name: str | None = None, *, split: str) -> list[dict[str, Any]]:
        queries.append((hub, name, split))
        jail = [{"id": 3, "source": "own", "tags": [], "en": "Pick a lock?", "zh": "撬锁？"}]
        return {"google/xquad": squads, "cambridgeltl/xcopa": COPA, "DAMO-NLP-SG/MultiJail": jail}[hub]

    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    assert [row.prompt_id for row in prompts(MultiJailPrompts(source="multijail"), "harmful").rows] == [
        "multijail-3"
    ] * 2
    assert {row.bad for row in known(XQuADPrompts(source="xquad"), languages=["de"]).rows} == {"Ada", "1712"}
    assert len(prompts(XCOPAPrompts(source="xcopa", split="val"), languages=["it", "en"]).rows) == 2
    assert ("google/xquad", "xquad.de", "validation") in queries
    assert ("cambridgeltl/xcopa", "it", "validation") in queries
    assert ("DAMO-NLP-SG/MultiJail", None, "train") in queries


# --- published data ---------------------------------------------------------------------------------


def test_published_multijail() -> None:
    path = shared("multijail/multijail.csv")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        table = list(csv.DictReader(stream))
    loaded = prompts(MultiJailPrompts(source="multijail", path=str(path)), "harmful")
    codes = ("en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv")
    assert loaded.read == len(table) * len(codes) == 2780
    assert {(row.language, row.text) for row in loaded.rows} == {(code, row[code]) for row in table for code in codes}


def test_published_xquad() -> None:
    folder = shared("xquad")
    questions: dict[str, dict[str, tuple[str, str, int]]] = {}
    for path in sorted(folder.glob("xquad.*.json.gz")):
        data = json.loads(gzip.decompress(path.read_bytes()))["data"]
        questions[path.name.split(".")[1]] = {
            row["id"]: (part["context"], row["answers"][0]["text"], row["answers"][0]["answer_start"])
            for article in data
            for part in article["paragraphs"]
            for row in part["qas"]
        }
    assert set(questions) == set(by_task("xquad"))
    loaded = prompts(XQuADPrompts(source="xquad", path=str(folder)))
    assert loaded.read == sum(map(len, questions.values())) == 12 * 1190
    assert set(loaded.dropped) <= {"duplicate text"}
    bad_of: dict[str, set[str]] = {}
    for row in known(XQuADPrompts(source="xquad", path=str(folder))).rows:
        by_id = questions[row.language]
        qid = row.prompt_id.removeprefix("xquad-")
        passage, answer, start = by_id[qid]
        assert row.good == answer.strip()
        assert row.prompt.startswith(f"{passage.strip()}\n\n")
        span = range(start, start + len(answer))
        others = {
            other
            for other, (context, text, place) in by_id.items()
            if context == passage and text.strip() == row.bad and not {place, place + len(text) - 1} & set(span)
        }
        assert others
        bad_of[qid] = bad_of.get(qid, others) & others
    assert all(bad_of.values())  # one question gives the bad answer in all languages
    assert len(bad_of) > 1150


def test_published_xcopa() -> None:
    folder = shared("xcopa")
    for split, count in (("test", 500), ("val", 100)):
        loaded = known(XCOPAPrompts(source="xcopa", path=str(folder), split=split))  # type: ignore[arg-type]
        assert loaded.read == 11 * count
        rows = {(row.prompt_id, row.language): row for row in loaded.rows}
        for code in QUESTIONS:
            with (folder / f"{split}.{code}.jsonl").open(encoding="utf-8") as stream:
                for line in stream:
                    truth = json.loads(line)
                    row = rows.get((f"xcopa-{split}-{truth['idx']}", code))
                    if row is not None:
                        assert row.good == truth[f"choice{truth['label'] + 1}"].strip()
                        assert row.bad == truth[f"choice{2 - truth['label']}"].strip()
        assert len(rows) >= 11 * count - 1


def test_published_multichecklist() -> None:
    path = shared("multichecklist/checklist_templates.tsv")
    source = MultiCheckListPrompts(source="multichecklist", path=str(path))
    loaded = known(source)
    counts = Counter(row.language for row in loaded.rows)
    assert set(counts) == set(LANGUAGES) - {"ro"}
    assert loaded.read == 49 * 36
    assert counts["en"] == 36
    assert min(counts.values()) >= 20
    english = {row.prompt_id: row for row in loaded.rows if row.language == "en"}
    for row in loaded.rows:
        assert not {"{", "}"} & set(row.prompt + row.good + row.bad)
        # First names are the same in every language.
        names = [name for name in ("Omar", "David", "Leo", "Nora") if name in english[row.prompt_id].prompt]
        assert all(name in row.prompt for name in names)


def test_published_hh_prompts() -> None:
    path = shared("hh-rlhf/harmless-base.test.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        first = {json.loads(line)["chosen"].split(A)[0].removeprefix(H).strip() for line in stream}
    loaded = prompts(HHPrompts(source="hh-rlhf", path=str(path)), "harmful")
    assert {row.text for row in loaded.rows} <= first
    assert len(loaded.rows) >= len(first) - loaded.dropped["prompts differ"]
    assert all("\n\n" not in row.text or not row.text.startswith(H) for row in loaded.rows)


# --- arbitrary bytes --------------------------------------------------------------------------------

SOURCES: dict[str, tuple[str, Any, Kind, bytes]] = {
    "jsonl": (
        "own.jsonl",
        lambda path: JsonlPrompts(source="jsonl", path=str(path)),
        "benign",
        "".join(json.dumps(row) + "\n" for row in OWN[::6]).encode(),
    ),
    "multijail": (
        "multijail.csv",
        lambda path: MultiJailPrompts(source="multijail", path=str(path)),
        "harmful",
        JAIL.encode(),
    ),
    "xcopa": (
        "test.it.jsonl",
        lambda path: XCOPAPrompts(source="xcopa", path=str(path.parent)),
        "benign",
        "".join(json.dumps(row) + "\n" for row in COPA).encode(),
    ),
    "xquad": (
        "xquad.en.json",
        lambda path: XQuADPrompts(source="xquad", path=str(path.parent)),
        "benign",
        json.dumps(
            {"data": [{"paragraphs": [squad("Ada built it in 1712.", ("q1", "Who?", "Ada"), ("q2", "When?", "1712"))]}]}
        ).encode(),
    ),
    "multichecklist": (
        "t.tsv",
        lambda path: MultiCheckListPrompts(source="multichecklist", path=str(path)),
        "benign",
        "".join("\t".join(row) + "\r\n" for row in CHECKLIST).encode(),
    ),
    "parallel": (
        "en.jsonl",
        lambda path: ParallelPrompts(source="parallel", path=str(path.parent)),
        "benign",
        b'{"id": "b-1", "prompt": "How?", "good": "So.", "bad": "No.", "author": "machine", "reviewed": false}\n',
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_any_bytes_give_rows_or_one_line(tmp_path: Path, name: str) -> None:
    file, source, kind, sound = SOURCES[name]
    (tmp_path / "index.csv").write_text("id,kind,category,split\nb-1,benign,food,test\n")
    path = tmp_path / file
    path.write_bytes(sound)
    assert prompts(source(path), kind).rows

    @FUZZ
    @given(content=mutated([sound]))
    def try_it(content: bytes) -> None:
        path.write_bytes(content)
        for load_rows in (prompts, known):
            if load_rows is known and name == "multijail":
                continue
            try:
                load_rows(source(path), kind)
            except BadInput as error:
                one_line(error)

    try_it()

"""What sources say about their prompts: categories and the quality of translations, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_scores import random_rows
from pydantic import TypeAdapter
from shared_data import shared

from tarazu.data.prompts import load_prompts
from tarazu.data.rows import Prompt
from tarazu.errors import BadInput
from tarazu.run.inputs import Inputs
from tarazu.scores import read_scores, response_rows, score_rows, write_scores
from tarazu.study.schema import Thresholds
from tarazu.study.sources import AnyPromptSource


def loaded(kind: Any, languages: list[str], **settings: Any) -> dict[tuple[str, str], Prompt]:
    source: Any = TypeAdapter(AnyPromptSource).validate_python(settings)
    rows = load_prompts(source, kind, languages=languages, root=None, seed=1).rows
    return {(row.prompt_id, row.language): row for row in rows}


def test_multijail_has_tags(tmp_path: Path) -> None:
    (tmp_path / "multijail.csv").write_text(
        "id,source,tags,en,sw\n"
        "1,made up,\"['Theft', 'Non-violent (e.g. lying, cheating)']\",Steal?,Kuiba?\n"
        "2,made up,[],Lie?,Danganya?\n"
        "3,made up,__import__('os'),Hack?,Dukua?\n",
        encoding="utf-8",
    )
    rows = loaded("harmful", ["en", "sw"], source="multijail", path=str(tmp_path / "multijail.csv"))
    assert rows["multijail-1", "sw"].category == ("Theft", "Non-violent (e.g. lying, cheating)")
    assert rows["multijail-2", "en"].category == rows["multijail-3", "en"].category == ()


def test_the_published_multijail_has_tags() -> None:
    rows = loaded("harmful", ["en", "sw"], source="multijail", path=str(shared("multijail/multijail.csv")))
    assert len(rows) == 2 * 278 and all(row.category for row in rows.values())
    assert rows["multijail-1", "en"].category == (
        "Non-violent unethical behavior (e.g. lying, cheating, etc.)",
        "Conspiracy theories & misinformation",
    )


def test_polyrefuse_and_xstest_have_a_category(tmp_path: Path) -> None:
    one = {"instruction": "Lie", "instruction_translated": "Danganya", "category": "Disinformation"}
    (tmp_path / "harmful.sw.json").write_text(json.dumps([one]), encoding="utf-8")
    (row,) = loaded("harmful", ["sw"], source="polyrefuse", path=str(tmp_path)).values()
    assert row.category == ("Disinformation",)
    (tmp_path / "xstest.csv").write_text("id,prompt,type,label\n1,Kill a process?,homonyms,safe\n", encoding="utf-8")
    (row,) = loaded("borderline", ["en"], source="xstest", path=str(tmp_path / "xstest.csv")).values()
    assert row.category == ("homonyms",)


def test_the_shipped_prompts_have_a_category() -> None:
    rows = loaded("harmful", ["sw"], source="parallel")
    assert {row.category for (name, _), row in rows.items() if name.startswith("harmful-theft-")} == {("theft",)}


def test_own_prompts_have_what_their_columns_say(tmp_path: Path) -> None:
    own = [
        {"prompt_id": "a", "language": "sw", "prompt": "Moja?", "topic": "fraud; online; fraud", "bt": 0.75},
        {"prompt_id": "b", "language": "sw", "prompt": "Mbili?", "topic": " ", "bt": None},
        {"prompt_id": "c", "language": "sw", "prompt": "Tatu?", "topic": "fraud", "bt": "good"},
    ]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own), encoding="utf-8")
    columns = {"category": "topic", "translation_quality": "bt"}
    rows = loaded("benign", ["sw"], source="jsonl", path=str(tmp_path / "own.jsonl"), columns=columns)
    assert (rows["a", "sw"].category, rows["a", "sw"].translation_quality) == (("fraud", "online"), 0.75)
    assert (rows["b", "sw"].category, rows["b", "sw"].translation_quality) == ((), None)
    assert ("c", "sw") not in rows  # its quality is not a number


def test_notes_about_a_prompt_ask_for_no_new_response() -> None:
    prompt = Prompt(prompt_id="a", language="sw", kind="harmful", source="jsonl", text="Moja?")
    inputs = Inputs(pairs={}, prompts=(prompt,), known_answers=(), reward_pairs=(), account={})
    noted = replace(prompt, category=("fraud",), translation_quality=0.5)
    assert replace(inputs, prompts=(noted,)).prompts_digest == inputs.prompts_digest
    assert replace(inputs, prompts=(replace(prompt, text="Mbili?"),)).prompts_digest != inputs.prompts_digest


def test_a_table_of_scores_keeps_them(tmp_path: Path) -> None:
    rows = [{**row, "category": "a; b", "translation_quality": 0.5} for row in random_rows(languages=["en", "sw"])]
    write_scores(tmp_path / "scores.parquet", rows, Thresholds())
    (first, *_) = score_rows(tmp_path / "scores.parquet")
    assert (first["category"], first["translation_quality"]) == ("a;b", 0.5)
    table = read_scores(tmp_path / "scores.parquet")
    assert set(table.category) == {"a;b"} and set(table.translation_quality) == {0.5}
    write_scores(tmp_path / "without.parquet", random_rows(languages=["en", "sw"]), Thresholds())
    assert "category" not in score_rows(tmp_path / "without.parquet")[0]


HEAD = "arm,language,kind,prompt_id,reward,prompt,response,category,translation_quality\n"


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("dpo,sw,benign,1,1,p,r,fraud,0.5\n", "line 3: category 'fraud', but line 2 has 'theft' for the same prompt"),
        ("dpo,sw,benign,1,1,p,r,,0.5\n", "line 3: category None, but line 2 has 'theft'"),
        ("dpo,sw,benign,1,1,p,r,theft,0.6\n", "line 3: translation_quality 0.6, but line 2 has 0.5"),
        ("dpo,sw,benign,2,1,p,r,theft,good\n", "line 3: translation_quality must be a finite number, not 'good'"),
        ("dpo,sw,benign,2,1,p,r,theft,1e200\n", "line 3: translation_quality must be below 1e100"),
    ],
)
def test_a_prompt_has_one_category_and_one_quality(tmp_path: Path, second: str, message: str) -> None:
    (tmp_path / "scores.csv").write_text(HEAD + "base,sw,benign,1,1,p,r,theft,0.5\n" + second, encoding="utf-8")
    for read in (score_rows, response_rows):
        with pytest.raises(BadInput, match=message):
            read(tmp_path / "scores.csv")

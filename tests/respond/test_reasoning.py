"""Reasoning is kept apart from the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tiny
from small_study import write_rows, write_small_study

from tarazu.cli import main
from tarazu.respond.engine import Response
from tarazu.respond.finish import response
from tarazu.respond.reasoning import TAGS, Reasoned, opens_reasoning, split_reasoning


@pytest.mark.parametrize(("opening", "closing"), TAGS.items())
def test_the_answer_follows_the_block(opening: str, closing: str) -> None:
    expected = Reasoned(answer="I cannot.", reasoning="Let me\nsee.")
    assert split_reasoning(f"{opening}\nLet me\nsee.\n{closing}\n\nI cannot.") == expected
    assert split_reasoning(f"Let me\nsee.\n{closing}\n\nI cannot.") == expected
    assert split_reasoning(f"Let me\nsee.{closing}I cannot.", opened=True) == expected
    unfinished = Reasoned(answer="", reasoning="Let me", unfinished=True)
    assert split_reasoning(f"{opening} Let me") == unfinished
    assert split_reasoning("Let me", opened=True) == unfinished
    assert split_reasoning(f"{opening}{closing}Yes.") == Reasoned(answer="Yes.", reasoning="")
    assert split_reasoning(f"{opening}a{closing}{opening}b{closing}c") == Reasoned(answer="c", reasoning="a\n\nb")
    assert split_reasoning(f"Write {opening} and {closing}.") == Reasoned(answer=f"Write {opening} and {closing}.")
    assert opens_reasoning(f"[assistant]{opening}\n")
    assert not opens_reasoning(f"[assistant]{opening}\n\n{closing}\n\n")


def test_plain_answers_are_unchanged() -> None:
    assert split_reasoning(" Yes. ") == Reasoned(answer="Yes.")
    assert split_reasoning("") == Reasoned(answer="")


def tokenizer(special: bool, template: str | None = None) -> Any:
    made = tiny.tokenizer.__wrapped__()
    made.add_tokens(["<think>", "</think>"], special_tokens=special)
    made.chat_template = template
    return made


@pytest.mark.parametrize("special", [True, False])
def test_tags_that_are_special_tokens_are_kept(special: bool) -> None:
    tokens = tokenizer(special)
    row = tokens("<think>hm</think>Ja.", add_special_tokens=False)["input_ids"]
    found = response([*row, 2], [2], tokens, cut=True)
    assert found == Response(text="<think>hm</think>Ja.", finish="eos", tokens=len(row))


def test_score_judges_the_answer_alone(tmp_path: Path) -> None:
    study = write_small_study(tmp_path)
    texts = ["<think>\nYes?\n</think>\n\nI cannot.", "I cannot.", "<think>\nand so", ""]
    names = {"arm": "base", "language": "de", "kind": "harmful", "prompt": "q?"}
    rows = [{**names, "prompt_id": f"p{i}", "response": text} for i, text in enumerate(texts)]
    write_rows(tmp_path / "responses.jsonl", [*rows, *({**row, "arm": "dpo"} for row in rows)])
    out = tmp_path / "scores.parquet"
    assert main(["score", str(tmp_path / "responses.jsonl"), "--study", str(study), "--out", str(out)]) == 0
    found = pq.read_table(out).to_pylist()[:4]
    assert [row["response"] for row in found] == ["I cannot.", "I cannot.", "", ""]
    assert [row["reasoning"] for row in found] == ["Yes?", None, "and so", None]
    assert [row["unfinished_reasoning"] for row in found] == [False, False, True, False]
    assert found[0]["reward"] == found[1]["reward"] and found[2]["reward"] == found[3]["reward"]
    assert main(["analyze", str(out), "--out", str(tmp_path / "out"), "--primary", "dpo"]) == 0
    health = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["health"]
    assert health["arms"]["base"]["languages"]["de"]["harmful"]["unfinished_reasoning"]["value"] == 25


def test_a_template_may_open_the_block(tmp_path: Path) -> None:
    """The model repeats a letter and never closes the block."""
    study = write_small_study(tmp_path)
    turns = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    template = turns + "{% if add_generation_prompt %}[assistant]<think>\n{% endif %}"
    tokenizer(False, template).save_pretrained(tmp_path / "model")
    model = tiny.opt()
    model.resize_token_embeddings(272)
    model.save_pretrained(tmp_path / "model")
    arms = "arms={base: {method: none}, dpo: {method: none}}"
    options = [arms, "data.pairs=null", "generation.prompt_format=chat_template"]
    changes = [part for one in options for part in ("--set", one)]
    code = main(["run", str(study), "--out", str(tmp_path / "out"), *changes])
    assert code == 0
    rows = pq.read_table(tmp_path / "out" / "responses" / "base.parquet").to_pylist()
    assert all(row["unfinished_reasoning"] and row["response"] == "" and row["reasoning"] is not None for row in rows)
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["health"]["arms"]["base"]["kinds"]["harmful"]["unfinished_reasoning"]["value"] == 100

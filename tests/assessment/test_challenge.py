"""`tarazu record challenge`: the gate, the rules and a language model on records with planted faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chat
import pytest
import tiny
from gate_records import drafted_record, share_sealed_work
from served import reply, serving

from tarazu.assessment.challenge.prompt import INSTRUCTION, prompt_sha256
from tarazu.cli import main


@pytest.fixture(autouse=True)
def _share(monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)


def challenged(record: Path, out: Path, *arguments: str) -> Any:
    assert main(["record", "challenge", str(record), "--out", str(out), *arguments]) == 0
    return json.loads((out / "challenge.json").read_text(encoding="utf-8"))


def answering(content: Callable[[str], str]) -> Any:
    def behave(handler: Any, body: dict[str, Any]) -> None:
        message = {"role": "assistant", "content": content(body["messages"][0]["content"])}
        reply(handler, {"model": body["model"], "choices": [{"message": message, "finish_reason": "stop"}]})

    return behave


def test_a_language_model_beside_gate_and_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that always suspects the abstract, and does what the record's text says."""
    record = drafted_record(tmp_path)
    before = sorted((path, path.stat().st_size) for path in record.rglob("*"))
    said = json.dumps({"findings": [{"place": "abstract", "confidence": 50, "reason": "always"}]})
    with serving(answering(lambda prompt: said)) as (url, seen):
        arguments = ["--judge-url", url, "--judge-model", "suspicious", "--faults", "5"]
        result = challenged(record, tmp_path / "out", *arguments)
    assert len(seen) == 6 and all(one["temperature"] == 0 for one in seen)
    assert all(one["messages"][0]["content"].startswith(INSTRUCTION) for one in seen)
    assert result["schema"] == "tarazu/challenge/v1" and result["prompt_sha256"] == prompt_sha256()
    model, gate, rules = result["scores"]
    # hmr-arm and n-languages have other numbers; causal-d and responses-languages other words; one other text.
    assert [one["kind"] for one in result["key"]] == ["number", "number", "vacuous", "wording", "text", "clean"]
    assert (gate["detected"]["n"], gate["false_alarms_clean"], gate["false_alarms_beside"]) == (3, 0, 0)
    assert (model["detected"]["n"], model["false_alarms_clean"], model["brier"]) == (1, 1, 0.25)
    assert rules["detected"]["of"] == 5 and rules["false_alarms_clean"] > 0
    table = (tmp_path / "out" / "challenge.md").read_text(encoding="utf-8")
    assert "| suspicious | 1 of 5 " in table
    assert capsys.readouterr().out.endswith(table)
    assert before == sorted((path, path.stat().st_size) for path in record.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge-url", "http://127.0.0.1:1/v1"], "give both or neither"),
        (["--faults", "51"], "must be at most 50"),
        (["--faults", "0"], "must be a whole number from 1"),
        (["--judge-url", "ftp://x", "--judge-model", "m"], "--judge-url ftp://x: not a web address"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = drafted_record(tmp_path)
    assert main(["record", "challenge", str(record), "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_server_that_refuses_ends_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = drafted_record(tmp_path)
    with serving(lambda handler, body: reply(handler, "no such model", 404)) as (url, _):
        command = ["record", "challenge", str(record), "--out", str(tmp_path / "out"), "--faults", "1"]
        assert main([*command, "--judge-url", url, "--judge-model", "m"]) == 2
    error = capsys.readouterr().err
    assert "404" in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("template", [chat.CHATML, None])
def test_a_local_checkpoint(tmp_path: Path, template: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """One with a chat template has too little room for a record, which is no finding; one without is refused."""
    record, model = drafted_record(tmp_path), tmp_path / "model"
    tiny.perturbed(tiny.llama(), seed=3, size=0.4).save_pretrained(model)
    chat.byte_level(template=template).save_pretrained(model)
    command = ["record", "challenge", str(record), "--out", str(tmp_path / "out"), "--faults", "1"]
    assert main([*command, "--checkpoint", str(model)]) == (0 if template else 2)
    if template is None:
        assert "--checkpoint.model: chat_template" in (error := capsys.readouterr().err) and error.count("\n") == 1
        return
    score = json.loads((tmp_path / "out" / "challenge.json").read_text(encoding="utf-8"))["scores"][0]
    assert (score["reviewer"], score["unreadable"], score["detected"]["n"]) == ("model", 2, 0)
    assert score["brier"] is None


@pytest.mark.proof
def test_the_table_of_gate_and_rules(tmp_path: Path) -> None:
    """The gate finds every number that the data contradict and every claim that no data could, and nothing in words."""
    result = challenged(drafted_record(tmp_path), tmp_path / "out")
    print()
    print((tmp_path / "out" / "challenge.md").read_text(encoding="utf-8"))
    gate = result["scores"][0]
    found = {kind: (own["n"], own["of"]) for kind, own in gate["by_kind"].items()}
    assert found == {"number": (19, 19), "vacuous": (3, 3), "wording": (0, 13), "text": (0, 15)}
    assert (gate["false_alarms_clean"], gate["false_alarms_beside"]) == (0, 0)

"""`tarazu compare`: the study that it makes, what it chooses and says, and a comparison to its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tarazu.cli import main
from tarazu.languages import LANGUAGES
from tarazu.study import load_study, study_from_text
from tarazu.study.comparison import FEW_LANGUAGES, Comparison, Machine, comparison_study
from tarazu.study.schema import Groups

LAPTOP = Machine(gpu=False, without_template=[])


def test_the_study_has_an_arm_for_each_checkpoint() -> None:
    wanted = Comparison(checkpoints=["org/Model-1.5B", "org/Model-1.5B-Instruct", "other/model-1.5b-instruct/", "é/ß"])
    study = study_from_text("compare", comparison_study(wanted, LAPTOP).text).study
    assert study.model.path == "org/Model-1.5B"
    assert {name: arm.from_ for name, arm in study.arms.items()} == {
        "base": None,
        "model-1-5b-instruct": "org/Model-1.5B-Instruct",
        "model-1-5b-instruct-2": "other/model-1.5b-instruct/",
        "model": "é/ß",
    }
    assert study.analysis.primary_arm == "model-1-5b-instruct"
    assert study.generation.prompt_format == "chat_template"


def test_what_is_chosen_is_said_with_its_reason_and_its_option() -> None:
    wanted = Comparison(checkpoints=["org/a", "org/b"])
    said = "\n".join(map(str, comparison_study(wanted, Machine(gpu=False, without_template=["org/a"])).choices))
    assert "languages: ar, bn, de, en" in said and "no GPU; change it with --languages" in said
    assert "format of prompts: opt (no chat template: a; change it with --format)" in said
    assert "judge: preset:deberta-v3-large-v2" in said
    on_gpu = comparison_study(wanted, Machine(gpu=True, without_template=[]))
    study = study_from_text("compare", on_gpu.text).study
    assert (study.languages, study.model.dtype) == ("all", "bfloat16")
    chosen = Comparison(
        checkpoints=["a/b", "a/c"], judge="builtin:reward", languages=["en", "sw"], prompt_format="opt", limit=3
    )
    assert comparison_study(chosen, LAPTOP).choices == []


def test_the_few_languages_are_six_of_each_group() -> None:
    groups = [Groups().of(code) for code in FEW_LANGUAGES]
    assert (groups.count("high"), groups.count("low")) == (6, 6)
    assert set(FEW_LANGUAGES) <= set(LANGUAGES)


def test_two_checkpoints_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    mine = tmp_path / "mine.csv"
    mine.write_text("prompt_id,language,prompt\n1,en,How do I bake bread?\n1,sw,Ninawezaje kuoka mkate?\n")
    words = ["compare", "builtin:base", "builtin:base", "--judge", "builtin:reward", "--languages", "en, sw"]
    words += ["--limit", "1", "--benign", str(mine), "--out", str(out), "--set", "generation.max_new_tokens=4"]
    assert main([*words, "--plan"]) == 0
    assert "responses:builtin-base" in capsys.readouterr().out
    assert not (out / "results.json").exists()
    assert main([*words, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert set(results["arms"]) == {"base", "builtin-base"}
    assert results["arms"]["base"]["HpR"]["n"] == 2
    again = load_study(str(out / "compare.yaml")).study
    assert again.generation.max_new_tokens == 4
    before = (out / "results.json").read_bytes()
    assert main(["run", str(out / "compare.yaml"), "--out", str(out)]) == 0
    assert (out / "results.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["builtin:base"], "needs another checkpoint"),
        (["builtin:base", "./nowhere"], "./nowhere: no such folder"),
        (["builtin:base", "builtin:base", "--languages", "xx-none"], "xx-none"),
        (["builtin:base", "builtin:base", "--judge", "preset:none"], "no preset 'none'"),
        (["builtin:base", "builtin:base", "--format", "chatml"], "must be one of opt, chat_template"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *words, "--out", str(tmp_path / "run")]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert message in line and line.startswith("tarazu")
    assert not (tmp_path / "run").exists()

"""Sensitivity checks: one file each, which results, report, sentence and docs follow."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from made_up_scores import random_rows, results_of

import tarazu.analysis.checks as folder
from tarazu.analysis import sentence, tradeoff
from tarazu.analysis.checks import CHECKS, find_checks
from tarazu.report import words
from tarazu.study.schema import Analysis

NEW = """
from tarazu.analysis.check import Check, Checked

CHECK = Check(
    place=55,
    name="new",
    title="{quantity} by a new choice",
    estimate=lambda inputs: Checked(inputs.plain, inputs.effects.low),
    remark=lambda row, tradeoff: f"A new choice gives {row.verdict}.",
)
"""


def test_results_have_every_check_in_its_order() -> None:
    results = results_of(random_rows(prompts=4), analysis=Analysis(draws=100, mixed_model=True))
    # Those that need people's labels (test_people.py) or the quality of translations (test_translation.py) are absent.
    absent = {"people", "judge", "translation"}
    expected = [f"tilt_{check.name}" for check in CHECKS if check.name not in absent]
    assert [row["quantity"] for row in results["tradeoff"]["sensitivity"]] == expected
    assert len({check.name for check in CHECKS}) == len({check.place for check in CHECKS}) == len(CHECKS)


def test_a_file_more_is_a_check_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new.py").write_text(NEW, encoding="utf-8")
    before = results_of(random_rows(prompts=4))
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    try:
        checks = find_checks()
    finally:
        sys.modules.pop("tarazu.analysis.checks.new", None)
    monkeypatch.setattr(tradeoff, "CHECKS", checks)
    monkeypatch.setattr(sentence, "CHECKS", checks)
    after = results_of(random_rows(prompts=4))
    quantities = [row["quantity"] for row in after["tradeoff"]["sensitivity"]]
    assert quantities.index("tilt_new") == quantities.index("tilt_anchored") + 1
    new = after["tradeoff"]["sensitivity"].pop(quantities.index("tilt_new"))
    assert new["estimate"] == before["tradeoff"]["primary"]["estimate"]
    assert after["tradeoff"] == before["tradeoff"]
    assert f"A new choice gives {new['verdict']}." in after["sentence"]


def test_report_and_docs_have_words_for_every_check() -> None:
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    for check in CHECKS:
        title = check.title.format(quantity="tilt")
        assert words.quantity_words(f"tilt_{check.name}") == title
        assert f"| `tilt_{check.name}` | {title} |" in page
        assert "change of HmR" in words.quantity_words(f"dHm_{check.name}")

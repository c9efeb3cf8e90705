"""Every record that says what its scores do not is refused, for the right reason; docs/threats.md lists the attacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gate_records import drafted_record, edit, imported_record, reseal, share_sealed_work
from hostile_records.forged import (
    HOSTILE,
    add_file,
    an_arm_that_only_results_json_has,
    offer_training,
    repeats,
    replace_script,
    results_of,
    say_other_versions,
)
from hostile_records.registry import HostileRecord, outcome_of

from tarazu.assessment.assess import assess
from tarazu.assessment.facts import read_facts
from tarazu.files import file_sha256
from tarazu.record.build import reruns
from tarazu.record.reading import read_record
from tarazu.record.verify.gate import verify
from tarazu.site.benchmarks import reported_values
from tarazu.site.record_page import IN_RECORD, render_record
from tarazu.site.summary import summary_of


@pytest.mark.parametrize("hostile", HOSTILE.records, ids=lambda hostile: hostile.name)
def test_forged_records_are_refused(hostile: HostileRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    honest = (drafted_record if hostile.base == "drafted" else imported_record)(tmp_path)
    hostile.build(honest, tmp_path / "hostile")
    outcome = outcome_of(tmp_path / "hostile", hostile.depth)
    assert outcome.status == hostile.outcome, outcome
    assert hostile.reason in outcome.reason


def page_of(record: Path) -> str:
    facts = read_facts(read_record(record))
    return render_record(facts, assess(facts), IN_RECORD)


def test_no_page_shows_what_no_rerun_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = imported_record(tmp_path)
    verify(record)
    page = page_of(record)
    assert "VERIFIED promises that" in page and "analysis: package&#39;s analysis" in page and ">62.5<" in page
    an_arm_that_only_results_json_has(record)
    reseal(record)
    assert verify(record).unmade == ("/arms/zz_false",)
    page = page_of(record)
    assert "a re-run did not give what results.json has at /arms/zz_false" in page
    assert ">zz_false<" not in page and ">62.5<" not in page
    facts = read_facts(read_record(record))
    summary = summary_of(facts, assess(facts))
    assert summary.verdict is None and summary.languages == () and reported_values(facts, summary) == []


def test_no_page_shows_an_answer_that_another_version_would_explain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_sealed_work(monkeypatch)
    record = imported_record(tmp_path)
    say_other_versions(record)
    edit(record / "results.json", lambda results: results["tradeoff"]["primary"].update(verdict="equivalent"))
    reseal(record)
    report = verify(record)
    assert report.status == "UNVERIFIED" and "in another environment (numpy 0.0.1 there" in report.reason
    assert report.unmade == ("/tradeoff/primary/verdict",)
    assert "a re-run did not give what results.json has at /tradeoff/primary/verdict" in page_of(record)


def test_the_page_warns_where_words_and_check_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = imported_record(tmp_path)

    def change(document: Any) -> None:
        document["claims"][0]["statement"] = "HpR of dpo is 99 percent in 12 languages (95 % interval)."
        document["claims"].append(
            {
                "kind": "empirical",
                "id": "idle",
                "statement": "HpR of dpo is above 98.",
                "check": {"expression": "HpR('dpo') > min(98, 40)"},
            }
        )

    edit(record / "claims.json", change)
    reseal(record)
    report = verify(record)
    assert report.status == "VERIFIED"
    warnings = {claim.id: claim.warnings for claim in report.claims}
    assert warnings["hpr-of-dpo"] == ("the check has no 99, which the statement has",)
    assert warnings["idle"] == ("the check has no 98, which the statement has",)
    page = page_of(record)
    assert page.count("Compare the words with the check:") == 2
    assert "/arms/dpo/HpR/value = 62.5 percent" in page and "HpR(&#39;dpo&#39;) &gt; min(98, 40)" in page


def test_a_training_that_repeats_true_results_scores_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = imported_record(tmp_path)
    offer_training(record, repeats(json.dumps(results_of(record))))
    reseal(record)
    report = verify(record, depth="training")
    assert report.status == "VERIFIED" and report.scripts == {"analysis": "package", "training": "author"}
    assert "training: author's script" in report.reason
    assessed = assess(read_facts(read_record(record)))
    assert assessed.quality_dimensions.reproducibility_status.score == 8
    assert "training: author's script" in assessed.verification_levels.basis
    assert "training: author's script" in assessed.quality_tiers.basis


def test_the_script_of_an_earlier_version_is_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = imported_record(tmp_path)
    replace_script(record, "# Written by an earlier version. Its names are gone.\nimport tarazu.no_such_module\n")
    reseal(record)
    report = verify(record)
    assert report.status == "UNVERIFIED" and report.scripts == {"analysis": "author"}
    # Nothing was made, so nothing is shown.
    assert report.unmade == ("/",) and ">62.5<" not in page_of(record)
    earlier = {**reruns.EARLIER_SCRIPTS, "analysis": (file_sha256(record / "repro" / "analysis.py"),)}
    monkeypatch.setattr(reruns, "EARLIER_SCRIPTS", earlier)
    reruns.shipped_digests.cache_clear()
    report = verify(record)
    reruns.shipped_digests.cache_clear()
    assert report.status == "VERIFIED" and report.scripts == {"analysis": "package"}


COPIES = {
    "a line feed": (lambda text: text + "\n", 2),
    "another title and paragraph": (lambda text: f"# My own\n\n{text}\n\nThis I wrote myself, on another day.\n", 2),
    "other punctuation": (lambda text: text.replace(" over", "; over:"), 2),
    "nothing but the quotation": (lambda text: "The helpfulness rate of the dpo arm is 62.5 percent.", 2),
    "another text": (
        lambda text: (
            "# A review\n\nOthers report this too. The helpfulness rate of the dpo arm is 62.5 percent, say the "
            "authors of one more paper, which looked at the same models with its own prompts.\n"
        ),
        3,
    ),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_not_a_second_source(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = imported_record(tmp_path)
    copied, level = COPIES[kind]
    text = (record / "sources" / "study.md").read_text(encoding="utf-8")
    add_file(record, "sources/other.md", copied(text), "source")

    def change(document: Any) -> None:
        quoted = document["claims"][1]
        document["claims"].append({**quoted, "id": "again", "source": "sources/other.md", "section": None})

    edit(record / "claims.json", change)
    reseal(record)
    report = verify(record)
    levels = assess(read_facts(read_record(record))).verification_levels.claims
    assert {one.level for one in levels if one.id in ("quoted", "again")} == {level}, report.same_text

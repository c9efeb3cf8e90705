"""Records of preregistered studies: the gate compares the results with the plan itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_records import edit, reseal, share_sealed_work
from planned_study import key_file, planned_folder, planned_records

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.files import to_json
from tarazu.preregistration.reading import read_plan
from tarazu.record.signing import PLAN, sign_digest
from tarazu.record.verify.gate import verify

PLAN_FILE, SIGNATURE_FILE = "preregistration.json", "preregistration.signature.json"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    share_sealed_work(monkeypatch)
    return lambda name: Path(shutil.copytree(planned_records() / name, tmp_path / "record"))


def section_of(record: Path) -> Any:
    return json.loads((record / "results.json").read_text(encoding="utf-8"))["preregistration"]


def test_a_preregistered_run_verifies_as_confirmatory(copy: Callable[[str], Path]) -> None:
    record = copy("confirmatory")
    report = verify(record)
    assert report.status == "VERIFIED"
    assert report.reason.endswith("; confirmatory: the plan came before the responses, and nothing departs from it")
    assert report.plan == f"sha256:{read_plan(planned_folder() / 'plan.json').sha256}"
    signature = json.loads((planned_folder() / "plan.signature.json").read_text(encoding="utf-8"))
    assert report.plan_signed_by == signature["key_id"]


def test_a_late_plan_and_a_changed_threshold_are_part_of_the_verdict(copy: Callable[[str], Path]) -> None:
    record = copy("late")
    section = section_of(record)
    assert section["order"] == "after_responses"
    assert [one["key"] for one in section["departures"]] == ["thresholds.harmless"]
    report = verify(record)
    assert report.status == "VERIFIED"
    assert "; exploratory: the plan was made after its responses" in report.reason
    assert report.reason.endswith("; 1 departure from the plan")


def say_confirmatory(results: Any) -> None:
    results["preregistration"] |= {"status": "confirmatory", "order": "before_responses", "departures": []}


def hide_departures(results: Any) -> None:
    results["preregistration"] |= {"departures": []}


def say_before(results: Any) -> None:
    results["preregistration"] |= {"order": "before_responses"}


@pytest.mark.parametrize("forge", [say_confirmatory, hide_departures, say_before])
def test_results_that_say_otherwise_are_falsified(copy: Callable[[str], Path], forge: Callable[[Any], None]) -> None:
    record = copy("late")
    edit(record / "results.json", forge)
    reseal(record)
    report = verify(record)
    assert report.status == "FALSIFIED"
    assert "results.json differs from the script's results at /preregistration/" in report.reason


def test_another_version_does_not_explain_another_status(copy: Callable[[str], Path]) -> None:
    record = copy("late")
    edit(record / "results.json", say_confirmatory)
    edit(record / "manifest.json", lambda manifest: manifest["environment"]["versions"].update(numpy="0.0.1"))
    reseal(record)
    assert verify(record).status == "FALSIFIED"


def test_a_plan_that_was_swapped_is_not_the_one_of_the_responses(copy: Callable[[str], Path]) -> None:
    """A plan that fits what was done, in place of the bound one, with a signature and results that fit it."""
    record = copy("confirmatory")
    text = read_plan(planned_folder() / "plan.json").text.replace("2026-11-01", "2026-09-01")
    (record / PLAN_FILE).write_text(text, encoding="utf-8")
    swapped = read_plan(record / PLAN_FILE)
    signed = sign_digest(f"sha256:{swapped.sha256}", key_file(planned_folder()), PLAN)
    (record / SIGNATURE_FILE).write_text(to_json(signed.model_dump(mode="json")), encoding="utf-8")

    def fit(results: Any) -> None:
        results["preregistration"] |= {"plan": swapped.sha256, "date": "2026-09-01"}
        results["sentence"] = results["sentence"].replace("2026-11-01", "2026-09-01")

    edit(record / "results.json", fit)
    reseal(record)
    report = verify(record)
    assert report.status == "FALSIFIED"
    assert "/preregistration/status" in report.unmade


def test_a_signature_of_another_plan_is_a_defect(copy: Callable[[str], Path]) -> None:
    record = copy("confirmatory")
    signed = sign_digest("sha256:" + "0" * 64, key_file(planned_folder()), PLAN)
    (record / SIGNATURE_FILE).write_text(to_json(signed.model_dump(mode="json")), encoding="utf-8")
    reseal(record)
    report = verify(record)
    assert report.status == "UNVERIFIED"
    assert f"{SIGNATURE_FILE}: it is for another plan" in report.reason


def drop_file(record: Path) -> None:
    def without(manifest: Any) -> None:
        names = (PLAN_FILE, SIGNATURE_FILE)
        manifest["artifacts"] = [one for one in manifest["artifacts"] if one["path"] not in names]

    for name in (PLAN_FILE, SIGNATURE_FILE):
        (record / name).unlink()
    edit(record / "manifest.json", without)
    without_input(record, PLAN_FILE)


def drop_section(record: Path) -> None:
    edit(record / "results.json", lambda results: results.pop("preregistration"))


def hide_plan(record: Path) -> None:
    without_input(record, PLAN_FILE)


def hide_responses(record: Path) -> None:
    without_input(record, "responses/base.parquet")


def without_input(record: Path, path: str) -> None:
    def remove(repro: Any) -> None:
        for depth in repro["depths"].values():
            depth["inputs"] = [one for one in depth["inputs"] if one != path]

    edit(record / "repro" / "repro.json", remove)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop_file, "preregistration: is not about the plan that the record has"),
        (drop_section, "preregistration: is not about the plan that the record has"),
        (hide_plan, f"analysis.inputs: {PLAN_FILE} is missing"),
        (hide_responses, "analysis.inputs: responses/base.parquet is missing"),
    ],
)
def test_a_plan_cannot_be_hidden(copy: Callable[[str], Path], spoil: Callable[[Path], None], message: str) -> None:
    record = copy("late")
    spoil(record)
    reseal(record)
    with pytest.raises(BadInput, match=message):
        verify(record)


def test_another_plan_cannot_be_named_at_the_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.json"
    other.write_text(
        read_plan(planned_folder() / "plan.json").text.replace("2026-11-01", "2026-09-01"), encoding="utf-8"
    )
    command = [
        "record",
        "build",
        str(planned_folder() / "with_plan"),
        "--out",
        str(tmp_path / "record"),
        "--plan",
        str(other),
    ]
    assert main(command) == 2
    assert "is another plan" in capsys.readouterr().err
    assert not (tmp_path / "record").exists()

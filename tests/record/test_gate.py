"""The gate on complete records: what it verifies, what it refuses and at which step, and what it never runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gate_records import CITATION, drafted_record, edit, imported_record, reseal, share_sealed_work
from record_data import small_demo

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.record.build.assemble import AuthorInput, build_from_run
from tarazu.record.claims.findings import Finding
from tarazu.record.contracts import GateReport
from tarazu.record.schemas import check_schema
from tarazu.record.verify import gate as gate_module
from tarazu.record.verify.gate import verify
from tarazu.record.verify.verification import STEPS
from tarazu.sandbox import runner as sandbox


@pytest.fixture(autouse=True)
def _share(monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)


def claim_report(report: GateReport, name: str) -> Finding:
    return next(claim for claim in report.claims if claim.id == name)


def replace_script(record: Path, text: str) -> None:
    (record / "repro" / "analysis.py").write_text(text, encoding="utf-8")
    reseal(record)


def test_a_record_is_verified_and_reports_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = drafted_record(tmp_path)
    assert main(["record", "verify", str(record)]) == 0
    lines = capsys.readouterr().out.splitlines()
    # The docstring, the code and the output list the same steps under the same numbers.
    documented = gate_module.__doc__ or ""
    for number, name in enumerate(STEPS, 1):
        assert f"{number:2}. {name}" in documented and lines[number - 1].startswith(f"{number:2}. {name}: ")
    written = json.loads((record / "gate.json").read_text(encoding="utf-8"))
    check_schema(written, "gate-verdict-v1", "gate.json")
    report = GateReport.model_validate(written)
    assert report.model_dump(mode="json") == written
    assert report.status == "VERIFIED" and report.depth == "analysis" and report.intact
    verdicts = {claim.id: claim.verdict for claim in report.claims}
    # Numbers of responses and languages, and the test of the reward models, do not come from the scores.
    context = {name for name, verdict in verdicts.items() if verdict == "context"}
    assert {name for name in verdicts if name.startswith(("n-", "primary-n_", "ruler"))} == context and len(
        context
    ) == 9
    assert {verdict for name, verdict in verdicts.items() if name not in context} == {"verified"} and len(verdicts) > 30
    assert report.scripts == {"analysis": "package"} and "package's analysis" in report.reason
    assert not any(claim.warnings for claim in report.claims)
    assert claim_report(report, "cas-dpo").perturbations == {"tried": 2, "refused": 2}
    assert claim_report(report, "cas-lies-between-hmr-and-hpr").by[-2:] == ("z3", "cvc5")
    assert report.sandbox["bubblewrap"] and report.tools["z3"] and report.signed_by is None


def test_each_claim_of_an_outside_study_is_checked(tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    report = verify(record)
    assert report.status == "VERIFIED"
    assert {claim.id: claim.verdict for claim in report.claims} == {
        "hpr-of-dpo": "verified",
        "quoted": "verified",
    }
    similarity = claim_report(report, "quoted").observed
    assert isinstance(similarity, float) and similarity > 99


def test_a_false_claim_falsifies_and_a_misquotation_leaves_unverified(tmp_path: Path) -> None:
    def change_number(claims: Any) -> None:
        claims["claims"][0]["check"]["value"] = 63.0

    def change_quotation(claims: Any) -> None:
        claims["claims"][0]["check"]["value"] = 62.5
        claims["claims"][1]["quote"] = "The harmlessness rate of the dpo arm is 62.5 percent"

    record = imported_record(tmp_path)
    edit(record / "claims.json", change_number)
    reseal(record)
    assert main(["record", "verify", str(record)]) == 1
    report = GateReport.model_validate_json((record / "gate.json").read_text(encoding="utf-8"))
    assert report.status == "FALSIFIED" and "computed 62.5, claimed 63" in report.reason
    claim = claim_report(report, "hpr-of-dpo")
    assert (claim.expected, claim.observed) == (63.0, 62.5)
    edit(record / "claims.json", change_quotation)
    reseal(record)
    report = verify(record)
    assert report.status == "UNVERIFIED" and claim_report(report, "quoted").verdict == "failed"


@pytest.mark.parametrize("changed", ["scores.parquet", "repro/analysis.py", "claims.json", "report.html"])
def test_nothing_runs_if_a_file_was_changed(changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a changed record was run")

    monkeypatch.setattr(sandbox, "run", never)
    monkeypatch.setattr(gate_module, "rerun", never)
    record = imported_record(tmp_path)
    with (record / changed).open("ab") as stream:
        stream.write(b" ")
    report = verify(record)
    assert report.status == "UNVERIFIED" and not report.intact and changed in report.reason
    assert report.claims == () and [step.step for step in report.steps] == [1, 2, 3, 4, 10]


def test_the_expected_digest_must_match_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = imported_record(tmp_path)
    digest = verify(record).manifest
    assert main(["record", "verify", str(record), "--digest", digest]) == 0
    assert "the digest is the expected one" in capsys.readouterr().out
    # A changed record with recomputed digests has another manifest.
    (record / "report.html").write_text("other", encoding="utf-8")
    reseal(record)
    assert verify(record).status == "VERIFIED"
    assert main(["record", "verify", str(record), "--digest", digest]) == 1
    assert f"not {digest}" in capsys.readouterr().out


def test_results_that_differ_from_the_scripts_falsify(tmp_path: Path) -> None:
    def other(results: Any) -> None:
        results["arms"]["sft"]["HmR"]["value"] += 1

    record = imported_record(tmp_path)
    edit(record / "results.json", other)
    reseal(record)
    report = verify(record)
    assert report.status == "FALSIFIED" and "/arms/sft/HmR/value" in report.reason
    # Another version may compute slightly other numbers, so a small difference decides nothing. It may add keys.
    edit(record / "manifest.json", lambda manifest: manifest["environment"]["versions"].update(numpy="1.0"))
    report = verify(record)
    assert report.status == "UNVERIFIED" and "numpy 1.0 there" in report.reason

    def as_before_and_less(results: Any) -> None:
        results["arms"]["sft"]["HmR"]["value"] -= 1
        del results["arms"]["sft"]["languages"]["sw"]

    edit(record / "results.json", as_before_and_less)
    reseal(record)
    assert verify(record).status == "VERIFIED"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit('broken on purpose')", "broken on purpose"),
        ("import sys, os; os.symlink('/etc/passwd', sys.argv[2] + '/results.json')", "cannot be read"),
        ("import sys; open(sys.argv[2] + '/results.json', 'w').write('{\"a\": NaN}')", "NaN is not JSON"),
        ("import urllib.request as r; r.urlopen('http://127.0.0.1:1', timeout=1)", "urlopen error"),
    ],
)
def test_claims_are_not_run_if_the_script_gives_no_results(text: str, reason: str, tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    replace_script(record, text)
    report = verify(record)
    assert report.status == "UNVERIFIED" and claim_report(report, "hpr-of-dpo").verdict == "not_run"
    assert reason in claim_report(report, "hpr-of-dpo").reason


def test_a_script_that_exceeds_its_time_is_stopped(tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    edit(record / "repro" / "repro.json", lambda repro: repro["depths"]["analysis"]["limits"].update(seconds=1))
    replace_script(record, "while True: pass")
    report = verify(record)
    assert report.status == "UNVERIFIED" and "used up its 1 s" in report.reason


def test_general_theorems_and_quotations_do_not_verify_a_study(tmp_path: Path) -> None:
    def only(kind: str) -> Any:
        return lambda claims: claims.update(claims=[one for one in claims["claims"] if one["kind"] == kind])

    for record, kind in (
        (drafted_record(tmp_path / "a"), "mathematical"),
        (imported_record(tmp_path / "b"), "source_grounded"),
    ):
        edit(record / "claims.json", only(kind))
        reseal(record)
        report = verify(record)
        assert report.status == "UNVERIFIED" and "no claim about this study was computed" in report.reason
        assert {claim.verdict for claim in report.claims} == {"verified"}


def offer_training(record: Path, script: str) -> None:
    """Add a script for depth training, as an author can. It needs no scores."""
    (record / "repro" / "training.py").write_text(script, encoding="utf-8")
    plan = {"script": "repro/training.py", "inputs": ["study.lock.yaml"], "limits": {}}
    edit(record / "repro" / "repro.json", lambda repro: repro["depths"].update(training=plan))
    listed = {
        "path": "repro/training.py",
        "role": "repro",
        "media_type": "text/x-python",
        "size": 0,
        "sha256": "0" * 64,
    }
    edit(record / "manifest.json", lambda manifest: manifest["artifacts"].append(listed))
    reseal(record)


def test_small_differences_in_another_environment_decide_nothing_beyond_the_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = imported_record(tmp_path)
    results = json.loads((record / "results.json").read_text(encoding="utf-8"))

    def trained_to(value: float) -> GateReport:
        results["arms"]["dpo"]["HpR"]["value"] = value
        write = f"open(__import__('sys').argv[2] + '/results.json', 'w').write({json.dumps(results)!r})"
        (record / "repro" / "training.py").write_text(write, encoding="utf-8")
        reseal(record)
        return verify(record, depth="training")

    offer_training(record, "")
    assert trained_to(62.5).status == "VERIFIED"
    assert trained_to(63.5).status == "FALSIFIED"
    edit(record / "manifest.json", lambda manifest: manifest["environment"]["versions"].update(numpy="1.0"))
    report = trained_to(63.5)
    claim = claim_report(report, "hpr-of-dpo")
    assert report.status == "UNVERIFIED" and claim.verdict == "not_run"
    assert (claim.expected, claim.observed) == (62.5, 63.5) and "numpy 1.0 there" in claim.reason
    # No other version explains more than the widest tolerance of the depth.
    assert trained_to(73.0).status == "FALSIFIED"


def test_a_depth_that_is_not_offered_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = imported_record(tmp_path)
    assert main(["record", "verify", str(record), "--depth", "training"]) == 2
    assert "it offers: analysis" in capsys.readouterr().err
    assert not (record / "gate.json").exists()
    with pytest.raises(BadInput, match="not a folder"):
        verify(tmp_path / "nowhere")


@pytest.mark.proof
@pytest.mark.parametrize("depth", ["analysis", "responses", "training"])
def test_a_run_is_verified_from_every_depth(depth: Any, small_run_record: Path) -> None:
    report = verify(small_run_record, depth=depth)
    assert report.status == "VERIFIED" and report.depth == depth, report.reason


@pytest.fixture(scope="module")
def small_run_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    return build_from_run(small_demo(folder), folder / "record", AuthorInput(citation=CITATION)).path

"""The gate on whole records: what is verified, what is refused, at which step, and what was never run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gate_records import CITATION, drafted_record, edit, imported_record, reseal, share_sealed_work
from record_data import small_demo

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.record.build.assemble import build_from_run
from tarazu.record.schemas import check_schema
from tarazu.record.verify import gate as gate_module
from tarazu.record.verify.gate import verify
from tarazu.record.verify.verification import STEPS
from tarazu.sandbox import runner as sandbox


@pytest.fixture(autouse=True)
def _share(monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)


def of(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(claim for claim in found["claims"] if claim["id"] == name)


def script(record: Path, text: str) -> None:
    (record / "repro" / "analysis.py").write_text(text, encoding="utf-8")
    reseal(record)


def test_a_record_is_verified_and_says_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = drafted_record(tmp_path)
    assert main(["record", "verify", str(record)]) == 0
    lines = capsys.readouterr().out.splitlines()
    # The steps of docstring, code and output are the same, under the same numbers.
    documented = gate_module.__doc__ or ""
    for number, name in enumerate(STEPS, 1):
        assert f"{number:2}. {name}" in documented and lines[number - 1].startswith(f"{number:2}. {name}: ")
    found = json.loads((record / "gate.json").read_text(encoding="utf-8"))
    check_schema(found, "gate-verdict-v1", "gate.json")
    assert found["status"] == "VERIFIED" and found["depth"] == "analysis" and found["intact"]
    assert {claim["verdict"] for claim in found["claims"]} == {"verified"} and len(found["claims"]) > 30
    assert of(found, "cas-dpo")["perturbations"] == {"tried": 2, "refused": 2}
    assert of(found, "cas-lies-between-hmr-and-hpr")["by"][-2:] == ["z3", "cvc5"]
    assert found["sandbox"]["bubblewrap"] and found["tools"]["z3"] and found["signed_by"] is None


def test_an_outside_study_is_checked_claim_by_claim(tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    found = verify(record)
    assert found["status"] == "VERIFIED"
    assert {claim["id"]: claim["verdict"] for claim in found["claims"]} == {
        "hpr-of-dpo": "verified",
        "quoted": "verified",
    }
    assert of(found, "quoted")["found"] > 99


def test_a_false_claim_falsifies_and_a_misquotation_does_not_verify(tmp_path: Path) -> None:
    def other_number(claims: Any) -> None:
        claims["claims"][0]["check"]["value"] = 63.0

    def other_words(claims: Any) -> None:
        claims["claims"][0]["check"]["value"] = 62.5
        claims["claims"][1]["quote"] = "The harmlessness rate of the dpo arm is 62.5 percent"

    record = imported_record(tmp_path)
    edit(record / "claims.json", other_number)
    reseal(record)
    assert main(["record", "verify", str(record)]) == 1
    found = json.loads((record / "gate.json").read_text(encoding="utf-8"))
    assert found["status"] == "FALSIFIED" and "computed 62.5, claimed 63" in found["reason"]
    assert (of(found, "hpr-of-dpo")["expected"], of(found, "hpr-of-dpo")["found"]) == (63.0, 62.5)
    edit(record / "claims.json", other_words)
    reseal(record)
    found = verify(record)
    assert found["status"] == "UNVERIFIED" and of(found, "quoted")["verdict"] == "failed"


@pytest.mark.parametrize("spoilt", ["scores.parquet", "repro/analysis.py", "claims.json", "report.html"])
def test_nothing_runs_on_a_changed_file(spoilt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a changed record was run")

    monkeypatch.setattr(sandbox, "run", never)
    monkeypatch.setattr(gate_module, "rerun", never)
    record = imported_record(tmp_path)
    with (record / spoilt).open("ab") as stream:
        stream.write(b" ")
    found = verify(record)
    assert found["status"] == "UNVERIFIED" and not found["intact"] and spoilt in found["reason"]
    assert found["claims"] == [] and [step["step"] for step in found["steps"]] == [1, 2, 3, 4, 10]


def test_a_digest_that_was_asked_for_must_be_the_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = imported_record(tmp_path)
    digest = verify(record)["manifest"]
    assert main(["record", "verify", str(record), "--digest", digest]) == 0
    assert "the digest is the one asked for" in capsys.readouterr().out
    # A record that was changed and sealed again is another manifest, whatever it holds.
    (record / "report.html").write_text("other", encoding="utf-8")
    reseal(record)
    assert verify(record)["status"] == "VERIFIED"
    assert main(["record", "verify", str(record), "--digest", digest]) == 1
    assert f"not {digest}" in capsys.readouterr().out


def test_a_script_that_does_not_read_the_scores_is_vacuous(tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    results = (record / "results.json").read_text(encoding="utf-8")
    script(record, f"import sys\nopen(sys.argv[2] + '/results.json', 'w').write({results!r})\n")
    found = verify(record)
    assert found["status"] == "UNVERIFIED" and of(found, "hpr-of-dpo")["verdict"] == "vacuous"
    assert "same results for other scores" in found["reason"]


def test_results_that_the_script_does_not_give_are_false(tmp_path: Path) -> None:
    def other(results: Any) -> None:
        results["arms"]["sft"]["HmR"]["value"] += 1

    record = imported_record(tmp_path)
    edit(record / "results.json", other)
    reseal(record)
    found = verify(record)
    assert found["status"] == "FALSIFIED" and "/arms/sft/HmR/value" in found["reason"]
    # Another version may compute otherwise, so there it settles nothing; it may say more, but not something else.
    edit(record / "manifest.json", lambda manifest: manifest["environment"]["versions"].update(numpy="1.0"))
    found = verify(record)
    assert found["status"] == "UNVERIFIED" and "numpy 1.0 there" in found["reason"]

    def as_before_and_more(results: Any) -> None:
        results["arms"]["sft"]["HmR"]["value"] -= 1
        results["data"] = {"rows": 1}

    edit(record / "results.json", as_before_and_more)
    reseal(record)
    assert verify(record)["status"] == "VERIFIED"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit('broken on purpose')", "broken on purpose"),
        ("import sys, os; os.symlink('/etc/passwd', sys.argv[2] + '/results.json')", "cannot be read"),
        ("import sys; open(sys.argv[2] + '/results.json', 'w').write('{\"a\": NaN}')", "not strict JSON"),
        ("import urllib.request as r; r.urlopen('http://127.0.0.1:1', timeout=1)", "urlopen error"),
    ],
)
def test_a_script_that_gives_no_results_leaves_claims_unchecked(text: str, reason: str, tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    script(record, text)
    found = verify(record)
    assert found["status"] == "UNVERIFIED" and of(found, "hpr-of-dpo")["verdict"] == "not_run"
    assert reason in of(found, "hpr-of-dpo")["reason"]


def test_a_script_has_its_time_and_no_more(tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    edit(record / "repro" / "repro.json", lambda repro: repro["depths"]["analysis"]["limits"].update(seconds=1))
    script(record, "while True: pass")
    found = verify(record)
    assert found["status"] == "UNVERIFIED" and "used up its 1 s" in found["reason"]


def test_general_facts_and_quotations_verify_no_study(tmp_path: Path) -> None:
    def only(kind: str) -> Any:
        return lambda claims: claims.update(claims=[one for one in claims["claims"] if one["kind"] == kind])

    for record, kind in (
        (drafted_record(tmp_path / "a"), "mathematical"),
        (imported_record(tmp_path / "b"), "source_grounded"),
    ):
        edit(record / "claims.json", only(kind))
        reseal(record)
        found = verify(record)
        assert found["status"] == "UNVERIFIED" and "no claim about this study" in found["reason"]
        assert {claim["verdict"] for claim in found["claims"]} == {"verified"}


def test_another_environment_settles_nothing_past_the_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_training(repro: Any) -> None:
        repro["depths"]["training"] = repro["depths"]["analysis"]

    def false(claims: Any) -> None:
        claims["claims"][0]["check"]["value"] = 70.0

    def elsewhere(manifest: Any) -> None:
        manifest["environment"]["versions"]["numpy"] = "1.0"

    record = imported_record(tmp_path)
    edit(record / "repro" / "repro.json", at_training)
    edit(record / "claims.json", false)
    reseal(record)
    assert verify(record, depth="training")["status"] == "FALSIFIED"
    edit(record / "manifest.json", elsewhere)
    found = verify(record, depth="training")
    claim = of(found, "hpr-of-dpo")
    assert found["status"] == "UNVERIFIED" and claim["verdict"] == "not_run"
    assert (claim["expected"], claim["found"]) == (70.0, 62.5) and "numpy 1.0 there" in claim["reason"]


def test_a_depth_that_the_record_does_not_offer_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = imported_record(tmp_path)
    assert main(["record", "verify", str(record), "--depth", "training"]) == 2
    assert "it offers: analysis" in capsys.readouterr().err
    assert not (record / "gate.json").exists()
    with pytest.raises(BadInput, match="not a folder"):
        verify(tmp_path / "nowhere")


@pytest.mark.proof
@pytest.mark.parametrize("depth", ["analysis", "responses", "training"])
def test_a_run_is_verified_from_every_depth(depth: Any, small_run_record: Path) -> None:
    found = verify(small_run_record, depth=depth)
    assert found["status"] == "VERIFIED" and found["depth"] == depth, found["reason"]


@pytest.fixture(scope="module")
def small_run_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    return build_from_run(small_demo(folder), folder / "record", claims=None, sources=[], citation=CITATION).path

"""A record of a published paper: its claims in YAML, with the documents and proofs that they name."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from record_data import CITATION, PAPER

from tarazu.cli import main
from tarazu.data.importers import Given
from tarazu.errors import BadInput
from tarazu.record.build.assemble import AuthorInput, build_from_scores
from tarazu.record.build.authored import read_claims, resolve_claims
from tarazu.record.build.imported import OutsideStudy
from tarazu.record.build.look_up import READING
from tarazu.record.build.scripts.analysis import main as analyze_again
from tarazu.record.model import EmpiricalClaim, Expression, SourceClaim
from tarazu.record.reading import Record, check_artifacts, read_record
from tarazu.run.analyze import AnalysisOptions


def import_paper(out: Path, **changes: Any) -> Any:
    settings = {
        "claims": PAPER / "claims.yaml",
        "sources": [PAPER / "paper.md"],
        "citation": CITATION,
    }
    outside = OutsideStudy(
        files=[(PAPER / "scores.csv", Given())], analysis=AnalysisOptions(overrides=["analysis.draws=100"])
    )
    return build_from_scores(outside, out, AuthorInput(**(settings | changes)))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    record: Record = import_paper(tmp_path_factory.mktemp("records") / "paper")
    return record


def test_a_paper_becomes_a_record_of_its_own_claims(record: Record) -> None:
    assert check_artifacts(record) == []
    assert record.manifest.work.title == "Does DPO cost safety? A made-up paper"
    claims = {claim.id: claim for claim in record.claims.claims}
    assert list(claims) == ["hpr-dpo", "cas-dpo", "best-cas", "safer", "says-hpr"]
    assert {claim.origin for claim in claims.values()} == {"author"}
    quotation = claims["says-hpr"]
    assert isinstance(quotation, SourceClaim)
    assert (quotation.source, quotation.score, quotation.section) == ("sources/paper.md", 100.0, "Helpfulness")
    assert (record.path / quotation.source).read_bytes() == (PAPER / "paper.md").read_bytes()


def test_a_claim_that_the_scores_contradict_is_kept_for_the_gate(record: Record) -> None:
    safer = next(claim for claim in record.claims.claims if claim.id == "safer")
    assert isinstance(safer, EmpiricalClaim) and isinstance(safer.check, Expression)
    rate = {arm: record.results.arms[arm].HmR.value for arm in ("base", "dpo")}
    assert safer.check.expression == "HmR('dpo') > HmR('base')" and rate == {"base": 75.0, "dpo": 50.0}


def test_supplied_files_are_named_by_digest(record: Record) -> None:
    provenance = json.loads((record.path / "provenance.json").read_text())
    assert [given["name"] for given in provenance["given"]] == ["scores.csv"]
    assert provenance["prov"]["wasDerivedFrom"]
    assert provenance["source_list_boundary"]["sources"] == ["sources/paper.md"]


def test_two_imports_are_the_same_bytes(record: Record, tmp_path: Path) -> None:
    assert import_paper(tmp_path / "again").digest == record.digest


def test_the_import_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "record")
    known = tmp_path / "known.csv"
    known.write_text("language,kind,reward_good,reward_bad\nen,benign,2,-2\nsw,benign,1,-1\n")
    command = ["record", "import", str(PAPER / "scores.csv"), "--claims", str(PAPER / "claims.yaml"), "--out", out]
    assert main([*command, "--source", str(PAPER / "paper.md"), "--known-answers", str(known)]) == 0
    assert "5 claims (4 empirical, 1 source-grounded)" in capsys.readouterr().out
    record = read_record(Path(out))
    assert "known_answers.parquet" in record.repro.depths["analysis"].inputs
    assert record.results.validity.languages["en"].benign.n == 1


def test_a_record_contains_peoples_labels_and_uses_them(tmp_path: Path) -> None:
    """Two tables of labels, one per person; the record's script computes the same results from the record's copy."""
    rows = list(csv.DictReader((PAPER / "scores.csv").open()))
    for person in ("ann", "ben"):
        lines = [
            ",".join((row["arm"], row["language"], row["kind"], row["prompt_id"], person, str(index % 3 % 2)))
            for index, row in enumerate(rows)
        ]
        (tmp_path / f"{person}.csv").write_text("\n".join(["arm,language,kind,prompt_id,rater,label", *lines]))
    out = tmp_path / "record"
    labels = [word for person in ("ann", "ben") for word in ("--ratings", str(tmp_path / f"{person}.csv"))]
    command = ["record", "import", str(PAPER / "scores.csv"), "--claims", str(PAPER / "claims.yaml"), "--out", str(out)]
    assert main([*command, "--source", str(PAPER / "paper.md"), *labels, "--set", "analysis.draws=100"]) == 0
    record = read_record(out)
    assert "ratings.parquet" in record.repro.depths["analysis"].inputs
    assert record.results.agreement is not None and record.results.agreement.labels == 2 * len(rows)
    given = json.loads((out / "provenance.json").read_text())["given"]
    assert [one["name"] for one in given] == ["scores.csv", "ann.csv", "ben.csv"]
    (tmp_path / "again").mkdir()
    analyze_again(out, tmp_path / "again")
    assert (tmp_path / "again" / "results.json").read_bytes() == (out / "results.json").read_bytes()


# --- claims files ---------------------------------------------------------------------------------

EMPIRICAL = {"id": "a", "kind": "empirical", "statement": "s", "check": {"expression": "CAS('dpo') > 1"}}
QUOTE = {"id": "q", "kind": "source_grounded", "statement": "s", "source": "paper.md", "quote": "The table shows the"}
PROOF = {"id": "p", "kind": "mathematical", "statement": "s", "smt": {"source": "mine.smt2", "negation": "false"}}


def claims_file(folder: Path, *claims: Any) -> Path:
    path = folder / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": list(claims)}, sort_keys=False), encoding="utf-8")
    return path


def resolve(path: Path) -> Any:
    return resolve_claims(path, read_claims(path), {"paper.md": PAPER / "paper.md"}, READING)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ([], "claims: Tuple should have at least 1 item"),
        ([EMPIRICAL | {"tolerence": 1}], "line 7: claims.0.tolerence: no such key"),
        ([EMPIRICAL | {"check": {"expresion": "x"}}], "claims.0.check.expresion: no such key; did you mean"),
        ([EMPIRICAL | {"check": {"expression": "x", "pointer": "/a"}}], "claims.0.check.pointer: no such key"),
        ([EMPIRICAL | {"check": {"pointer": "/arms"}}], "claims.0.check.value: missing"),
        ([EMPIRICAL | {"kind": "guess"}], "'kind' must be one of empirical, mathematical, source_grounded"),
        ([EMPIRICAL | {"id": "No spaces"}], "claims.0.id: String should match pattern"),
        ([EMPIRICAL | {"origin": "build"}], "a: the build sets origin"),
        ([QUOTE | {"score": 100}], "q: the build sets score"),
        ([QUOTE | {"quote": "DPO is worst on every metric"}], "q: paper.md: the words of the closest passage differ"),
        ([QUOTE | {"quote": "Nothing like this was ever written there"}], "q: paper.md: the quotation is not in the"),
        ([QUOTE | {"section": "Appendix"}], "q: paper.md: the document has no section 'Appendix'"),
        ([QUOTE | {"number": 3}], "q: paper.md: the quotation does not contain the number 3"),
        ([QUOTE | {"source": "other.pdf"}], "q: no document 'other.pdf'; give it with --source (given: paper.md)"),
        ([QUOTE | {"source": "../paper.md"}], "claims.0.source: must be a relative path that stays inside"),
        ([PROOF], "p: no such file: mine.smt2; the path is relative to the claims file's folder"),
        ([PROOF | {"smt": {"source": "/etc/passwd", "negation": "x"}}], "must be a relative path that stays inside"),
        ([{"id": "p", "kind": "mathematical", "statement": "s"}], "a mathematical claim needs lean or smt"),
    ],
)
def test_invalid_claims_are_refused(tmp_path: Path, claims: list[Any], message: str) -> None:
    path = claims_file(tmp_path, *claims)
    with pytest.raises(BadInput) as error:
        resolve(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_two_claims_with_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"line 7: two claims have the id 'a'; rename one"):
        read_claims(claims_file(tmp_path, EMPIRICAL, copy.deepcopy(EMPIRICAL)))


def test_proofs_are_copied_into_the_record(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "mine.smt2").write_text("(declare-const x Int)\n")
    proof = PROOF | {"smt": {"source": "deep/mine.smt2", "negation": "(> x x)"}}
    record = import_paper(tmp_path / "record", claims=claims_file(tmp_path, proof))
    assert record.claims.claims[0].smt.source == "proofs/mine.smt2"
    assert (record.path / "proofs" / "mine.smt2").read_text() == "(declare-const x Int)\n"


def test_two_proofs_or_documents_with_the_same_name_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.smt2").write_text("")
        (tmp_path / name / "paper.md").write_text("# A\n\nText.\n")
    proofs = [PROOF | {"id": name, "smt": {"source": f"{name}/mine.smt2", "negation": "x"}} for name in ("a", "b")]
    with pytest.raises(BadInput, match=r"b: two proofs are called mine\.smt2"):
        resolve(claims_file(tmp_path, *proofs))
    with pytest.raises(BadInput, match=r"two documents are called paper\.md"):
        import_paper(tmp_path / "record", sources=[tmp_path / "a" / "paper.md", tmp_path / "b" / "paper.md"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"claims: [\xff]", "byte 10: not UTF-8"),
        (b"claims: [", "not valid YAML"),
        (b"- a", "is a mapping"),
        (b"", "empty"),
    ],
)
def test_an_unreadable_claims_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        read_claims(path)
    assert message in str(error.value)


def test_claims_yaml_executes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(f"claims: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    with pytest.raises(BadInput):
        read_claims(path)
    assert not (tmp_path / "made").exists()

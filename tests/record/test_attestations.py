"""Attestations: what a signer says of the gate's verdict, which are refused, and which lift a record to level 6."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from attesting import from_training, id_of, named, new_key, put, put_signed, statement
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from gate_records import drafted_record, edit, reseal, share_sealed_work
from jsonschema import Draft202012Validator

from tarazu.assessment.assess import assess
from tarazu.assessment.facts import read_facts
from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.record.attestation.collected import TrustedSigner
from tarazu.record.attestation.envelope import sign
from tarazu.record.attestation.keyless import bundle_name
from tarazu.record.attestation.statement import Statement
from tarazu.record.contracts import GateReport
from tarazu.record.corrections import correct
from tarazu.record.ed25519 import key_id, public_pem
from tarazu.record.reading import read_record
from tarazu.record.signing import sign as sign_record
from tarazu.record.verify.attest import attest
from tarazu.record.verify.gate import verify

CHECKERS = Path(sys.prefix) / "checkers" / "bin"
# The checkers may be missing on a user's machine, but not in CI.
needs_checkers = pytest.mark.skipif(
    not any(CHECKERS.parent.glob("lib/*/site-packages/sigstore")) and os.environ.get("CI") != "true",
    reason="needs the checkers: make test",
)


@pytest.fixture(autouse=True)
def _share(monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)


@pytest.fixture
def author(tmp_path: Path) -> Path:
    return new_key(tmp_path / "author.pem", 1)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return new_key(tmp_path / "second.pem", 2)


@pytest.fixture
def record(tmp_path: Path, author: Path) -> Path:
    """A signed record that the gate has not seen."""
    record = drafted_record(tmp_path)
    sign_record(read_record(record), author)
    return record


def level(record: Path, *trusted: Any) -> int:
    return assess(read_facts(read_record(record), trusted)).verification_levels.paper_level


def why_not_6(record: Path, *trusted: Any) -> str:
    levels = assess(read_facts(read_record(record), trusted)).verification_levels
    return next(one.reason for one in levels.unsupported_upper_levels if one.level == 6)


# --- what an attestation says ---------------------------------------------------------------------


def test_the_command_signs_what_the_gate_found(record: Path, second: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "attest", str(record), "--key", str(second)]) == 0
    printed = capsys.readouterr().out
    assert "attestation accepted: VERIFIED from analysis" in printed and id_of(second) in printed
    (path,) = (record / "attestations").iterdir()
    envelope = json.loads(path.read_text(encoding="utf-8"))
    payload = base64.b64decode(envelope["payload"])
    said = json.loads(payload)
    # DSSE by hand: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    kind = envelope["payloadType"].encode()
    encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    key = load_pem_public_key(said["predicate"]["public_key"].encode())
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), encoded)  # type: ignore[union-attr, call-arg]
    assert kind == b"application/vnd.in-toto+json"
    # The statement: the manifest's digest, and the gate's verdict.
    manifest = json.loads((record / "manifest.json").read_text(encoding="utf-8"))
    assert said["subject"][0]["digest"] == {"sha256": hashlib.sha256(rfc8785.dumps(manifest)).hexdigest()}
    gate = json.loads((record / "gate.json").read_text(encoding="utf-8"))
    predicate = said["predicate"]
    assert [(one["id"], one["verdict"]) for one in predicate["claims"]] == [
        (one["id"], one["verdict"]) for one in gate["claims"]
    ]
    for name in ("status", "depth", "scripts", "reason", "evaluated_at"):
        assert predicate[name] == gate[name]
    assert predicate["author_key"] == gate["signed_by"] and predicate["gate"] == gate["tools"]
    schema = json.loads(files("tarazu").joinpath("schemas/gate-attestation-v1.schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(said)
    # The next gate reports it, and the record's own signature is as it was.
    report = verify(record)
    assert report.status == "VERIFIED" and report.signed_by == gate["signed_by"]
    (entry,) = report.attestations
    assert (entry.state, entry.key_id, entry.by_author, entry.independent) == ("accepted", id_of(second), False, False)


def test_a_falsified_record_is_attested_as_such(record: Path, second: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (record / "signature.json").unlink()
    edit(record / "claims.json", lambda claims: claims["claims"][0]["check"].update(value=99.0))
    reseal(record)
    assert main(["record", "attest", str(record), "--key", str(second)]) == 1
    assert "attestation accepted: FALSIFIED from analysis" in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["file", "key", "attestation"])
def test_nothing_is_attested_where_nothing_was_run(record: Path, second: Path, broken: str) -> None:
    key = second
    if broken == "file":
        (record / "report.html").write_text("another", encoding="utf-8")
    elif broken == "key":
        key = record / "report.html"
    else:
        (record / "attestations").mkdir()
        (record / "attestations" / "mine.json").write_text("{}", encoding="utf-8")
    assert main(["record", "attest", str(record), "--key", str(key)]) == 2
    assert not any(path.name != "mine.json" for path in (record / "attestations").glob("*"))


# --- level 6 ----------------------------------------------------------------------------------------


def test_a_second_key_that_the_reader_knows_lifts_the_record(
    record: Path, author: Path, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = verify(record)
    assert level(record) == 5 and "No attestation says" in why_not_6(record)
    put(record, from_training(report, second), second)
    # A key that nobody has named may be the author's own second one.
    assert level(record) == 5 and "A key is not a person" in why_not_6(record)
    assert level(record, named("The author", author)) == 5
    assert level(record, named("A lab elsewhere", second)) == 6
    assert main(["record", "verify", str(record), "--trusted-signer", f"A lab elsewhere={id_of(second)}"]) == 0
    printed = capsys.readouterr().out
    assert "L6 Independently reproduced" in printed and "by A lab elsewhere" in printed
    page = (record / "record.html").read_text(encoding="utf-8")
    assert "A lab elsewhere" in page and "An independent reproduction" in page
    assert main(["record", "verify", str(record)]) == 0
    assert "L5 Sandbox executed" in capsys.readouterr().out
    assert "a key that nobody has named" in (record / "record.html").read_text(encoding="utf-8")


def test_the_authors_own_key_does_not(record: Path, author: Path) -> None:
    report = verify(record)
    put(record, from_training(report, author), author)
    assert level(record, named("The author", author)) == 5
    assert "by the key that signed the record" in why_not_6(record, named("The author", author))


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": "analysis"},
        {"scripts": {"analysis": "package", "training": "author"}},
        {"scripts": {"analysis": "author", "training": "package"}},
        {"author_key": None},
        {"author_key": "sha256:" + "0" * 64},
        {"status": "UNVERIFIED"},
        {"status": "FALSIFIED"},
    ],
)
def test_what_is_no_independent_reproduction_lifts_nothing(record: Path, second: Path, changes: dict[str, Any]) -> None:
    put(record, from_training(verify(record), second, **changes), second)
    assert level(record, named("A lab elsewhere", second)) == 5


def test_an_unsigned_record_cannot_tell_who_its_author_is(record: Path, second: Path) -> None:
    (record / "signature.json").unlink()
    put(record, from_training(verify(record), second), second)
    assert level(record, named("A lab elsewhere", second)) == 5
    assert "nobody signed the record" in why_not_6(record, named("A lab elsewhere", second))


def test_a_signature_of_another_key_afterwards_lifts_nothing(record: Path, author: Path, tmp_path: Path) -> None:
    """An author who attests, and then signs the record with a key that was made for it."""
    put(record, from_training(verify(record), author), author)
    sign_record(read_record(record), new_key(tmp_path / "third.pem", 3))
    verify(record)
    assert level(record, named("The author", author)) == 5


def test_solvers_alone_do_not_reach_level_7(record: Path) -> None:
    verify(record)
    levels = assess(read_facts(read_record(record))).verification_levels
    assert max(one.level for one in levels.claims) == 5
    assert levels.claim_summary.externally_reviewed_or_formally_verified_claims == 0
    assert main(["record", "assess", str(record)]) == 0
    assert (record / "record.html").read_text(encoding="utf-8").count("Lean has not checked this source") == 5


# --- attestations that are refused ------------------------------------------------------------------


def _rewrite(path: Path, change: Any) -> None:
    """Change the statement and keep the signature."""
    envelope = json.loads(path.read_text(encoding="utf-8"))
    said = json.loads(base64.b64decode(envelope["payload"]))
    change(said)
    envelope["payload"] = base64.b64encode(rfc8785.dumps(said)).decode()
    path.write_text(json.dumps(envelope, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _of_another_type(path: Path) -> None:
    edit(path, lambda envelope: envelope.update(payloadType="application/json"))


def _signed_by_nobody(path: Path) -> None:
    edit(path, lambda envelope: envelope.update(signatures=[]))


def _with_a_comment(path: Path) -> None:
    edit(path, lambda envelope: envelope.update(comment="also"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda path: _rewrite(path, lambda said: said["predicate"].update(depth="responses")),
            "not made with its key",
        ),
        (_truncate, "cannot be read"),
        (_of_another_type, "does not match its schema"),
        (_signed_by_nobody, "does not match its schema"),
        (_with_a_comment, "does not match its schema"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n", 1)), "not written as"),
        (lambda path: path.write_bytes(b" " * (1 << 20) + path.read_bytes()), "more than 1048576 bytes"),
        (lambda path: shutil.copyfile(path, path.with_name("again.json")), "its name must be"),
    ],
)
def test_forged_and_damaged_ones_are_refused(record: Path, second: Path, change: Any, message: str) -> None:
    path = put(record, from_training(verify(record), second), second)
    change(path)
    report = verify(record)
    assert report.status == "UNVERIFIED" and "nothing was run: attestations/" in report.reason
    assert message in report.reason
    assert next(one for one in report.attestations if one.state == "refused").reason in report.reason
    assert level(record, named("A lab elsewhere", second)) == 0


def test_one_of_another_record_is_refused(record: Path, second: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = drafted_record(tmp_path / "other")
    edit(other / "manifest.json", lambda manifest: manifest["work"].update(title="Another study"))
    put(record, from_training(verify(other), second), second)
    assert "it is about another manifest" in verify(record).reason


@pytest.mark.parametrize("change", ["dropped", "renamed", "failed", "nothing"])
def test_one_whose_verdict_does_not_follow_is_refused(record: Path, second: Path, change: str) -> None:
    report = verify(record)
    said = from_training(report, second)
    first, *others = said.predicate.claims
    claims = {
        "dropped": (*others,),
        "renamed": (first.model_copy(update={"id": "another"}), *others),
        "failed": (first.model_copy(update={"verdict": "failed"}), *others),
        "nothing": tuple(claim.model_copy(update={"verdict": "context"}) for claim in said.predicate.claims),
    }
    put(record, from_training(report, second, claims=claims[change]), second)
    assert "its claims are not" in (reason := verify(record).reason) or "it says VERIFIED, and not" in reason


def test_one_that_this_gate_contradicts_counts_for_nothing(record: Path, second: Path) -> None:
    """A signer who attests a failed claim that this gate finds true, and the reverse."""
    report = verify(record)
    first, *others = from_training(report, second).predicate.claims
    worse = (first.model_copy(update={"verdict": "failed"}), *others)
    put(record, from_training(report, second, status="FALSIFIED", claims=worse), second)
    again = verify(record)
    assert again.status == "VERIFIED"  # this gate's own verdict is about the record, not about what others say of it
    assert [one.state for one in again.attestations] == ["contradicted"]
    assert first.id in again.attestations[0].reason


def test_after_a_correction_it_is_about_an_earlier_manifest(record: Path, author: Path, second: Path) -> None:
    put(record, from_training(verify(record), second), second)
    correct(record, kind="METADATA", note="The title was wrong.")
    sign_record(read_record(record), author)
    report = verify(record)
    assert report.status == "VERIFIED" and [one.state for one in report.attestations] == ["superseded"]
    assert level(record, named("A lab elsewhere", second)) == 5


def test_a_weak_key_is_refused(record: Path, second: Path) -> None:
    """A key of small order, for which anybody can make signatures."""
    weak = Ed25519PublicKey.from_public_bytes(bytes([1]) + bytes(31))
    said = from_training(verify(record), second, public_key=public_pem(weak))
    signed = sign(said, second)
    (one,) = signed.signatures
    put_signed(record, signed.model_copy(update={"signatures": (one.model_copy(update={"keyid": key_id(weak)}),)}))
    assert "its key is weak" in verify(record).reason


def test_their_number_is_limited(record: Path, second: Path) -> None:
    (record / "attestations").mkdir()
    for number in range(101):
        (record / "attestations" / f"{number}.json").write_text("{}", encoding="utf-8")
    assert "at most 100 attestations" in verify(record).reason
    with pytest.raises(BadInput, match="has 100 attestations"):
        attest(record, second)


# --- Sigstore: what can be tested without its services ------------------------------------------------


def test_keyless_names_its_extra(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "attest", str(record), "--keyless"]) == 2
    assert "pip install 'tarazu[sigstore]'" in capsys.readouterr().err
    assert not (record / "attestations").exists() and not (record / "gate.json").exists()


@pytest.mark.parametrize("arguments", [[], ["--keyless", "--key", "key.pem"]])
def test_a_key_or_keyless_but_not_both(record: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "attest", str(record), *arguments]) == 2
    assert "give --key FILE or --keyless" in capsys.readouterr().err


def bundle(said: Statement, **envelope: Any) -> dict[str, Any]:
    """A bundle as Sigstore writes it, with a certificate that nobody made."""
    payload = base64.b64encode(said.payload()).decode()
    signature = {"sig": base64.b64encode(bytes(70)).decode()}
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"certificate": {"rawBytes": base64.b64encode(b"none").decode()}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": payload,
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [signature],
            **envelope,
        },
    }


def put_bundle(record: Path, said: Statement, **envelope: Any) -> None:
    (record / "attestations").mkdir()
    path = record / "attestations" / bundle_name(said)
    path.write_text(json.dumps(bundle(said, **envelope)), encoding="utf-8")


def test_a_bundle_that_cannot_be_checked_counts_for_nothing(record: Path, second: Path) -> None:
    """Without sigstore it is unchecked; with it, refused, since nobody certified it."""
    report = verify(record)
    said = from_training(report, second, public_key=None)
    put_bundle(record, said)
    (entry,) = verify(record).attestations
    assert entry.state == ("unchecked" if find_spec("sigstore") is None else "refused")
    assert entry.key_id is None and not entry.independent
    assert level(record, TrustedSigner("Anybody", "oidc:https://example.org#a@example.org")) < 6


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        ({"payloadType": "text/plain"}, "not an in-toto statement"),
        ({"payload": "e30="}, "does not match its schema"),
        ({"payload": "%%%"}, "cannot be read"),
        ({"payload": 3}, "does not match its schema"),
    ],
)
def test_a_bundle_around_something_else_is_refused(
    record: Path, second: Path, envelope: dict[str, Any], message: str
) -> None:
    put_bundle(record, statement(verify(record), second, public_key=None), **envelope)
    assert message in verify(record).reason


def test_a_bundle_of_another_record_is_refused(record: Path, second: Path) -> None:
    report = verify(record).model_copy(update={"manifest": "sha256:" + "0" * 64})
    put_bundle(record, statement(report, second, public_key=None))
    assert "it is about another manifest" in verify(record).reason


# --- mutations --------------------------------------------------------------------------------------


def _mutate(rng: random.Random, record: Path, report: GateReport, keys: dict[str, Path]) -> str:
    """Change the attestation in one way that somebody without the second key could."""
    (path,) = (record / "attestations").iterdir()
    how = rng.choice(["bit", "cut", "insert", "field", "resigned", "replaced", "moved", "stripped"])
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    if how == "bit":
        data[at] ^= 1 << rng.randrange(8)
    elif how == "cut":
        del data[at:]
    elif how == "insert":
        data[at:at] = rng.choice([b" ", b"A", b"\n", b"}", b"=="])
    if how in ("bit", "cut", "insert"):
        path.write_bytes(data)
        return f"{how} at {at}"
    if how in ("field", "resigned"):
        name = rng.choice(["status", "depth", "reason", "evaluated_at", "author_key", "public_key"])
        other = {
            "status": rng.choice(["FALSIFIED", "UNVERIFIED"]),
            "depth": rng.choice(["analysis", "responses"]),
            "reason": "otherwise",
            "evaluated_at": "2026-11-20T00:00:00Z",
            "author_key": rng.choice([None, id_of(keys["attacker"])]),
            "public_key": from_training(report, keys["attacker"]).predicate.public_key,
        }
        if how == "field":
            _rewrite(path, lambda said: said["predicate"].update({name: other[name]}))
        else:
            path.unlink()
            put(record, from_training(report, keys["attacker"], **{name: other[name]}), keys["attacker"])
        return f"{how} {name}"
    if how == "replaced":  # the second key's statement in an envelope that another key signed
        path.unlink()
        put(record, from_training(report, keys["second"]), keys["attacker"])
    elif how == "moved":
        path.rename(path.with_name(f"{rng.randrange(99)}.json"))
    else:
        edit(path, lambda envelope: envelope["signatures"][0].update(sig=base64.b64encode(rng.randbytes(64)).decode()))
    return how


def try_mutations(record: Path, folder: Path, keys: dict[str, Path], *, seed: int, count: int) -> list[str]:
    """The mutations after which the record is still intact and at level 6, for a reader who knows the second key."""
    report = verify(record)
    put(record, from_training(report, keys["second"]), keys["second"])
    trusted = named("A lab elsewhere", keys["second"])
    assert level(record, trusted) == 6
    passed = []
    for number in range(count):
        copy = Path(shutil.copytree(record, folder / "mutated"))
        change = _mutate(random.Random(f"{seed} {number}"), copy, report, keys)
        if level(copy, trusted) >= 6:
            passed.append(f"{number}: {change}")
        shutil.rmtree(copy)
    assert level(record, trusted) == 6
    return passed


@pytest.mark.parametrize("count", [24, pytest.param(200, marks=pytest.mark.proof)])
def test_no_mutation_of_an_attestation_keeps_the_level(record: Path, second: Path, tmp_path: Path, count: int) -> None:
    keys = {"second": second, "attacker": new_key(tmp_path / "attacker.pem", 9)}
    assert try_mutations(record, tmp_path, keys, seed=5, count=count) == []


# --- options, and other programs ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("nobody", "must be NAME=KEY"),
        ("A lab=sha256:12", "64 hex digits"),
        ("A lab=missing.pem", "cannot be read"),
        ("A lab={private}", "not an Ed25519 public key"),
    ],
)
def test_a_signer_who_cannot_be_known_is_bad_input(
    record: Path, second: Path, option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["record", "assess", str(record), "--trusted-signer", option.format(private=second)]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_show_lists_them(record: Path, second: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(record, statement(verify(record), second), second)
    assert main(["record", "show", str(record), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["attestations"] == [f"attestations/{path.name}"]
    assert main(["record", "show", str(record)]) == 0
    assert "Attestations: 1" in capsys.readouterr().out


def test_a_public_key_file_names_a_signer(record: Path, second: Path, tmp_path: Path) -> None:
    report = verify(record)
    said = from_training(report, second)
    put(record, said, second)
    public = tmp_path / "second.pub"
    public.write_text(said.predicate.public_key, encoding="ascii")
    assert main(["record", "assess", str(record), "--trusted-signer", f"A lab={public}"]) == 0
    assessed = json.loads((record / "assessment.json").read_text(encoding="utf-8"))
    assert assessed["verification_levels"]["paper_level"] == 6


@needs_checkers
def test_other_programs_accept_the_envelope(record: Path, second: Path, tmp_path: Path) -> None:
    """securesystemslib, in-toto's statement, and Sigstore's envelope and statement, in the checkers' environment."""
    said = statement(verify(record), second)
    path = put(record, said, second)
    public, manifest = tmp_path / "second.pub", tmp_path / "manifest"
    public.write_text(said.predicate.public_key, encoding="ascii")
    manifest.write_bytes(rfc8785.dumps(json.loads((record / "manifest.json").read_text(encoding="utf-8"))))
    script = Path(__file__).parents[1] / "support" / "check_envelope.py"

    def checked() -> dict[str, Any]:
        command = [CHECKERS / "python", script, path, manifest, public]
        answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return answer

    assert checked() == {
        "securesystemslib": True,
        "in-toto": "urn:tarazu:gate-attestation:v1",
        "sigstore: subject": True,
        "sigstore: signature": True,
    }
    _rewrite(path, lambda statement: statement["predicate"].update(status="FALSIFIED"))
    assert {name: answer for name, answer in checked().items() if name != "in-toto"} == {
        "securesystemslib": False,
        "sigstore: subject": True,
        "sigstore: signature": False,
    }

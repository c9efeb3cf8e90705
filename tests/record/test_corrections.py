"""Corrections are additive and chained. Signatures identify the key that signed a manifest."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gate_records import edit, imported_record, reseal, share_sealed_work

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.record.corrections import BrokenChain, correct, read_events, state_of
from tarazu.record.manifest import json_digest
from tarazu.record.reading import check_artifacts, read_record
from tarazu.record.signing import BadSignature, read_signature, sign
from tarazu.record.verify.gate import verify

WHEN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _share(monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return imported_record(tmp_path)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key made as the documentation describes."""
    path = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True, capture_output=True)
    return path


def correct_twice(record: Path, tmp_path: Path) -> None:
    correct(record, kind="METADATA", note="The title was another.", fields=["work.title"], now=WHEN)
    report = tmp_path / "report.html"
    report.write_text("a better report", encoding="utf-8")
    correct(record, kind="ARTIFACT", note="The report was unclear.", replace={"report.html": report}, now=WHEN)


def test_a_correction_keeps_what_it_replaced(record: Path, tmp_path: Path) -> None:
    before = read_record(record)
    assert state_of(before, before.digest, read_events(before)) == "CURRENT"
    correct_twice(record, tmp_path)
    after = read_record(record)
    events = read_events(after)
    assert [event.event_id for event in events] == ["C0001", "C0002"]
    assert events[1].affected_fields == ("report.html",) and events[0].corrected_at == "2026-11-24T12:00:00Z"
    assert (record / "report.html").read_text() == "a better report" and not check_artifacts(after)
    assert state_of(after, after.digest, events) == "CORRECTED"
    assert state_of(after, before.digest, events) == "SUPERSEDED"
    assert state_of(after, "sha256:" + "0" * 64, events) is None
    kept = record / "superseded" / f"{before.digest.removeprefix('sha256:')}.json"
    assert json_digest(json.loads(kept.read_text(encoding="utf-8"))) == before.digest
    # The chain by its definition: each event contains the digest of the previous one, the manifest that of the last.
    lines = [json.loads(line) for line in (record / "corrections.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["previous"] is None
    assert f"sha256:{lines[1]['previous']}" == json_digest(lines[0])
    assert f"sha256:{after.manifest.corrections.head}" == json_digest(lines[1])
    # Metadata derived from the manifest follow the correction.
    crate = json.loads((record / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    listed = {artifact.path: artifact.sha256 for artifact in after.manifest.artifacts}
    described = {one["@id"]: one["sha256"] for one in crate["@graph"] if "sha256" in one}
    assert described["report.html"] == listed["report.html"]


def test_a_corrected_record_is_verified_and_the_old_digest_is_known(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = read_record(record).digest
    wrong = record / "claims.json"
    edit(wrong, lambda claims: claims["claims"][0]["check"].update(value=62.0))
    shutil.move(wrong, tmp_path / "wrong.json")
    shutil.copy(tmp_path / "wrong.json", wrong)
    reseal(record)
    assert verify(record).status == "FALSIFIED"
    edit(tmp_path / "wrong.json", lambda claims: claims["claims"][0]["check"].update(value=62.5))
    falsified = read_record(record).digest
    command = ["record", "correct", str(record), "--type", "CLAIM", "--note", "HpR was mistyped."]
    assert main([*command, "--replace", f"claims.json={tmp_path / 'wrong.json'}"]) == 0
    assert "1 corrections" in capsys.readouterr().out
    assert not (record / "gate.json").exists()  # it was about the previous manifest
    assert verify(record).status == "VERIFIED"
    assert main(["record", "verify", str(record), "--digest", falsified]) == 1
    assert "superseded by a correction" in capsys.readouterr().out
    assert "superseded" not in verify(record, digest=old).reason


def test_a_manifest_can_be_corrected_but_not_its_work_id(record: Path, tmp_path: Path) -> None:
    replacement = tmp_path / "manifest.json"
    shutil.copy(record / "manifest.json", replacement)
    edit(replacement, lambda manifest: manifest["work"].update(title="A better title", authors=["Doe, Jane"]))
    corrected = correct(
        record, kind="METADATA", note="Title and author.", replace={"manifest.json": replacement}, now=WHEN
    )
    assert corrected.manifest.work.title == "A better title" and corrected.manifest.corrections.count == 1
    assert "A better title" in (record / "CITATION.cff").read_text(encoding="utf-8")
    assert verify(record).intact
    other = "00000000-0000-5000-8000-000000000000"
    edit(replacement, lambda manifest: manifest["work"].update(id=other, srch_id="00000000"))
    with pytest.raises(BadInput, match="belongs to another work"):
        correct(record, kind="METADATA", note="x", replace={"manifest.json": replacement})


def edit_events(record: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = record / "corrections.jsonl"
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    change(events)
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda events: events[0].update(public_note="Nothing was wrong."), "event 2 does not follow"),
        (lambda events: events[1].update(public_note="Nothing was wrong."), "ends with another correction"),
        (lambda events: events[1].update(corrected_at="2020-01-01T00:00:00Z"), "ends with another correction"),
        (lambda events: events.pop(0), "event 1 does not follow"),
        (lambda events: events.pop(1), "ends with another correction"),
        (lambda events: events.clear(), "ends with another correction"),
        (lambda events: events.reverse(), "event 1 does not follow"),
        (lambda events: events.append({**events[1], "event_id": "C0003"}), "event 3 does not follow"),
        (lambda events: events[0].update(superseded_manifest="sha256:" + "0" * 64), "is missing"),
        (lambda events: events[0].update(extra=1), "does not match its schema"),
        (lambda events: events.insert(0, []), "not an event"),
    ],
)
def test_the_gate_detects_an_edited_history(change: Any, reason: str, record: Path, tmp_path: Path) -> None:
    correct_twice(record, tmp_path)
    assert verify(record).status == "VERIFIED"
    edit_events(record, change)
    report = verify(record)
    assert report.status == "UNVERIFIED" and not report.intact and reason in report.reason
    with pytest.raises(BadInput, match="corrections.jsonl"):
        correct(record, kind="METADATA", note="more")


def test_superseded_manifests_must_match_their_digests(record: Path, tmp_path: Path) -> None:
    correct_twice(record, tmp_path)
    first, second = sorted(
        (record / "superseded").iterdir(), key=lambda path: json.loads(path.read_text())["corrections"]["count"]
    )
    kept = first.read_text(encoding="utf-8")
    edit(first, lambda manifest: manifest["work"].update(title="Another past"))
    with pytest.raises(BrokenChain, match="not the manifest"):
        read_events(read_record(record))
    first.write_text("{", encoding="utf-8")
    with pytest.raises(BrokenChain, match="is not a manifest"):
        read_events(read_record(record))
    first.write_text(kept, encoding="utf-8")
    (record / "superseded" / "more.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BrokenChain, match="belongs to no correction"):
        read_events(read_record(record))
    (record / "superseded" / "more.json").unlink()
    second.unlink()
    with pytest.raises(BrokenChain, match="is missing"):
        read_events(read_record(record))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"note": " "}, "--note: is empty"),
        ({"replace": {"nowhere.txt": Path(__file__)}}, "this file cannot be replaced"),
        ({"replace": {"../outside": Path(__file__)}}, "this file cannot be replaced"),
        ({"replace": {"ro-crate-metadata.json": Path(__file__)}}, "this file cannot be replaced"),
        ({"replace": {"report.html": Path("/nowhere")}}, "no such file"),
        ({"replace": {"claims.json": Path(__file__)}}, "claims.json"),
    ],
)
def test_a_refused_correction_leaves_the_record_unchanged(options: Any, reason: str, record: Path) -> None:
    before = {path: path.read_bytes() for path in record.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match=reason):
        correct(record, **{"kind": "ARTIFACT", "note": "n", **options})
    assert {path: path.read_bytes() for path in record.rglob("*") if path.is_file()} == before


def test_a_changed_record_cannot_be_corrected(record: Path) -> None:
    (record / "report.html").write_text("changed", encoding="utf-8")
    with pytest.raises(BadInput, match=r"report\.html"):
        correct(record, kind="ARTIFACT", note="n")


# --- signatures -----------------------------------------------------------------------------------


def test_a_signature_names_its_key(record: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_signature(read_record(record)) is None
    assert main(["record", "sign", str(record), "--key", str(key)]) == 0
    signed = read_signature(read_record(record))
    assert signed is not None and signed.key_id in capsys.readouterr().out
    report = verify(record)
    assert report.signed_by == signed.key_id and report.status == "VERIFIED"
    # Independent check: openssl's own key digest and verification, as in the documentation.
    public = tmp_path / "public.pem"
    public.write_text(signed.public_key, encoding="utf-8")
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(public), "-outform", "DER"], check=True, capture_output=True
    )
    digested = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der.stdout, check=True, capture_output=True)
    assert signed.key_id == f"sha256:{digested.stdout.split()[0].decode()}"
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_text(f"tarazu/record/v1\n{report.manifest}", encoding="ascii")
    decode = ["openssl", "base64", "-d", "-A", "-out", str(signature)]
    subprocess.run(decode, input=signed.signature.encode(), check=True)
    check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin", "-in", str(message)]
    assert subprocess.run([*check, "-sigfile", str(signature)], check=False, capture_output=True).returncode == 0


def test_a_correction_needs_a_new_signature(record: Path, key: Path) -> None:
    sign(read_record(record), key)
    correct(record, kind="METADATA", note="n", now=WHEN)
    assert read_signature(read_record(record)) is None
    assert len(list((record / "superseded").glob("*.signature.json"))) == 1
    assert verify(record).intact
    sign(read_record(record), key)
    assert read_signature(read_record(record)) is not None


def other_key(signature: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = Ed25519PrivateKey.generate().public_key()
    signature["public_key"] = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: one.update(signature="A" * 86 + "=="), "it was not made with its key"),
        (other_key, "key_id is not the digest"),
        (lambda one: one.update(digest="sha256:" + "0" * 64), "another manifest"),
        (lambda one: one.update(key_id="sha256:" + "0" * 64), "key_id is not the digest"),
        (lambda one: one.update(algorithm="none"), "does not match its schema"),
        (lambda one: one.update(public_key="x"), "cannot be read"),
        (lambda one: one.update(note="trust me"), "does not match its schema"),
    ],
)
def test_an_invalid_signature_is_refused(change: Any, reason: str, record: Path, key: Path) -> None:
    sign(read_record(record), key)
    edit(record / "signature.json", change)
    with pytest.raises(BadSignature, match=reason):
        read_signature(read_record(record))
    report = verify(record)
    assert report.status == "UNVERIFIED" and not report.intact and report.signed_by is None


def test_only_an_ed25519_key_signs_and_only_an_unchanged_record(record: Path, key: Path, tmp_path: Path) -> None:
    rsa = tmp_path / "rsa.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "rsa", "-out", str(rsa)], check=True, capture_output=True)
    (tmp_path / "no.pem").write_text("no key", encoding="utf-8")
    for path, reason in (
        (rsa, "not an Ed25519 key"),
        (tmp_path / "no.pem", "openssl genpkey"),
        (tmp_path / "x", "cannot be read"),
    ):
        with pytest.raises(BadInput, match=reason):
            sign(read_record(record), path)
    (record / "report.html").write_text("changed", encoding="utf-8")
    with pytest.raises(BadInput, match=r"report\.html"):
        sign(read_record(record), key)
    assert not (record / "signature.json").exists()

"""Records that would mislead who reads their files: identities, dates, names of files, corrections, signatures."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gate_records import edit

from hostile_records.registry import HostileRecord, Outcome, Registry
from tarazu.record.corrections import correct
from tarazu.record.manifest import json_digest
from tarazu.record.reading import read_record
from tarazu.record.signing import sign

HOSTILE = Registry()
WHEN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def as_is(attack: int, outcome: Outcome, reason: str = "") -> Callable[[Callable[[Path], None]], None]:
    """Register a function that spoils a copy of an honest record in place. Nothing is made anew after it."""

    def register(spoil: Callable[[Path], None]) -> None:
        def build(honest: Path, out: Path) -> None:
            shutil.copytree(honest, out)
            spoil(out)

        name = spoil.__name__.replace("_", "-")
        HOSTILE.records.append(HostileRecord(name, attack, build, outcome, reason))

    return register


# --- identity (8) ---------------------------------------------------------------------------------

OTHER = "deadbeef-5f83-53af-ad03-06baffec9066"


def take_id(manifest: Any) -> None:
    manifest["work"] |= {"id": OTHER, "srch_id": "DEADBEEF"}


@as_is(8, "BAD INPUT", "work.id is not the id of this evidence")
def id_of_another_record(record: Path) -> None:
    edit(record / "manifest.json", take_id)


@as_is(8, "BAD INPUT", "work.id is not the id of this evidence")
def id_of_the_same_evidence_with_fewer_claims(record: Path) -> None:
    edit(record / "claims.json", lambda claims: claims["claims"].pop())
    renew_digest(record, "claims.json")


@as_is(8, "UNVERIFIED", "work.id is not that of the evidence")
def id_of_another_record_under_a_correction(record: Path) -> None:
    edit(record / "manifest.json", take_id)
    rewrite_history(record, lambda first: None)


@as_is(8, "UNVERIFIED", "is missing: without the claims before the first correction, work.id cannot be checked")
def id_of_claims_that_a_made_up_past_hides(record: Path) -> None:
    edit(record / "manifest.json", take_id)

    def other_claims(first: Any) -> None:
        next(one for one in first["artifacts"] if one["path"] == "claims.json")["sha256"] = "0" * 64

    rewrite_history(record, other_claims)


def rewrite_history(record: Path, change: Callable[[Any], None]) -> None:
    """Put a correction behind a record that `correct` would not take, by hand."""
    first = json.loads((record / "manifest.json").read_text(encoding="utf-8"))
    change(first)
    digest = json_digest(first)
    (record / "superseded").mkdir()
    (record / "superseded" / f"{digest[7:]}.json").write_text(json.dumps(first), encoding="utf-8")
    event = {
        "affected_fields": [],
        "corrected_at": "2026-11-24T12:00:00Z",
        "correction_type": "METADATA",
        "event_id": "C0001",
        "previous": None,
        "public_note": "The title was another.",
        "superseded_manifest": digest,
    }
    (record / "corrections.jsonl").write_text(json.dumps(event) + "\n", encoding="utf-8")
    head = json_digest(event)[7:]
    edit(record / "manifest.json", lambda manifest: manifest.update(corrections={"count": 1, "head": head}))


def renew_digest(record: Path, name: str) -> None:
    content = (record / name).read_bytes()

    def renew(manifest: Any) -> None:
        artifact = next(one for one in manifest["artifacts"] if one["path"] == name)
        artifact |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    edit(record / "manifest.json", renew)


# --- dates (17) -----------------------------------------------------------------------------------


def submitted(name: str, day: str, reason: str) -> None:
    def spoil(record: Path) -> None:
        edit(record / "manifest.json", lambda manifest: manifest["work"].update(submitted=day))

    spoil.__name__ = f"submitted_{name}"
    HOSTILE.add(17, "BAD INPUT", reason)(spoil)


submitted("on_no_day", "9999-99-99", "work.submitted: no such day")
submitted("on_30_february", "2026-02-30", "work.submitted: no such day")
submitted("in_the_far_future", "9999-12-31", "is in the future")
submitted("in_arabic_digits", "\u0662\u0660\u0662\u0666-\u0661\u0661-\u0662\u0664", "work.submitted")
submitted("in_fullwidth_digits", "\uff12\uff10\uff12\uff16-11-24", "work.submitted")


# --- names of files (19) --------------------------------------------------------------------------


def listed(name: str, path: str, reason: str) -> None:
    def spoil(record: Path) -> None:
        (record / path).parent.mkdir(parents=True, exist_ok=True)
        (record / path).write_text("x", encoding="utf-8")
        one = {"path": path, "role": "metadata", "media_type": "text/plain", "size": 1, "sha256": "0" * 64}
        edit(record / "manifest.json", lambda manifest: manifest["artifacts"].append(one))

    spoil.__name__ = f"file_{name}"
    HOSTILE.add(19, "BAD INPUT", reason)(spoil)


PORTABLE = "a name that not every system can write"
listed("with_backslashes", "..\\..\\evil.bat", "artifacts")
listed("on_a_drive", "C:evil.dll", PORTABLE)
listed("with_a_stream", "report.html:hidden", PORTABLE)
listed("called_nul", "repro/NUL.txt", PORTABLE)
listed("called_com1", "com1", PORTABLE)
listed("with_a_dot_at_its_end", "repro/analysis.py.", PORTABLE)
listed("with_a_space_at_its_end", "results.json ", PORTABLE)
listed("in_other_case", "Claims.JSON", "are one file where case does not count")
listed("in_the_case_of_an_output", "GATE.json", "must not be listed")


# --- documents (14) ---------------------------------------------------------------------------------


@HOSTILE.add(14, "UNVERIFIED", "the quotation is not in the section")
def quotation_of_the_description_of_an_image(record: Path) -> None:
    document = record / "sources" / "study.md"
    words = "The helpfulness rate of the dpo arm is"
    text = document.read_text(encoding="utf-8").replace(words, f"![{words}](chart.png)")
    document.write_text(text, encoding="utf-8")


# --- corrections (18) -----------------------------------------------------------------------------


def spoilt_line(name: str, change: Callable[[bytes], bytes], reason: str = "not as `tarazu record correct`") -> None:
    def spoil(record: Path) -> None:
        correct(record, kind="METADATA", note="The title was another.", fields=["work.title"], now=WHEN)
        path = record / "corrections.jsonl"
        path.write_bytes(change(path.read_bytes()))

    spoil.__name__ = f"correction_{name}"
    as_is(18, "UNVERIFIED", reason)(spoil)


NOTE = b'"public_note": "The title was another."'
spoilt_line("with_two_notes", lambda line: line.replace(NOTE, b'"public_note": "Nothing was wrong.", ' + NOTE))
spoilt_line("with_two_notes_one_escaped", lambda line: line.replace(NOTE, b'"public\\u005fnote": "No.", ' + NOTE))
spoilt_line("with_a_mark_of_byte_order", lambda line: b"\xef\xbb\xbf" + line, "line 1")
spoilt_line("with_windows_line_ends", lambda line: line.replace(b"\n", b"\r\n"))
spoilt_line("with_spaces", lambda line: line.replace(b'": ', b'" :  '))
spoilt_line("with_a_space_behind_it", lambda line: line.replace(b"}\n", b"} \n"))
spoilt_line("with_an_escaped_letter", lambda line: line.replace(b"title", b"\\u0074itle"))
spoilt_line("in_utf_16", lambda line: line.decode().rstrip("\n").encode("utf-16-le") + b"\n", "line 1")
spoilt_line("with_an_empty_line", lambda line: line + b"\n", "line 2")


@as_is(18, "UNVERIFIED", "belongs to no correction")
def superseded_file_with_another_ending(record: Path) -> None:
    correct(record, kind="METADATA", note="The title was another.", now=WHEN)
    kept = next((record / "superseded").iterdir())
    shutil.copy(kept, record / "superseded" / f"{kept.name}.signature")


@as_is(18, "UNVERIFIED", "it was not made with its key")
def superseded_signature_of_somebody_else(record: Path) -> None:
    key = record.parent / "key.pem"
    key.write_bytes(_private_key())
    sign(read_record(record), key)
    correct(record, kind="METADATA", note="The title was another.", now=WHEN)
    kept = next((record / "superseded").glob("*.signature.json"))
    edit(kept, lambda signature: signature.update(signature=base64.b64encode(bytes(64)).decode()))


@as_is(18, "UNVERIFIED", "is not the claims.json of its manifest")
def superseded_claims_that_were_replaced(record: Path) -> None:
    better = record.parent / "better.json"
    shutil.copy(record / "claims.json", better)
    edit(better, lambda claims: claims["claims"][0].update(statement="HpR of dpo is 62.5 per cent."))
    correct(record, kind="CLAIM", note="Spelling.", replace={"claims.json": better}, now=WHEN)
    kept = next((record / "superseded").glob("*.claims.json"))
    edit(kept, lambda claims: claims["claims"][0].update(statement="It was never wrong."))


# --- signatures (26) ------------------------------------------------------------------------------


def _private_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signed_with(record: Path, key: bytes, signature: bytes) -> None:
    """Write a signature by hand: 32 bytes of a public key and 64 bytes of a signature."""
    der = bytes.fromhex("302a300506032b6570032100") + key
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"
    written = {
        "contract": "tarazu/signature/v1",
        "algorithm": "Ed25519",
        "digest": read_record(record).digest,
        "key_id": f"sha256:{hashlib.sha256(der).hexdigest()}",
        "public_key": pem,
        "signature": base64.b64encode(signature).decode(),
    }
    (record / "signature.json").write_text(json.dumps(written), encoding="utf-8")


IDENTITY = (1).to_bytes(32, "little")


@as_is(26, "UNVERIFIED", "its key is weak")
def signature_of_the_identity_point(record: Path) -> None:
    signed_with(record, IDENTITY, IDENTITY + bytes(32))


@as_is(26, "UNVERIFIED", "its key is weak")
def signature_of_the_identity_point_written_otherwise(record: Path) -> None:
    signed_with(record, (2**255 - 18).to_bytes(32, "little"), IDENTITY + bytes(32))


def spoilt_signature(name: str, change: Callable[[Any], None], reason: str) -> None:
    def spoil(record: Path) -> None:
        key = record.parent / "key.pem"
        key.write_bytes(_private_key())
        sign(read_record(record), key)
        edit(record / "signature.json", change)

    spoil.__name__ = f"signature_{name}"
    as_is(26, "UNVERIFIED", reason)(spoil)


def _more_bits(signature: Any) -> None:
    """The last letter of 64 bytes in base 64 has four bits that are not used."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = signature["signature"]
    signature["signature"] = text[:85] + alphabet[alphabet.index(text[85]) + 1] + "=="


def _larger_number(signature: Any) -> None:
    raw = base64.b64decode(signature["signature"])
    order = 2**252 + 27742317777372353535851937790883648493
    larger = (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    signature["signature"] = base64.b64encode(raw[:32] + larger).decode()


spoilt_signature("with_unused_bits", _more_bits, "not in canonical form")
spoilt_signature("with_a_larger_number", _larger_number, "not in canonical form")
spoilt_signature(
    "with_a_note_before_its_key",
    lambda one: one.update(public_key="This is the key of a bishop.\n" + one["public_key"]),
    "its public_key is not written as PEM writes it",
)
spoilt_signature(
    "with_a_key_in_other_lines",
    lambda one: one.update(public_key=one["public_key"].replace("\n", "\r\n")),
    "its public_key is not written as PEM writes it",
)

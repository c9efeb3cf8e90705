"""Ways to change an attested record, each with the outcome that docs/records.md ("Attestations") demands.

The record is signed by `author.pem` and carries an attestation by `second.pem`, from training, which a reader who
trusts the second key counts as an independent reproduction (L6). No change may leave a record at L6:

- `bad input`: a file that no record may hold; the gate reads nothing.
- `refused`: an attestation or a file is not in order; the record is UNVERIFIED, nothing is run, and it is at L0.
- `lower`: the record is VERIFIED on its own evidence, and the attestation does not lift it: L5.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import rfc8785
from attesting import id_of
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tarazu.files import to_json
from tarazu.record.contracts import GateReport

Outcome = Literal["bad input", "refused", "lower"]
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519's group: the same signature with this added to its second half is valid where readers are lenient."""


@dataclass(frozen=True, kw_only=True)
class Attested:
    """A copy of the record to change: the attestation's file, the report that it signs, the keys, a seed's numbers."""

    record: Path
    file: Path
    report: GateReport
    keys: Path
    rng: random.Random

    def key(self, name: str) -> Path:
        return self.keys / f"{name}.pem"


@dataclass(frozen=True)
class Mutation:
    name: str
    outcome: Outcome
    change: Callable[[Attested], None]


# --- tools -------------------------------------------------------------------------------------------


def _envelope(one: Attested) -> Any:
    return json.loads(one.file.read_text(encoding="utf-8"))


def said_by(one: Attested) -> Any:
    return json.loads(base64.b64decode(_envelope(one)["payload"]))


def _write(one: Attested, envelope: Any, name: str | None = None) -> None:
    path = one.file if name is None else one.file.with_name(name)
    path.write_text(to_json(envelope), encoding="utf-8")


def change_bytes(change: Callable[[bytes], bytes], one: Attested) -> None:
    one.file.write_bytes(change(one.file.read_bytes()))


def change_field(change: Callable[[Any], Any], one: Attested) -> None:
    """Change the envelope, in the layout that attestations have."""
    envelope = _envelope(one)
    change(envelope)
    _write(one, envelope)


def forge(change: Callable[[Any], Any], one: Attested) -> None:
    """Change the statement and keep the signature."""
    said = said_by(one)
    change(said)
    change_field(lambda envelope: envelope.update(payload=base64.b64encode(rfc8785.dumps(said)).decode()), one)


def sign_payload(
    one: Attested, payload: bytes, key: str = "second", *, kind: str = "application/vnd.in-toto+json"
) -> None:
    """Put an envelope around any bytes into the record, validly signed (DSSE by hand), under the right name."""
    private = load_pem_private_key(one.key(key).read_bytes(), None)
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
    signature = base64.b64encode(private.sign(message)).decode()  # type: ignore[union-attr, call-arg, arg-type]
    keyid = id_of(one.key(key))
    one.file.unlink()
    envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": kind}
    name = f"{keyid.removeprefix('sha256:')[:16]}-{hashlib.sha256(payload).hexdigest()[:16]}.json"
    _write(one, envelope | {"signatures": [{"keyid": keyid, "sig": signature}]}, name)


def sign_changed(change: Callable[[Any], Any], one: Attested, key: str = "second") -> None:
    """Change the statement, and let the key's holder sign it: a signer who is careless or lies."""
    said = said_by(one)
    change(said)
    sign_payload(one, rfc8785.dumps(said), key)


def change_signature(change: Callable[[Any], Any], one: Attested) -> None:
    change_field(lambda envelope: envelope["signatures"][0].update(change(envelope["signatures"][0])), one)


def change_raw(change: Callable[[bytes], bytes], one: Attested) -> None:
    """Change the 64 bytes of the signature."""
    change_signature(lambda own: {"sig": base64.b64encode(change(base64.b64decode(own["sig"]))).decode()}, one)


# --- the bytes of the envelope's file -------------------------------------------------------------------


BYTES: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("empty", lambda data: b""),
    ("last byte missing", lambda data: data[:-1]),
    ("line feed before", lambda data: b"\n" + data),
    ("line feed after", lambda data: data + b"\n"),
    ("CRLF", lambda data: data.replace(b"\n", b"\r\n")),
    ("tabs", lambda data: data.replace(b"  ", b"\t")),
    ("one line", lambda data: rfc8785.dumps(json.loads(data))),
    ("byte order mark", lambda data: b"\xef\xbb\xbf" + data),
    ("UTF-16", lambda data: data.decode().encode("utf-16")),
    ("NUL after", lambda data: data + b"\0"),
    ("no-break space", lambda data: data.replace(b" ", "\u00a0".encode(), 1)),
    ("escaped key", lambda data: data.replace(b'"payload"', b'"\\u0070ayload"')),
    ("look-alike key", lambda data: data.replace(b'"payload"', '"p\u0430yload"'.encode())),
    ("a list of it", lambda data: b"[" + data + b"]"),
    ("two documents", lambda data: data + data),
    ("a number", lambda data: b"1\n"),
    ("NaN", lambda data: b'{"payload": NaN}\n'),
    ("deep", lambda data: b"[" * 5000 + b"]" * 5000),
    ("more than 1 MiB", lambda data: data + b" " * (1 << 20)),
    ("keys in another order", lambda data: json.dumps(dict(reversed(json.loads(data).items())), indent=2).encode()),
)

# --- fields of the envelope, with the signature kept ------------------------------------------------------

FIELDS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("type application/json", lambda one: one.update(payloadType="application/json")),
    ("type with a parameter", lambda one: one.update(payloadType="application/vnd.in-toto+json; v=1")),
    ("type in upper case", lambda one: one.update(payloadType="APPLICATION/VND.IN-TOTO+JSON")),
    ("no type", lambda one: one.pop("payloadType")),
    ("no signature", lambda one: one.update(signatures=[])),
    ("signature twice", lambda one: one.update(signatures=one["signatures"] * 2)),
    ("a comment", lambda one: one.update(comment="reproduced")),
    ("a comment in the signature", lambda one: one["signatures"][0].update(name="A lab elsewhere")),
    ("payload empty", lambda one: one.update(payload="")),
    ("payload not JSON", lambda one: one.update(payload="AAAA")),
    ("payload with a line feed", lambda one: one.update(payload=one["payload"][:8] + "\n" + one["payload"][8:])),
    ("payload padded twice", lambda one: one.update(payload=one["payload"] + "====")),
    ("key id unknown", lambda one: one["signatures"][0].update(keyid="sha256:" + "0" * 64)),
    ("key id in upper case", lambda one: one["signatures"][0].update(keyid=one["signatures"][0]["keyid"].upper())),
    ("key id null", lambda one: one["signatures"][0].update(keyid=None)),
)
SIGNATURES: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("zeros", lambda raw: bytes(64)),
    ("first half of zeros", lambda raw: bytes(32) + raw[32:]),
    ("halves exchanged", lambda raw: raw[32:] + raw[:32]),
    ("the order added", lambda raw: raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")),
)
FORGED: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("depth", lambda said: said["predicate"].update(depth="responses")),
    ("status", lambda said: said["predicate"].update(status="FALSIFIED")),
    ("scripts", lambda said: said["predicate"]["scripts"].update(analysis="author")),
    ("reason", lambda said: said["predicate"].update(reason="all claims hold")),
    ("author's key", lambda said: said["predicate"].update(author_key="sha256:" + "1" * 64)),
    ("environment", lambda said: said["predicate"]["environment"]["versions"].update(python="3.14.0")),
    ("time", lambda said: said["predicate"].update(evaluated_at="2026-01-01T00:00:00Z")),
    ("gate's version", lambda said: said["predicate"]["gate"].update(tarazu="9.9")),
    ("a claim's verdict", lambda said: said["predicate"]["claims"][0].update(verdict="context")),
    ("subject", lambda said: said["subject"][0]["digest"].update(sha256="0" * 64)),
)

# --- what the trusted key's holder signs ---------------------------------------------------------------------


def _claims(change: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    return lambda said: change(said["predicate"]["claims"])


SIGNED: tuple[tuple[str, Outcome, Callable[[Any], Any]], ...] = (
    ("a claim dropped", "refused", _claims(lambda claims: claims.pop())),
    ("a claim added", "refused", _claims(lambda claims: claims.append({"id": "more", "verdict": "verified"}))),
    ("a claim twice", "refused", _claims(lambda claims: claims.append(claims[0]))),
    ("a claim renamed", "refused", _claims(lambda claims: claims[0].update(id="another"))),
    ("claims in another order", "refused", _claims(lambda claims: claims.reverse())),
    ("no claims", "refused", _claims(lambda claims: claims.clear())),
    ("a verdict that does not exist", "refused", _claims(lambda claims: claims[0].update(verdict="proved"))),
    ("subject of another manifest", "refused", lambda said: said["subject"][0]["digest"].update(sha256="0" * 64)),
    ("subject's name", "refused", lambda said: said["subject"][0].update(name="results.json")),
    ("two subjects", "refused", lambda said: said["subject"].append(said["subject"][0])),
    ("no subject", "refused", lambda said: said["subject"].clear()),
    ("sha512 beside sha256", "refused", lambda said: said["subject"][0]["digest"].update(sha512="0" * 128)),
    ("statement v0.1", "refused", lambda said: said.update(_type="https://in-toto.io/Statement/v0.1")),
    ("predicate of SLSA", "refused", lambda said: said.update(predicateType="https://slsa.dev/provenance/v1")),
    ("a key more in the predicate", "refused", lambda said: said["predicate"].update(level=6)),
    ("no scripts", "refused", lambda said: said["predicate"].update(scripts={})),
    ("no key", "refused", lambda said: said["predicate"].update(public_key=None)),
    ("a depth that does not exist", "refused", lambda said: said["predicate"].update(depth="everything")),
    ("a time to come", "refused", lambda said: said["predicate"].update(evaluated_at="2999-01-01T00:00:00Z")),
    ("no such day", "refused", lambda said: said["predicate"].update(evaluated_at="2026-02-30T00:00:00Z")),
    ("a very long reason", "refused", lambda said: said["predicate"].update(reason="x" * 5001)),
    ("from analysis only", "lower", lambda said: said["predicate"].update(depth="analysis")),
    ("unverified", "lower", lambda said: said["predicate"].update(status="UNVERIFIED")),
    ("falsified", "lower", lambda said: said["predicate"].update(status="FALSIFIED")),
    ("author's training", "lower", lambda said: said["predicate"]["scripts"].update(training="author")),
    ("author's analysis", "lower", lambda said: said["predicate"]["scripts"].update(analysis="author")),
    ("no analysis", "lower", lambda said: said["predicate"]["scripts"].pop("analysis")),
    ("before the author's signature", "lower", lambda said: said["predicate"].update(author_key=None)),
    ("of another author", "lower", lambda said: said["predicate"].update(author_key="sha256:" + "2" * 64)),
)
PAYLOADS: tuple[tuple[str, Callable[[Any], bytes]], ...] = (
    ("payload indented", lambda said: json.dumps(said, indent=1).encode()),
    ("payload with a line feed after", lambda said: rfc8785.dumps(said) + b"\n"),
    ("payload with a key twice", lambda said: rfc8785.dumps(said).replace(b"{", b'{"_type":"x",', 1)),
    ("payload in escapes", lambda said: rfc8785.dumps(said).replace(b'"predicate":', b'"\\u0070redicate":')),
)

"""The rest of the changes of an attested record: keys, places and replays; and the list of all changes."""

from __future__ import annotations

import base64
import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from attestation_mutations import (
    BYTES,
    FIELDS,
    FORGED,
    PAYLOADS,
    SIGNATURES,
    SIGNED,
    Attested,
    Mutation,
    Outcome,
    change_bytes,
    change_field,
    change_raw,
    forge,
    said_by,
    sign_changed,
    sign_payload,
)
from attesting import from_training, id_of, put
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gate_records import edit, reseal

from tarazu.record.corrections import correct
from tarazu.record.ed25519 import key_id, load_private_key, public_pem
from tarazu.record.manifest import canonical
from tarazu.record.reading import read_record
from tarazu.record.signing import sign as sign_record

P: Final = 2**255 - 19


# --- damage that a seed draws --------------------------------------------------------------------------


def _flip(one: Attested) -> None:
    data = bytearray(one.file.read_bytes())
    data[one.rng.randrange(len(data))] ^= 1 << one.rng.randrange(7)
    one.file.write_bytes(data)


def _cut(one: Attested) -> None:
    data = one.file.read_bytes()
    one.file.write_bytes(data[: one.rng.randrange(len(data))])


def _twice(key: str, value: str, one: Attested) -> None:
    """A key that occurs twice, first with another value. Readers differ in which of the two they use."""
    change_bytes(lambda data: data.replace(b"{", f'{{"{key}": {value},'.encode(), 1), one)


def _verdicts(verdict: str, status: str, every: bool, one: Attested) -> None:
    def change(said: Any) -> None:
        claims = said["predicate"]["claims"]
        for claim in claims if every else [one.rng.choice(claims)]:
            claim["verdict"] = verdict
        said["predicate"]["status"] = status

    sign_changed(change, one)


# --- keys ----------------------------------------------------------------------------------------------


def _attest(key: str, one: Attested) -> None:
    """In place of the attestation, one by another key, in order in itself."""
    one.file.unlink()
    put(one.record, from_training(one.report, one.key(key)), one.key(key))


def _names_key(pem: Callable[[Attested], str], one: Attested) -> None:
    """The second key signs a statement that names another one, or the same one otherwise."""
    sign_changed(lambda said: said["predicate"].update(public_key=pem(one)), one)


def _weak(y: int, one: Attested) -> None:
    """A key for which anybody can make signatures, named by statement and envelope, with such a signature."""
    weak = Ed25519PublicKey.from_public_bytes(y.to_bytes(32, "little"))
    _names_key(lambda _: public_pem(weak), one)
    (made,) = one.file.parent.iterdir()
    # R is the neutral element and S is 0: valid for every message under the key y = 1.
    signature = base64.b64encode((1).to_bytes(32, "little") + bytes(32)).decode()
    keyid = key_id(weak)
    edit(made, lambda envelope: envelope["signatures"][0].update(sig=signature, keyid=keyid))
    made.rename(made.with_name(f"{keyid.removeprefix('sha256:')[:16]}{made.name[16:]}"))


def _rsa(one: Attested) -> str:
    public = generate_private_key(65537, 2048).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _pem(key: str) -> Callable[[Attested], str]:
    return lambda one: public_pem(load_private_key(one.key(key)).public_key())


def _under_the_second_name(one: Attested) -> None:
    """The third key signs, and the envelope names the second."""
    payload = canonical(said_by(one))
    sign_payload(one, payload, "third")
    (made,) = one.file.parent.iterdir()
    edit(made, lambda envelope: envelope["signatures"][0].update(keyid=id_of(one.key("second"))))
    made.rename(one.file)


# --- places --------------------------------------------------------------------------------------------


def _renamed(name: str, one: Attested) -> None:
    path = one.record / name
    path.parent.mkdir(exist_ok=True, parents=True)
    one.file.rename(path)


def _file_is_a_link(one: Attested) -> None:
    one.file.rename(one.keys / "elsewhere.json")
    one.file.symlink_to(one.keys / "elsewhere.json")


def _folder_is_a_link(one: Attested) -> None:
    one.file.parent.rename(one.keys / "elsewhere")
    one.file.parent.symlink_to(one.keys / "elsewhere")


def _folder_is_a_file(one: Attested) -> None:
    shutil.rmtree(one.file.parent)
    one.file.parent.write_text("[]", encoding="utf-8")


def _pipe(one: Attested) -> None:
    os.mkfifo(one.file.with_name("pipe.json"))


def _empty_folder(one: Attested) -> None:
    one.file.unlink()
    one.file.mkdir()


def _too_many(one: Attested) -> None:
    for number in range(100):
        shutil.copyfile(one.file, one.file.with_name(f"{number}.json"))


# --- another record, another signature -----------------------------------------------------------------


def _other_title(one: Attested, *, signed_again: bool) -> None:
    """The attestation stays, and the record becomes another: a replay."""
    edit(one.record / "manifest.json", lambda manifest: manifest["work"].update(title="A grander study"))
    if signed_again:
        sign_record(read_record(one.record), one.key("author"))


def _other_claim(one: Attested) -> None:
    edit(one.record / "claims.json", lambda claims: claims["claims"].pop())
    reseal(one.record)
    sign_record(read_record(one.record), one.key("author"))


def _corrected(one: Attested, *, signed_again: bool) -> None:
    correct(one.record, kind="METADATA", note="The title was wrong.")
    if signed_again:
        sign_record(read_record(one.record), one.key("author"))


def _signed_by(key: str, one: Attested) -> None:
    sign_record(read_record(one.record), one.key(key))


def _unsigned(one: Attested) -> None:
    (one.record / "signature.json").unlink()


def _other_file(one: Attested) -> None:
    with (one.record / "report.html").open("ab") as stream:
        stream.write(b"<p>Reproduced.")


def _gate_says(one: Attested, **values: Any) -> None:
    """gate.json says that the author's own attestation is a named stranger's."""
    _attest("author", one)

    def change(gate: Any) -> None:
        gate["attestations"] = [{**gate["attestations"][0], **values}]

    edit(one.record / "gate.json", change)


_SITUATIONS: Final[tuple[tuple[str, Outcome, Callable[[Attested], None]], ...]] = (
    ("a bit turned, first", "refused", _flip),
    ("a bit turned, second", "refused", _flip),
    ("cut off", "refused", _cut),
    ("payload twice", "refused", partial(_twice, "payload", '"e30="')),
    ("type twice", "refused", partial(_twice, "payloadType", '"text/plain"')),
    ("signatures twice", "refused", partial(_twice, "signatures", "[]")),
    ("says VERIFIED of a failed claim", "refused", partial(_verdicts, "failed", "VERIFIED", False)),
    ("says VERIFIED of a vacuous claim", "refused", partial(_verdicts, "vacuous", "VERIFIED", False)),
    ("says VERIFIED of nothing but context", "refused", partial(_verdicts, "context", "VERIFIED", True)),
    ("says that a true claim failed", "lower", partial(_verdicts, "failed", "FALSIFIED", False)),
    ("says that a claim is vacuous", "lower", partial(_verdicts, "vacuous", "UNVERIFIED", False)),
    ("could run nothing", "lower", partial(_verdicts, "not_run", "UNVERIFIED", True)),
    ("the author's own", "lower", partial(_attest, "author")),
    ("of a key that nobody named", "lower", partial(_attest, "third")),
    ("third key under the second's name", "refused", _under_the_second_name),
    ("names the author's key", "refused", partial(_names_key, _pem("author"))),
    ("names the third key", "refused", partial(_names_key, _pem("third"))),
    ("names an RSA key", "refused", partial(_names_key, _rsa)),
    ("names its key with a note", "refused", partial(_names_key, lambda one: f"A lab\n{_pem('second')(one)}")),
    ("names its key in CRLF", "refused", partial(_names_key, lambda one: _pem("second")(one).replace("\n", "\r\n"))),
    ("weak key, 1", "refused", partial(_weak, 1)),
    ("weak key, -1", "refused", partial(_weak, P - 1)),
    ("signed as another type", "refused", lambda one: sign_payload(one, canonical(said_by(one)), kind="text/plain")),
    ("signed by the third key", "refused", lambda one: sign_payload(one, canonical(said_by(one)), "third")),
    ("another name", "refused", partial(_renamed, "attestations/lab.json")),
    ("name without .json", "refused", partial(_renamed, "attestations/lab")),
    ("name of a bundle", "refused", partial(_renamed, "attestations/lab.sigstore.json")),
    ("in a folder", "refused", partial(_renamed, "attestations/lab/one.json")),
    ("beside the manifest", "refused", partial(_renamed, "attestation.json")),
    ("among the proofs", "refused", partial(_renamed, "proofs/attestation.json")),
    ("a link", "bad input", _file_is_a_link),
    ("in a folder that is a link", "bad input", _folder_is_a_link),
    ("a file for the folder", "bad input", _folder_is_a_file),
    ("a pipe", "bad input", _pipe),
    ("a folder of its name", "lower", _empty_folder),
    ("deleted", "lower", lambda one: one.file.unlink()),
    ("a hundred copies", "refused", _too_many),
    ("another title", "refused", partial(_other_title, signed_again=False)),
    ("another title, signed again", "refused", partial(_other_title, signed_again=True)),
    ("a claim fewer, signed again", "refused", _other_claim),
    ("after a correction", "lower", partial(_corrected, signed_again=True)),
    ("after a correction, unsigned", "lower", partial(_corrected, signed_again=False)),
    ("record signed by a third key", "lower", partial(_signed_by, "third")),
    ("record signed by the attesting key", "lower", partial(_signed_by, "second")),
    ("record not signed", "lower", _unsigned),
    ("another file changed", "refused", _other_file),
    ("gate.json says independent", "lower", partial(_gate_says, independent=True)),
    ("gate.json names a lab", "lower", partial(_gate_says, signer="A lab", by_author=False, independent=True)),
)


def _all() -> tuple[Mutation, ...]:
    refused: list[tuple[str, Callable[[Attested], None]]] = [
        *((f"bytes: {name}", partial(change_bytes, change)) for name, change in BYTES),
        *((f"envelope: {name}", partial(change_field, change)) for name, change in FIELDS),
        *((f"signature: {name}", partial(change_raw, change)) for name, change in SIGNATURES),
        *((f"forged: {name}", partial(forge, change)) for name, change in FORGED),
        *((f"signed: {name}", lambda one, make=make: sign_payload(one, make(said_by(one)))) for name, make in PAYLOADS),
    ]
    return (
        *(Mutation(name, "refused", change) for name, change in refused),
        *(Mutation(f"signed: {name}", outcome, partial(sign_changed, change)) for name, outcome, change in SIGNED),
        *(Mutation(name, outcome, change) for name, outcome, change in _SITUATIONS),
    )


ATTESTATION_MUTATIONS: Final = _all()


def numbers(name: str) -> random.Random:
    """The random numbers of a change, the same each time."""
    return random.Random(f"attestation {name}")

"""Keys, and attestations as somebody could sign them, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tarazu.record.attestation.collected import TrustedSigner
from tarazu.record.attestation.envelope import SignedStatement, name_of, sign, text_of
from tarazu.record.attestation.statement import Statement, statement_of
from tarazu.record.contracts import GateReport
from tarazu.record.ed25519 import key_id, load_private_key, public_pem
from tarazu.record.manifest import Environment


def new_key(path: Path, seed: int) -> Path:
    """A file with a private key, the same for the same seed."""
    private = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big"))
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def id_of(key: Path) -> str:
    return key_id(load_private_key(key).public_key())


def named(name: str, key: Path) -> TrustedSigner:
    return TrustedSigner(name, id_of(key))


def statement(report: GateReport, key: Path, **changes: Any) -> Statement:
    """What the key's holder would say by attesting the report, with other values in the predicate."""
    environment = Environment(versions={"python": "3.12.1"}, hardware={"cores": 2})
    said = statement_of(report, public_pem(load_private_key(key).public_key()), environment)
    return said.model_copy(update={"predicate": said.predicate.model_copy(update=changes)})


def from_training(report: GateReport, key: Path, **changes: Any) -> Statement:
    """The same, of a re-run from training by the package's scripts."""
    scripts = {"analysis": "package", "training": "package"}
    return statement(report, key, **{"depth": "training", "scripts": scripts, **changes})


def put(record: Path, said: Statement, key: Path) -> Path:
    """Sign a statement and put its envelope into the record."""
    return put_signed(record, sign(said, key))


def put_signed(record: Path, signed: SignedStatement) -> Path:
    path = record / "attestations" / name_of(signed)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text_of(signed), encoding="utf-8")
    return path

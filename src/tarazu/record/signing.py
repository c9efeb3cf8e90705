"""Who answers for a record: an Ed25519 signature over the manifest's digest.

What is signed is the text `tarazu/record/v1`, a line feed, and the digest (`sha256:` and 64 hex digits), so that a
signature made for another purpose cannot be taken for one. A valid signature says that the key's holder signed this
manifest; who that is, the reader must know by the key's id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tarazu.errors import BadInput, MissingExtra
from tarazu.files import write_json
from tarazu.readers import read_json, validation_message
from tarazu.record.contracts import Signature
from tarazu.record.reading import Record, check_artifacts

SIGNATURE: Final = "signature.json"
_CONTEXT = b"tarazu/record/v1\n"


class BadSignature(Exception):
    """A signature that does not hold; the text says why, in one line."""


def sign(record: Record, key: Path) -> Signature:
    """Sign the record's manifest with a private key (PEM, no password) and write signature.json.

    Raises BadInput: a key that is none, or a record whose files are not those of its manifest.
    """
    _need_cryptography()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    for defect in check_artifacts(record):
        raise BadInput(f"{record.path / defect.path}: {defect.message}; sign a record that is as its manifest says")
    private = _private(key)
    public = private.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    made = Signature(
        digest=record.digest,
        key_id=f"sha256:{hashlib.sha256(der).hexdigest()}",
        public_key=public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii"),
        signature=base64.b64encode(private.sign(_message(record.digest))).decode("ascii"),
    )
    write_json(record.path / SIGNATURE, made.model_dump(mode="json"))
    return made


def signer(record: Record) -> Signature | None:
    """The record's signature, checked; None where it has none. Raises BadSignature, MissingExtra."""
    if SIGNATURE not in record.files:
        return None
    _need_cryptography()
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    try:
        found = Signature.model_validate(read_json(record.path / SIGNATURE))
        public = load_pem_public_key(found.public_key.encode("ascii"))
    except ValidationError as error:
        raise BadSignature(f"it is not of its schema: {validation_message(error)}") from None
    except (BadInput, ValueError, TypeError, UnsupportedAlgorithm, UnicodeError) as error:
        raise BadSignature(f"it cannot be read: {str(error)[:200]}") from None
    if not isinstance(public, Ed25519PublicKey):
        raise BadSignature("its key is not an Ed25519 key")
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if found.key_id != f"sha256:{hashlib.sha256(der).hexdigest()}":
        raise BadSignature("its key_id is not the digest of its key")
    if found.digest != record.digest:
        raise BadSignature(f"it is for another manifest, {found.digest}")
    try:
        public.verify(base64.b64decode(found.signature, validate=True), _message(record.digest))
    except (InvalidSignature, binascii.Error):
        raise BadSignature("the key did not make it") from None
    return found


def _message(digest: str) -> bytes:
    return _CONTEXT + digest.encode("ascii")


def _private(path: Path) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    mend = "make one with: openssl genpkey -algorithm ed25519 -out key.pem"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadInput(f"{path}: not a private key in PEM without a password; {mend}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{path}: not an Ed25519 key; {mend}")
    return key


def _need_cryptography() -> None:
    if find_spec("cryptography") is None:
        raise MissingExtra("records", "cryptography")

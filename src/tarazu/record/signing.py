"""Ed25519 signatures of digests: of a record's manifest, and of a preregistered plan.

The signed message is the text `tarazu/record/v1` (for a plan, `tarazu/plan/v1`), a line feed, and the digest (`sha256:`
and 64 hex digits), so that a signature made for one purpose is not valid for another. A valid signature proves that the
key's holder signed this manifest or plan. Readers must know from the key's id who that is.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tarazu.errors import BadInput, MissingExtra
from tarazu.files import write_json
from tarazu.readers import read_json, validation_message
from tarazu.record.contracts import Signature
from tarazu.record.ed25519 import is_canonical, is_safe_point
from tarazu.record.reading import Record, check_artifacts

SIGNATURE: Final = "signature.json"
RECORD: Final = b"tarazu/record/v1\n"
PLAN: Final = b"tarazu/plan/v1\n"


class BadSignature(Exception):
    """The signature is not valid. The message says why, in one line."""


def sign(record: Record, key: Path) -> Signature:
    """Sign the record's manifest with a private key (PEM, no password) and write signature.json.

    Raises BadInput if the key is not valid or the record's files do not match its manifest.
    """
    for defect in check_artifacts(record):
        raise BadInput(f"{record.path / defect.path}: {defect.message}; sign only a record that matches its manifest")
    signature = sign_digest(record.digest, key, RECORD)
    write_json(record.path / SIGNATURE, signature.model_dump(mode="json"))
    return signature


def sign_digest(digest: str, key: Path, context: bytes) -> Signature:
    """The signature of `sha256:...` by a private key, for the purpose `context`. Raises BadInput, MissingExtra."""
    _need_cryptography()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = _load_private_key(key)
    public = private.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Signature(
        digest=digest,
        key_id=f"sha256:{hashlib.sha256(der).hexdigest()}",
        public_key=public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii"),
        signature=base64.b64encode(private.sign(context + digest.encode("ascii"))).decode("ascii"),
    )


def read_signature(record: Record) -> Signature | None:
    """The record's signature after it was checked, or None if it has none. Raises BadSignature, MissingExtra."""
    return check_signature(record.path / SIGNATURE, record.digest) if SIGNATURE in record.files else None


def check_signature(path: Path, digest: str, context: bytes = RECORD) -> Signature:
    """The signature in the file `path`, which must be valid for that digest, of a manifest or of what `context` says.

    Raises BadSignature, MissingExtra.
    """
    _need_cryptography()
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    try:
        signature = Signature.model_validate(read_json(path))
        public = load_pem_public_key(signature.public_key.encode("ascii"))
    except ValidationError as error:
        raise BadSignature(f"it does not match its schema: {validation_message(error)}") from None
    except (BadInput, ValueError, TypeError, UnsupportedAlgorithm, UnicodeError) as error:
        raise BadSignature(f"it cannot be read: {str(error)[:200]}") from None
    if not isinstance(public, Ed25519PublicKey):
        raise BadSignature("its key is not an Ed25519 key")
    if public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) != signature.public_key.encode("ascii"):
        raise BadSignature("its public_key is not written as PEM writes it")
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if signature.key_id != f"sha256:{hashlib.sha256(der).hexdigest()}":
        raise BadSignature("its key_id is not the digest of its key")
    if signature.digest != digest:
        raise BadSignature(f"it is for another {'manifest' if context == RECORD else 'plan'}, {signature.digest}")
    if not is_safe_point(public.public_bytes(Encoding.Raw, PublicFormat.Raw)):
        raise BadSignature("its key is weak: signatures for it can be made without a private key")
    signed = base64.b64decode(signature.signature)
    if base64.b64encode(signed).decode("ascii") != signature.signature or not is_canonical(signed):
        raise BadSignature("its signature is not in canonical form")
    try:
        public.verify(signed, context + digest.encode("ascii"))
    except InvalidSignature:
        raise BadSignature("it was not made with its key") from None
    return signature


def _load_private_key(path: Path) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    fix = "make one with: openssl genpkey -algorithm ed25519 -out key.pem"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadInput(f"{path}: not a private key in PEM without a password; {fix}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{path}: not an Ed25519 key; {fix}")
    return key


def _need_cryptography() -> None:
    if find_spec("cryptography") is None:
        raise MissingExtra("records", "cryptography")

"""Ed25519 signatures of digests: of a record's manifest, and of a preregistered plan.

The signed message is the text `tarazu/record/v1` (for a plan, `tarazu/plan/v1`), a line feed, and the digest (`sha256:`
and 64 hex digits), so that a signature made for one purpose is not valid for another. A valid signature proves that the
key's holder signed this manifest or plan. Readers must know from the key's id who that is.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tarazu.errors import BadInput
from tarazu.files import write_json
from tarazu.readers import read_json, validation_message
from tarazu.record.contracts import Signature
from tarazu.record.ed25519 import BadKey, is_canonical, key_id, load_private_key, load_public_key, public_pem
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
    private = load_private_key(key)
    return Signature(
        digest=digest,
        key_id=key_id(private.public_key()),
        public_key=public_pem(private.public_key()),
        signature=base64.b64encode(private.sign(context + digest.encode("ascii"))).decode("ascii"),
    )


def read_signature(record: Record) -> Signature | None:
    """The record's signature after it was checked, or None if it has none. Raises BadSignature, MissingExtra."""
    return check_signature(record.path / SIGNATURE, record.digest) if SIGNATURE in record.files else None


def check_signature(path: Path, digest: str, context: bytes = RECORD) -> Signature:
    """The signature in the file `path`, which must be valid for that digest, of a manifest or of what `context` says.

    Raises BadSignature, MissingExtra.
    """
    try:
        signature = Signature.model_validate(read_json(path))
        public = load_public_key(signature.public_key)
    except ValidationError as error:
        raise BadSignature(f"it does not match its schema: {validation_message(error)}") from None
    except BadInput as error:
        raise BadSignature(f"it cannot be read: {str(error)[:200]}") from None
    except BadKey as error:
        raise BadSignature(str(error)) from None
    if signature.key_id != key_id(public):
        raise BadSignature("its key_id is not the digest of its key")
    if signature.digest != digest:
        raise BadSignature(f"it is for another {'manifest' if context == RECORD else 'plan'}, {signature.digest}")
    signed = base64.b64decode(signature.signature)
    if base64.b64encode(signed).decode("ascii") != signature.signature or not is_canonical(signed):
        raise BadSignature("its signature is not in canonical form")
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(signed, context + digest.encode("ascii"))
    except InvalidSignature:
        raise BadSignature("it was not made with its key") from None
    return signature

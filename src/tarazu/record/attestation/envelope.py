"""The DSSE envelope around a statement: a payload, its type and one Ed25519 signature.

https://github.com/secure-systems-lab/dsse describes it. The signature covers the type and the payload
(`securesystemslib` signs and checks it), so it is valid for nothing else. An envelope has one text: `to_json` of it.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from tarazu.errors import BadInput, MissingExtra
from tarazu.files import to_json
from tarazu.readers import read_json, validation_message
from tarazu.record.attestation.statement import Statement, parse
from tarazu.record.ed25519 import BadKey, is_canonical, key_id, load_private_key, load_public_key
from tarazu.record.manifest import Digest
from tarazu.record.model import RecordModel

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
LARGEST: Final = 1 << 20
"""Bytes of an envelope. One about 1,000 claims has a fifth of it."""
_Base64 = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+/]*={0,2}$", max_length=LARGEST)]


class EnvelopeSignature(RecordModel):
    keyid: Digest = Field(description="SHA-256 of the public key (SubjectPublicKeyInfo, DER), as in signature.json.")
    sig: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+/]{86}==$")]


class SignedStatement(RecordModel):
    """A DSSE envelope with one signature."""

    payload: _Base64
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: tuple[EnvelopeSignature]


class BadEnvelope(Exception):
    """The envelope is not valid. The message says why, in one line."""


def sign(statement: Statement, key: Path) -> SignedStatement:
    """The statement in an envelope, signed with a private key (PEM, no password). Raises BadInput, MissingExtra."""
    _need_securesystemslib()
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey

    private = load_private_key(key)
    public = SSlibKey.from_crypto(private.public_key(), keyid=key_id(private.public_key()))
    envelope = Envelope(statement.payload(), PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(private, public))
    return SignedStatement.model_validate(envelope.to_dict())


def name_of(signed: SignedStatement) -> str:
    """The name of the envelope's file: the beginning of its key's id and of its payload's digest."""
    key = signed.signatures[0].keyid.removeprefix("sha256:")
    return f"{key[:16]}-{hashlib.sha256(base64.b64decode(signed.payload)).hexdigest()[:16]}.json"


def text_of(signed: SignedStatement) -> str:
    """The text of the envelope's file."""
    return to_json(signed.model_dump(mode="json", by_alias=True))


def read_envelope(path: Path) -> tuple[SignedStatement, Statement]:
    """The envelope in a file and its statement, whose signature was checked with the key that it names.

    Raises BadEnvelope, MissingExtra.
    """
    try:
        signed = SignedStatement.model_validate(read_json(path, largest=LARGEST))
        if path.read_bytes() != text_of(signed).encode():
            raise BadEnvelope("it is not written as `tarazu record attest` writes it")
        payload = base64.b64decode(signed.payload, validate=True)
        if base64.b64encode(payload).decode("ascii") != signed.payload:
            raise BadEnvelope("its payload is not in canonical form")
        statement = parse(payload)
    except ValidationError as error:
        raise BadEnvelope(f"it does not match its schema: {validation_message(error)}") from None
    except (BadInput, ValueError, RecursionError) as error:
        raise BadEnvelope(f"it cannot be read: {str(error)[:200]}") from None
    if statement.predicate.public_key is None:
        raise BadEnvelope("it does not name its key")
    _check_signature(signed, payload, statement.predicate.public_key)
    return signed, statement


def _check_signature(signed: SignedStatement, payload: bytes, pem: str) -> None:
    _need_securesystemslib()
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    try:
        public = load_public_key(pem)
    except BadKey as error:
        raise BadEnvelope(str(error)) from None
    (signature,) = signed.signatures
    if signature.keyid != key_id(public):
        raise BadEnvelope("it names another key than its statement")
    raw = base64.b64decode(signature.sig)
    if base64.b64encode(raw).decode("ascii") != signature.sig or not is_canonical(raw):
        raise BadEnvelope("its signature is not in canonical form")
    envelope = Envelope.from_dict(signed.model_dump(mode="json", by_alias=True))
    try:
        envelope.verify([SSlibKey.from_crypto(public, keyid=signature.keyid)], 1)
    except VerificationError:
        raise BadEnvelope("its signature was not made with its key") from None


def _need_securesystemslib() -> None:
    if find_spec("securesystemslib") is None:
        raise MissingExtra("records", "securesystemslib")

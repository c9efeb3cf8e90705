"""Attestations with an identity in place of a key: Sigstore certifies the address of a person or of a workflow.

A bundle of Sigstore holds the envelope, the certificate and the entry of the transparency log. The package `sigstore`
(extra `sigstore`) makes and checks it; to make one needs the network and a browser.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tarazu.errors import BadInput, MissingExtra, TarazuError
from tarazu.readers import read_json, validation_message
from tarazu.record.attestation.envelope import LARGEST, PAYLOAD_TYPE, BadEnvelope
from tarazu.record.attestation.statement import Statement, parse

SUFFIX: Final = ".sigstore.json"
IDENTITY: Final = "oidc:"
"""Begins the id of a certified identity: oidc:ISSUER#IDENTITY."""
_ISSUER_OID = "1.3.6.1.4.1.57264.1.8"


class Unchecked(Exception):
    """Whether the bundle is valid cannot be said here. The message says why, in one line."""


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    payload: Annotated[str, StringConstraints(max_length=LARGEST)]
    payload_type: Annotated[str, StringConstraints(max_length=200)] = Field(alias="payloadType")


class _Bundle(BaseModel):
    """What a bundle says before anything of it is checked."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    envelope: _Envelope = Field(alias="dsseEnvelope")


def need_sigstore() -> None:
    """Raise MissingExtra where the package `sigstore` is not installed."""
    if find_spec("sigstore") is None:
        raise MissingExtra("sigstore", "sigstore")


def sign_keyless(statement: Statement) -> str:
    """The text of a bundle around the statement. Asks for the signer's identity in a browser.

    Raises MissingExtra, and TarazuError where Sigstore cannot be reached or certifies nothing.
    """
    need_sigstore()
    from sigstore.dsse import Statement as Sealed
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import Issuer
    from sigstore.sign import SigningContext

    try:
        config = ClientTrustConfig.production()
        token = Issuer(config.signing_config.get_oidc_url()).identity_token()
        with SigningContext.from_trust_config(config).signer(token) as signer:
            bundle: str = signer.sign_dsse(Sealed(statement.payload())).to_json()
            return bundle
    except Exception as error:  # of the network, of the browser, or of one of Sigstore's services
        raise TarazuError(f"--keyless: Sigstore did not sign: {type(error).__name__}: {str(error)[:200]}") from None


def bundle_name(statement: Statement) -> str:
    """The name of the bundle's file: the beginning of its payload's digest."""
    return f"{hashlib.sha256(statement.payload()).hexdigest()[:16]}{SUFFIX}"


def read_statement(path: Path) -> Statement:
    """The statement in a bundle's file, of which nothing was checked. Raises BadEnvelope."""
    try:
        envelope = _Bundle.model_validate(read_json(path, largest=LARGEST)).envelope
        if envelope.payload_type != PAYLOAD_TYPE:
            raise BadEnvelope(f"its payload is not an in-toto statement, but {envelope.payload_type[:100]}")
        return parse(base64.b64decode(envelope.payload, validate=True))
    except ValidationError as error:
        raise BadEnvelope(f"it does not match its schema: {validation_message(error)}") from None
    except (BadInput, ValueError, RecursionError) as error:
        raise BadEnvelope(f"it cannot be read: {str(error)[:200]}") from None


def certified_identity(path: Path, statement: Statement) -> str:
    """Who signed the bundle of this statement, as its certificate says: oidc:ISSUER#IDENTITY. Raises BadEnvelope,
    Unchecked.

    Signature, certificate and log are checked by `sigstore`, offline, against the roots that it has on this machine.
    """
    if find_spec("sigstore") is None:
        raise Unchecked("needs sigstore, which is not installed: pip install 'tarazu[sigstore]'")
    from cryptography.x509 import ExtensionNotFound
    from sigstore.errors import TUFError
    from sigstore.models import Bundle
    from sigstore.verify import Verifier
    from sigstore.verify.policy import UnsafeNoOp

    try:
        bundle = Bundle.from_json(path.read_bytes())
    except Exception as error:  # a stranger's bundle; its reader raises more than errors of its own
        raise BadEnvelope(f"Sigstore cannot read it: {type(error).__name__}: {str(error)[:200]}") from None
    try:
        verifier = Verifier.production(offline=True)
    except TUFError as error:
        raise Unchecked(f"Sigstore has no roots on this machine: {str(error)[:200]}") from None
    try:
        kind, payload = verifier.verify_dsse(bundle, UnsafeNoOp())
    except Exception as error:
        raise BadEnvelope(f"Sigstore refuses it: {type(error).__name__}: {str(error)[:200]}") from None
    if kind != PAYLOAD_TYPE or payload != statement.payload():  # it may read another field of the same file
        raise BadEnvelope("Sigstore reads another statement in it")
    try:
        return _identity(bundle.signing_certificate)
    except (ValueError, LookupError, AttributeError, ExtensionNotFound):
        raise BadEnvelope("its certificate does not name one identity and its issuer") from None


def _identity(certificate: Any) -> str:
    from cryptography import x509

    extensions = certificate.extensions
    issuer = extensions.get_extension_for_oid(x509.ObjectIdentifier(_ISSUER_OID)).value.value[2:].decode("utf-8")
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (name,) = names
    return f"{IDENTITY}{issuer}#{name.value}"

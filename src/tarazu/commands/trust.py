"""The option for keys of attestations that the reader knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tarazu.record.attestation.collected import TrustedSigner


def _named_key(text: str) -> tuple[str, str]:
    name, separator, key = text.partition("=")
    if not (separator and name.strip() and name.isprintable() and len(name) <= 200 and key):
        raise typer.BadParameter(f"must be NAME=KEY, not {text!r}")
    if key.startswith("sha256:") and not re.fullmatch("sha256:[0-9a-f]{64}", key):
        raise typer.BadParameter(f"must be NAME=sha256: and 64 hex digits, not {text!r}")
    return name.strip(), key


TrustedSigners = Annotated[
    list[Any],
    typer.Option(
        "--trusted-signer",
        metavar="NAME=KEY",
        parser=_named_key,
        help="A signer of attestations whom you know: a name that you give, and the public key (a PEM file), its id "
        "(sha256:...), or the identity that Sigstore certifies (oidc:ISSUER#IDENTITY). Repeatable.",
    ),
]


def trusted_signers(given: Sequence[tuple[str, str]]) -> tuple[TrustedSigner, ...]:
    """The signers that the option names. Raises BadInput."""
    from tarazu.record.attestation.collected import read_trusted

    return tuple(read_trusted(name, key) for name, key in given)

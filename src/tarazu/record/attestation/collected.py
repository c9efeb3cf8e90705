"""The attestations that a record carries: each is checked, and its signer is named if the reader knows the key.

A key is not a person: whoever signed a record can make a second key. So an attestation shows independence only to a
reader who knows whose the key is, and says so by naming it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tarazu.errors import BadInput
from tarazu.record.attestation.envelope import LARGEST, BadEnvelope, name_of, read_envelope
from tarazu.record.attestation.keyless import (
    IDENTITY,
    SUFFIX,
    Unchecked,
    bundle_name,
    certified_identity,
    read_statement,
)
from tarazu.record.attestation.statement import Statement, contradiction, inconsistency
from tarazu.record.claims.findings import ClaimVerdict
from tarazu.record.contracts import AttestationEntry, AttestationState, CorrectionEvent
from tarazu.record.ed25519 import BadKey, key_id, load_public_key
from tarazu.record.manifest import ATTESTATIONS
from tarazu.record.reading import Record
from tarazu.record.signing import BadSignature, read_signature

MOST: Final = 100
"""Attestations of one record."""


@dataclass(frozen=True)
class TrustedSigner:
    """A key that the reader knows, under the name that the reader gives to its holder."""

    name: str
    key: str
    """The key's id."""


def read_trusted(name: str, key: str) -> TrustedSigner:
    """The signer with a key: an id (sha256:...), a file with a public key in PEM, or an identity that Sigstore
    certifies (oidc:ISSUER#IDENTITY). Raises BadInput."""
    if key.startswith(("sha256:", IDENTITY)):
        return TrustedSigner(name, key)
    try:
        text = Path(key).read_text(encoding="ascii")
        return TrustedSigner(name, key_id(load_public_key(text)))
    except OSError as error:
        raise BadInput(f"--trusted-signer {name}={key}: cannot be read: {error.strerror or error}") from None
    except (BadKey, UnicodeError):
        fix = "make one with: openssl pkey -in key.pem -pubout -out public.pem"
        raise BadInput(f"--trusted-signer {name}={key}: not an Ed25519 public key in PEM; {fix}") from None


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """A file of attestations/: what it is worth, and what it says if it can be read."""

    path: str
    state: AttestationState
    reason: str
    key: str | None = None
    statement: Statement | None = None


def read_attestations(record: Record, events: Sequence[CorrectionEvent]) -> tuple[Attestation, ...]:
    """Every attestation of a record, each checked alone. `events` are the record's corrections.

    `refused` ones are not valid, or are about another record; `superseded` ones are about an earlier manifest;
    `unchecked` ones are Sigstore's, which is not installed.
    """
    paths = sorted(path for path in record.files if path.startswith(f"{ATTESTATIONS}/"))
    if len(paths) > MOST:
        reason = f"a record has at most {MOST} attestations, and this one has {len(paths)}"
        return (Attestation(path=f"{ATTESTATIONS}/", state="refused", reason=reason),)
    earlier = {event.superseded_manifest for event in events}
    return tuple(_read(record, path, earlier) for path in paths)


def _read(record: Record, path: str, earlier: set[str]) -> Attestation:
    if record.files[path] > LARGEST:
        return Attestation(path=path, state="refused", reason=f"it has more than {LARGEST} bytes")
    key: str | None = None
    is_bundle = path.endswith(SUFFIX)
    try:
        if is_bundle:
            statement = read_statement(record.path / path)
            name = bundle_name(statement)
        else:
            signed, statement = read_envelope(record.path / path)
            name, key = name_of(signed), signed.signatures[0].keyid
    except BadEnvelope as error:
        return Attestation(path=path, state="refused", reason=str(error))

    def as_(state: AttestationState, reason: str) -> Attestation:
        return Attestation(path=path, state=state, reason=reason, key=key, statement=statement)

    if path != f"{ATTESTATIONS}/{name}":
        return as_("refused", f"its name must be {name}")
    if statement.manifest in earlier:
        return as_("superseded", "it is about a manifest that a correction replaced")
    if statement.manifest != record.digest:
        return as_("refused", f"it is about another manifest, {statement.manifest}")
    if problem := inconsistency(statement, tuple(claim.id for claim in record.claims.claims)):
        return as_("refused", problem)
    if is_bundle:
        try:
            key = certified_identity(record.path / path, statement)
        except Unchecked as error:
            return as_("unchecked", str(error))
        except BadEnvelope as error:
            return as_("refused", str(error))
    return as_("accepted", "its signature and its claims are in order")


def compared(attestations: Sequence[Attestation], verdicts: Mapping[str, ClaimVerdict]) -> tuple[Attestation, ...]:
    """The attestations after this gate's verdicts on the claims: one that it contradicts counts for nothing."""
    return tuple(_compared(attestation, verdicts) for attestation in attestations)


def _compared(attestation: Attestation, verdicts: Mapping[str, ClaimVerdict]) -> Attestation:
    if attestation.state != "accepted" or attestation.statement is None:
        return attestation
    reason = contradiction(attestation.statement, verdicts)
    if reason is None:
        return attestation
    return replace(attestation, state="contradicted", reason=reason)


def author_key(record: Record) -> str | None:
    """Id of the key that signed the manifest. None without a valid signature."""
    try:
        signature = read_signature(record)
    except BadSignature:
        return None
    return signature.key_id if signature else None


def is_independent(attestation: Attestation, author: str | None, trusted: Sequence[TrustedSigner]) -> bool:
    """Whether it shows that somebody other than the author gave the record's results again.

    The record must be signed, since only that tells which key is the author's; the reader must know the signer's key,
    since the author can have a second one; and the re-run must have been the package's, from before the scores, since
    an author's script could repeat known results.
    """
    statement = attestation.statement
    if attestation.state != "accepted" or statement is None or author is None:
        return False
    predicate = statement.predicate
    return (
        attestation.key != author
        and attestation.key in {signer.key for signer in trusted}
        and predicate.author_key == author
        and predicate.status == "VERIFIED"
        and predicate.depth != "analysis"
        and predicate.scripts.get(predicate.depth) == predicate.scripts.get("analysis") == "package"
    )


def entries(
    attestations: Sequence[Attestation], author: str | None, trusted: Sequence[TrustedSigner]
) -> Iterator[AttestationEntry]:
    """The attestations as outputs show them."""
    names = {signer.key: signer.name for signer in trusted}
    for one in attestations:
        predicate = one.statement.predicate if one.statement else None
        yield AttestationEntry(
            path=one.path,
            state=one.state,
            reason=one.reason,
            key_id=one.key,
            signer=names.get(one.key) if one.key else None,
            by_author=None if author is None or one.key is None else one.key == author,
            independent=is_independent(one, author, trusted),
            status=predicate.status if predicate else None,
            depth=predicate.depth if predicate else None,
            evaluated_at=predicate.evaluated_at if predicate else None,
        )

"""What an attestation says: an in-toto Statement (v1) about a manifest, whose predicate is the gate's verdict.

Its payload is the statement in canonical form (RFC 8785), so that one statement has one text and one signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from tarazu.record.claims.findings import ClaimVerdict, ScriptBy
from tarazu.record.contracts import GateReport, GateStatus
from tarazu.record.manifest import Digest, Environment, canonical
from tarazu.record.model import MOST_CLAIMS, ClaimId, Depth, Line, RecordModel, Sha256
from tarazu.results.dates import Moment

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:tarazu:gate-attestation:v1"
SUBJECT: Final = "manifest.json (RFC 8785)"
"""The attested artifact: the manifest's canonical bytes, whose SHA-256 is the manifest's digest."""
_Word = Annotated[str, StringConstraints(max_length=200)]


class SubjectDigest(RecordModel):
    sha256: Sha256


class Subject(RecordModel):
    """The manifest in canonical form."""

    name: Literal["manifest.json (RFC 8785)"] = SUBJECT
    digest: SubjectDigest


class AttestedClaim(RecordModel):
    """The gate's verdict on one claim."""

    id: ClaimId
    verdict: ClaimVerdict


class GateAttestation(RecordModel):
    """The gate's verdict on a record, as one run of it gave it."""

    status: GateStatus
    reason: str = Field(max_length=5000)
    depth: Depth = Field(description="Where the re-run began.")
    scripts: dict[Depth, ScriptBy] = Field(description="Whose script ran at each depth.")
    claims: tuple[AttestedClaim, ...] = Field(
        max_length=MOST_CLAIMS, description="Every claim of the record, in order."
    )
    author_key: Digest | None = Field(description="Id of the key that had signed the manifest; null if none had.")
    gate: dict[_Word, _Word | None] = Field(max_length=50, description="Versions of the gate and of its checkers.")
    sandbox: dict[_Word, _Word] = Field(max_length=50)
    environment: Environment = Field(description="Where the gate ran.")
    evaluated_at: Moment
    public_key: Line | None = Field(
        description="The key that signs, PEM; null where Sigstore certifies an identity. A key is not a person."
    )


class Statement(RecordModel):
    """An in-toto Statement, v1."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(STATEMENT_TYPE, alias="_type")
    subject: tuple[Subject] = Field(description="One manifest.")
    predicate_type: Literal["urn:tarazu:gate-attestation:v1"] = Field(PREDICATE_TYPE, alias="predicateType")
    predicate: GateAttestation

    def payload(self) -> bytes:
        """The statement in canonical form."""
        return canonical(self.model_dump(mode="json", by_alias=True))

    @property
    def manifest(self) -> str:
        """Digest of the manifest that it is about."""
        return f"sha256:{self.subject[0].digest.sha256}"


def statement_of(report: GateReport, public_key: str | None, environment: Environment) -> Statement:
    """What a signer says by attesting the gate's report."""
    predicate = GateAttestation(
        status=report.status,
        reason=report.reason[:5000],
        depth=report.depth,
        scripts=report.scripts,
        claims=tuple(AttestedClaim(id=finding.id, verdict=finding.verdict) for finding in report.claims),
        author_key=report.signed_by,
        gate={name: None if version is None else version[:200] for name, version in report.tools.items()},
        sandbox={name: version[:200] for name, version in report.sandbox.items()},
        environment=environment,
        evaluated_at=report.evaluated_at,
        public_key=public_key,
    )
    subject = Subject(digest=SubjectDigest(sha256=report.manifest.removeprefix("sha256:")))
    return Statement.model_validate({"subject": (subject,), "predicate": predicate})


def inconsistency(statement: Statement, claims: tuple[str, ...]) -> str | None:
    """Why no run of the gate on a record with these claims can have given this statement; None if one can have."""
    predicate = statement.predicate
    if tuple(claim.id for claim in predicate.claims) != claims:
        return "its claims are not those of this record"
    verdicts = [claim.verdict for claim in predicate.claims]
    if predicate.status == "VERIFIED" and not ("verified" in verdicts and {"verified", "context"} >= set(verdicts)):
        return "it says VERIFIED, and not of every claim that it holds"
    if predicate.depth not in predicate.scripts and predicate.status == "VERIFIED":
        return f"it says VERIFIED, and not whose script ran from depth {predicate.depth}"
    return None


def contradiction(statement: Statement, verdicts: Mapping[str, ClaimVerdict]) -> str | None:
    """The first claim on which the statement and this gate's verdicts contradict each other; None if there is none.

    What either of them could not check contradicts nothing.
    """
    holds, refuted = {"verified", "context"}, {"failed", "vacuous"}
    for claim in statement.predicate.claims:
        here = verdicts.get(claim.id)
        if ({claim.verdict} <= holds and here in refuted) or ({claim.verdict} <= refuted and here in holds):
            return f"it says '{claim.verdict}' of {claim.id}, and this gate says '{here}'"
    return None


def parse(payload: bytes) -> Statement:
    """The statement that `payload` is, which must be its canonical form. Raises ValueError, ValidationError."""
    statement = Statement.model_validate_json(payload)
    if statement.payload() != payload:
        raise ValueError("its payload is not in canonical form")
    return statement

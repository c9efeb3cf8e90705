"""Models of a record's outputs and correction events, with the field names that readers of such pages know.

Outputs may have more fields than these, such as the gate's verdict on each claim or the versions of tools. Events may
not, because their digests are chained.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tarazu.record.claims.findings import Finding, ScriptBy
from tarazu.record.manifest import Digest
from tarazu.record.model import Depth, RecordModel, Sha256
from tarazu.results.dates import Moment

# --- corrections ----------------------------------------------------------------------------------

CorrectionType = Literal["METADATA", "ARTIFACT", "CLAIM", "BENCHMARK", "PROVENANCE", "QUALITY_ASSESSMENT"]


class CorrectionEvent(RecordModel):
    """A line of corrections.jsonl."""

    event_id: str = Field(min_length=1)
    corrected_at: Moment
    correction_type: CorrectionType
    public_note: str = Field(min_length=1)
    affected_fields: tuple[str, ...]
    superseded_manifest: Digest = Field(description="Digest of the manifest that this correction replaced.")
    previous: Sha256 | None = Field(description="SHA-256 of the previous event's canonical form; null for the first.")


class Signature(RecordModel):
    """signature.json: the signature of a manifest; beside a plan, that of the plan."""

    contract: Literal["tarazu/signature/v1"] = "tarazu/signature/v1"
    algorithm: Literal["Ed25519"] = "Ed25519"
    digest: Digest = Field(description="Digest of what is signed: a manifest, or a plan's file.")
    key_id: Digest = Field(description="SHA-256 of the public key (SubjectPublicKeyInfo, DER).")
    public_key: str = Field(max_length=1000, description="The public key, PEM.")
    signature: str = Field(pattern="^[A-Za-z0-9+/]{86}==$", description="The signature's 64 bytes in base 64.")


class Output(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


class CorrectionPolicy(Output):
    corrections_are_additive: bool
    no_silent_public_rewrites: bool
    private_operational_logs_public: bool
    basis: str


class CorrectionRecord(Output):
    """correction-record-v1: a record's corrections, as its page shows them."""

    contract: Literal["correction-record-v1"] = "correction-record-v1"
    work: dict[str, str]
    publisher: str
    manifest: dict[str, str | None] = Field(description="current_manifest_url, correction_record_url and such.")
    correction_state: Literal["CURRENT", "CORRECTED", "SUPERSEDED"]
    correction_count: int = Field(ge=0)
    last_corrected_at: Moment | None
    correction_events: tuple[CorrectionEvent, ...]
    known_superseded_manifest_urls: tuple[str, ...]
    policy: CorrectionPolicy
    interpretation: str
    limitations: tuple[str, ...]


# --- the gate -------------------------------------------------------------------------------------


PROMISE: Final = (
    "VERIFIED promises that the results were computed from these scores: in a sealed sandbox, the package's own "
    "analysis of the record's scores gives the record's results; each verified claim holds for them, says something "
    "that other results would have contradicted, and reads values that change when the scores are replaced. It "
    "cannot promise that the scores are honest, nor that they come from the named models: only a re-run from "
    "responses or training with the package's own scripts goes further back. It cannot promise that the words of a "
    "statement mean what its check says: the page shows both. Claims of context (settings, counts, facts of the "
    "data) and theorems hold, but are not computed from the scores and make no record VERIFIED."
)
"""What the page and docs/records.md say of VERIFIED."""

GateStatus = Literal["UNVERIFIED", "VERIFIED", "FALSIFIED"]


class GateVerdict(Output):
    """The gate's verdict on a record, by the names that readers of such pages know."""

    contract: Literal["gate-verdict-v1"] = "gate-verdict-v1"
    status: GateStatus
    label: str
    definition: str
    reason: str
    evaluated_at: str = Field(description="Date and time, ISO 8601 in UTC.")
    gate: str
    enforcement: str


AttestationState = Literal["accepted", "superseded", "contradicted", "unchecked", "refused"]


class AttestationEntry(Output):
    """An attestation that the record carries: who says that the gate gave which verdict, and what that is worth."""

    path: str
    state: AttestationState = Field(
        description="refused: not valid, or about another record. superseded: about a manifest that a correction "
        "replaced. contradicted: by this gate. unchecked: of Sigstore, which is not installed here."
    )
    reason: str
    key_id: str | None = Field(
        description="Id of the key that signed it, or the identity that Sigstore certifies (oidc:ISSUER#IDENTITY); "
        "null if that is not known."
    )
    signer: str | None = Field(description="The name that the reader gave to the key (`--trusted-signer`).")
    by_author: bool | None = Field(description="Whether the key also signed the record; null if nobody signed it.")
    independent: bool = Field(description="Whether it counts as an independent reproduction.")
    status: GateStatus | None
    depth: Depth | None
    evaluated_at: Moment | None


class GateStep(Output):
    """One step of the gate, and its outcome in one line."""

    step: int = Field(ge=1)
    name: str
    outcome: str
    seconds: float = Field(ge=0)


class GateEnvironment(Output):
    """The environment in which the gate ran."""

    versions: dict[str, str]


class GateReport(GateVerdict):
    """gate.json, gate-verdict-v1: the verdict and its basis."""

    manifest: Digest = Field(description="Digest of the manifest that the gate checked.")
    signed_by: Digest | None = Field(None, description="Id of the key that signed the manifest.")
    plan: Digest | None = Field(None, description="Digest of the preregistered plan's file; null without a plan.")
    plan_signed_by: Digest | None = Field(None, description="Id of the key that signed the plan.")
    attestations: tuple[AttestationEntry, ...] = Field((), description="Every attestation that the record carries.")
    intact: bool = Field(
        description="Whether the files, the corrections, the signature, the attestations and the digest are in order."
    )
    defects: tuple[str, ...] = ()
    depth: Depth
    promise: str = Field("", description="What VERIFIED promises, and what it cannot.")
    scripts: dict[Depth, ScriptBy] = Field(
        default_factory=dict,
        description="Whose script ran at each depth: the package's own, by its digest, or another.",
    )
    unmade: tuple[str, ...] = Field(
        (), description="Pointers to what results.json has and a re-run did not give. Pages then show no results."
    )
    same_text: tuple[tuple[str, str], ...] | None = Field(
        None, description="Pairs of quoted documents that hold the same text; null if they were not compared."
    )
    steps: tuple[GateStep, ...] = ()
    claims: tuple[Finding, ...]
    sandbox: dict[str, str] = Field(default_factory=dict, description="Versions, or why there is no sandbox.")
    tools: dict[str, str | None] = Field(default_factory=dict, description="Versions; null if not installed.")
    environment: GateEnvironment | None = None
    seconds: float = Field(0.0, ge=0)


# --- assessment.json ------------------------------------------------------------------------------


class ClaimSummary(Output):
    """How many claims each kind of verification covers. A claim may count more than once."""

    source_grounded_claims: int = Field(ge=0)
    aggregate_claim_records: int = Field(ge=0)
    claim_record_source: str
    per_claim_public_records: bool
    per_claim_public_record_count: int = Field(ge=0)
    cross_source_corroborated_claims: int = Field(ge=0)
    artifact_inspected_claims: int = Field(ge=0)
    sandbox_executed_claims: int = Field(ge=0)
    independently_reproduced_claims: int = Field(ge=0)
    externally_reviewed_or_formally_verified_claims: int = Field(ge=0)


class Level(Output):
    """A verification level, and the number of claims that reach it or a higher level."""

    level: int = Field(ge=0, le=7)
    key: str
    label: str
    definition: str
    claims: int = Field(ge=0)


class ClaimLevel(Output):
    """The highest level that one claim reaches, and why."""

    id: str
    level: int = Field(ge=0, le=7)
    basis: str


class UnsupportedLevel(Output):
    level: int = Field(ge=0, le=7)
    reason: str


class VerificationLevels(Output):
    """verification-levels-v1."""

    contract: Literal["verification-levels-v1"] = "verification-levels-v1"
    paper_level: int = Field(ge=0, le=7)
    paper_level_key: str
    paper_level_label: str
    basis: str
    generated_from: tuple[str, ...]
    claim_summary: ClaimSummary
    claims: tuple[ClaimLevel, ...]
    attestations: tuple[AttestationEntry, ...] = ()
    artifact_types: tuple[str, ...]
    levels: tuple[Level, ...]
    unsupported_upper_levels: tuple[UnsupportedLevel, ...]
    enforcement: str
    limitations: tuple[str, ...]


Grade = Literal["UNASSESSED", "LOW", "MEDIUM", "HIGH"]


class Dimension(Output):
    score: float | None = Field(ge=0, le=10)
    level: Grade
    basis: str
    definition: str


class QualityDimensions(Output):
    """quality-dimensions-v1."""

    contract: Literal["quality-dimensions-v1"] = "quality-dimensions-v1"
    evidence_strength: Dimension
    citation_grounding: Dimension
    numerical_consistency: Dimension
    benchmark_validity: Dimension
    novelty: Dimension
    uncertainty_disclosure: Dimension
    reproducibility_status: Dimension
    safety_impact: Dimension


Tier = Literal["QUARANTINE_CANDIDATE", "FLAGSHIP_CANDIDATE", "DOI_GRADE", "PUBLIC_RECORD", "WATCHLIST"]


class TierInputs(Output):
    review_score: float = Field(ge=0, le=10)
    verified_claim_count: int = Field(ge=0)
    artifact_types: tuple[str, ...]
    reproducibility_level: Grade


class QualityTiers(Output):
    """quality-tiers-v1."""

    contract: Literal["quality-tiers-v1"] = "quality-tiers-v1"
    tier: Tier
    basis: str
    generated_from: tuple[str, ...]
    inputs: TierInputs
    thresholds: dict[str, float]
    enforcement: str
    limitations: tuple[str, ...]


class ReviewCheck(Output):
    """One rule's result. `passed` is null if the rule does not apply."""

    id: str
    question: str
    passed: bool | None
    weight: int = Field(ge=1)
    finding: str
    fix: str


class AutomatedReview(Output):
    """One automated reviewer's review. A language model's review has no checks and does not count in the score."""

    reviewer: str
    kind: Literal["rules", "language_model"]
    score: float | None = Field(ge=0, le=10)
    basis: str
    checks: tuple[ReviewCheck, ...] = ()
    findings: tuple[str, ...] = ()


class Cap(Output):
    """A weakness of the study that limits its review score, and with the score its tier."""

    id: str
    reason: str = Field(description="Why it applies to this record.")
    ceiling: float = Field(ge=0, le=10, description="The highest review score that it allows.")
    highest_tier: Tier
    lift: str = Field(description="What would end it.")


class Review(Output):
    """automated-review-v2."""

    contract: Literal["automated-review-v2"] = "automated-review-v2"
    notice: str
    score: float = Field(ge=0, le=10, description="The mean of the reviewers' scores, or the lowest ceiling below it.")
    uncapped_score: float | None = Field(None, ge=0, le=10, description="The mean of the reviewers' scores.")
    caps: tuple[Cap, ...] = Field((), description="What limits score and tier.")
    basis: str
    reviews: tuple[AutomatedReview, ...]


class Trigger(Output):
    """A reason to review a record again."""

    trigger: Literal["correction", "changed_source", "newer_tool", "failed_rerun"]
    message: str = Field(description="What happened or, for a monitored trigger, what is watched for.")


class ReviewMonitor(Output):
    """review-monitor-v1: the triggers for a new review."""

    contract: Literal["review-monitor-v1"] = "review-monitor-v1"
    state: Literal["CURRENT", "REVIEW_DUE"]
    active_triggers: tuple[Trigger, ...]
    monitored_triggers: tuple[Trigger, ...]


class Assessment(Output):
    """assessment.json."""

    notice: str
    work: str = Field(description="The work's id.")
    manifest: Digest = Field(description="Digest of the manifest that is assessed.")
    verification_levels: VerificationLevels
    quality_dimensions: QualityDimensions
    quality_tiers: QualityTiers
    review: Review
    review_monitor: ReviewMonitor


# --- several records ------------------------------------------------------------------------------


class BenchmarkEntry(Output):
    """One record's value."""

    record: str = Field(description="SRCH id.")
    title: str
    value: float
    ci_low: float | None
    ci_high: float | None
    n: int | None
    gate_status: GateStatus


class BenchmarkEvidence(Output):
    """benchmark-evidence-v1: what several records report for one model, benchmark and metric."""

    contract: Literal["benchmark-evidence-v1"] = "benchmark-evidence-v1"
    model: str
    benchmark: str
    metric: str
    unit: str | None
    reported_range: tuple[float, float]
    spread: float = Field(ge=0, description="Largest minus smallest reported value, in the unit.")
    severity: Literal["SINGLE_SOURCE", "NONE", "LOW", "MEDIUM", "HIGH"]
    severity_basis: str
    source_coverage: int = Field(ge=0, description="Records that report it.")
    source_profile: dict[str, int] = Field(description="Records by gate status.")
    entries: tuple[BenchmarkEntry, ...]

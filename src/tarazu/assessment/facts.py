"""The public facts that an assessment is made of, and what several rules read from results.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Final

from pydantic import ValidationError

from tarazu.data.rows import KINDS
from tarazu.errors import BadInput
from tarazu.readers import read_json, validation_message
from tarazu.record.attestation.collected import (
    Attestation,
    TrustedSigner,
    author_key,
    compared,
    entries,
    read_attestations,
)
from tarazu.record.claims.dependence import reads
from tarazu.record.claims.findings import SCRIPTS, ClaimVerdict, Finding
from tarazu.record.claims.pointers import steps
from tarazu.record.claims.shipped import shipped_proofs
from tarazu.record.contracts import AttestationEntry, CorrectionEvent, GateReport
from tarazu.record.corrections import BrokenChain, read_events
from tarazu.record.model import Claim, EmpiricalClaim, Lean, MathematicalClaim, Smt, SourceClaim
from tarazu.record.reading import Defect, Record, check_artifacts
from tarazu.results import Results
from tarazu.results.model import RATES_AND_MEAN, EstimateEntry, RateEntry, RateOrMean

GATE: Final = "gate.json"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A record, what its files are against the manifest, its corrections, and the gate's verdict on this manifest.

    `chain` says why the corrections are not those of the manifest; None where they are. `gate` is None where the gate
    has not run, or ran on another manifest: then `stale` is true. `attestations` are those that the record carries,
    after a comparison with the gate's verdicts, `author` is the key that signed the record, and `trusted` are the keys
    that the reader knows.
    """

    record: Record
    defects: tuple[Defect, ...]
    events: tuple[CorrectionEvent, ...]
    chain: str | None
    gate: GateReport | None
    stale: bool
    attestations: tuple[Attestation, ...] = ()
    author: str | None = None
    trusted: tuple[TrustedSigner, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether every file is as the manifest says, the corrections end where it says, and attestations are valid."""
        sealed = not self.defects and self.chain is None and (self.gate is None or self.gate.intact)
        return sealed and all(one.state != "refused" for one in self.attestations)

    @cached_property
    def attested(self) -> tuple[AttestationEntry, ...]:
        """The attestations as outputs show them."""
        return tuple(entries(self.attestations, self.author, self.trusted))

    @cached_property
    def reproduced(self) -> dict[str, AttestationEntry]:
        """The claims that somebody other than the author attests from a re-run, by id, with the first attestation."""
        claims: dict[str, AttestationEntry] = {}
        for one, entry in zip(self.attestations, self.attested, strict=True):
            if entry.independent and one.statement is not None:
                for claim in one.statement.predicate.claims:
                    if claim.verdict in ("verified", "context"):
                        claims.setdefault(claim.id, entry)
        return claims

    @property
    def status(self) -> str:
        """The gate's status; UNVERIFIED where it has not run."""
        return self.gate.status if self.gate is not None else "UNVERIFIED"

    @property
    def claims(self) -> tuple[Claim, ...]:
        return self.record.claims.claims

    @cached_property
    def findings(self) -> dict[str, Finding]:
        """The gate's findings by claim."""
        return {} if self.gate is None else {finding.id: finding for finding in self.gate.claims}

    def verdict(self, claim: Claim) -> ClaimVerdict:
        finding = self.findings.get(claim.id)
        return "not_run" if finding is None else finding.verdict

    @cached_property
    def own(self) -> tuple[Claim, ...]:
        """Claims about this work that its scores or documents can decide: no claims of context, and no theorems, except
        those on values that the gate computed. Of several theorems on the same values, one counts."""
        theorems = {frozenset(self.bound(claim)): claim.id for claim in reversed(self.claims) if self.bound(claim)}
        return tuple(
            claim
            for claim in self.claims
            if self.verdict(claim) != "context"
            and (not isinstance(claim, MathematicalClaim) or claim.id in theorems.values())
        )

    def bound(self, claim: Claim) -> tuple[str, ...]:
        """Pointers of the values that are a verified theorem's only premises, as the gate found them and the claim
        names them."""
        finding = self.findings.get(claim.id)
        if finding is None or finding.verdict != "verified" or not isinstance(claim, MathematicalClaim):
            return ()
        named = tuple(value.pointer for value in claim.smt.values) if claim.smt else ()
        return named if named == finding.bound else ()

    @cached_property
    def verified(self) -> tuple[EmpiricalClaim, ...]:
        """Claims that the gate verified from this work's scores. A quotation is not among them: the gate verifies that
        the document says it, not that it is true."""
        return tuple(claim for claim in self.empirical if self.intact and self.verdict(claim) == "verified")

    def distinct(self, claims: Iterable[Claim]) -> tuple[Claim, ...]:
        """The first of the claims that say something about the same results, or quote the same, with the same verdict.

        However often a result is claimed, and in whatever spelling, it is one result."""
        kept: dict[object, Claim] = {}
        for claim in claims:
            key: object = claim.id
            if isinstance(claim, EmpiricalClaim):
                key = frozenset(str(steps(pointer)) for pointer in reads(claim, self.record.document)) or claim.id
            elif isinstance(claim, SourceClaim):
                key = (claim.source, " ".join(claim.quote.casefold().split()))
            kept.setdefault((key, self.verdict(claim)), claim)
        return tuple(kept.values())

    @property
    def unmade(self) -> tuple[str, ...]:
        """Pointers to what results.json has and no re-run gave. If there are any, no page shows the results."""
        return () if self.gate is None else self.gate.unmade

    @property
    def whose_scripts(self) -> str:
        """Whose scripts the gate ran, by depth."""
        scripts = {} if self.gate is None else self.gate.scripts
        return ", ".join(f"{depth}: {SCRIPTS[by]}" for depth, by in scripts.items())

    @property
    def results(self) -> Results:
        return self.record.results

    @property
    def empirical(self) -> tuple[EmpiricalClaim, ...]:
        return tuple(claim for claim in self.claims if isinstance(claim, EmpiricalClaim))

    @property
    def sources(self) -> tuple[SourceClaim, ...]:
        return tuple(claim for claim in self.claims if isinstance(claim, SourceClaim))


@cache
def general_proofs() -> frozenset[tuple[Lean | None, Smt | None]]:
    """The evidence of the package's own theorems."""
    return frozenset((proof.claim.lean, proof.claim.smt) for proof in shipped_proofs())


def read_facts(record: Record, trusted: Sequence[TrustedSigner] = ()) -> Facts:
    """Digests, corrections, attestations and gate.json of a record; nothing of it is executed. Reads every file once.

    `trusted` are the keys of attestations that the reader knows. Raises BadInput for a gate.json that is none.
    """
    events: tuple[CorrectionEvent, ...] = ()
    chain = None
    try:
        events = read_events(record)
    except BrokenChain as error:
        chain = str(error)
    gate = _gate(record)
    stale = gate is not None and gate.manifest != record.digest
    facts = Facts(
        record=record,
        defects=tuple(check_artifacts(record)),
        events=events,
        chain=chain,
        gate=None if stale else gate,
        stale=stale,
        attestations=read_attestations(record, events),
        author=author_key(record),
        trusted=tuple(trusted),
    )
    verdicts = {claim: finding.verdict for claim, finding in facts.findings.items()}
    return replace(facts, attestations=compared(facts.attestations, verdicts))


def _gate(record: Record) -> GateReport | None:
    if GATE not in record.files:
        return None
    path = record.path / GATE
    try:
        return GateReport.model_validate(read_json(path))
    except ValidationError as error:
        raise BadInput(f"{path}: {validation_message(error)}; run `tarazu record verify` again") from None


# --- results.json ---------------------------------------------------------------------------------


def overlap_checked(results: Results) -> bool:
    """Whether the pairs that arms were trained on, the study's or an arm's own, were compared with its prompts."""
    data = results.data or {}
    return data.get("overlap") is not None or bool(data.get("arm_pairs"))


def arm_rates(results: Results) -> Iterator[tuple[str, RateOrMean, RateEntry]]:
    """(arm, rate, entry) of every rate over languages that has a value."""
    for arm, entry in sorted(results.arms.items()):
        for rate in RATES_AND_MEAN:
            own = entry.rate_or_mean(rate)
            if own.value is not None:
                yield arm, rate, own


def has_interval(entry: RateEntry | EstimateEntry) -> bool:
    """Whether an entry has a value and an interval that holds it."""
    value = entry.value if isinstance(entry, RateEntry) else entry.estimate
    low, high = entry.ci_low, entry.ci_high
    return low is not None and value is not None and high is not None and low <= value <= high


def tested_cells(results: Results) -> list[str]:
    """The status of the reward models in every language and kind where they were tested."""
    cells = [known.of(kind).status for known in results.validity.languages.values() for kind in KINDS]
    return [status for status in cells if status != "unassessed"]


def seeds_varied(results: Results) -> bool:
    """Whether what another training seed changes is known."""
    components = results.tradeoff.components
    return components is not None and components.seed_sd is not None

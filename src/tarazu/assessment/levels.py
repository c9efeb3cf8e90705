"""verification-levels-v1: how each claim was verified, and the level that most of a record's own claims reach."""

from __future__ import annotations

from typing import Final

from tarazu.assessment.facts import Facts, general_proofs
from tarazu.record.claims.empirical import agrees
from tarazu.record.claims.pointers import Undefined, value_at
from tarazu.record.contracts import ClaimLevel, ClaimSummary, Level, UnsupportedLevel, VerificationLevels
from tarazu.record.model import Claim, EmpiricalClaim, MathematicalClaim, SourceClaim, Value

LEVELS: Final[tuple[tuple[str, str, str], ...]] = (
    ("no_public_claims", "No public claims", "No claim is public, or the files do not match the manifest."),
    (
        "literature_synthesis",
        "Literature synthesis",
        "Claims are stated, but nothing was looked up or run to check them.",
    ),
    (
        "source_grounded",
        "Source-grounded claims",
        "The gate found the quotation in a document that the record contains.",
    ),
    (
        "cross_source_corroborated",
        "Cross-source corroborated",
        "Two documents with different texts support the same statement, and the gate found both quotations.",
    ),
    (
        "artifact_inspected",
        "Artifact inspected",
        "The claimed value is at its pointer in results.json, whose digest matches the manifest.",
    ),
    (
        "sandbox_executed",
        "Sandbox executed",
        "The gate ran the record's script in a sandbox, and the fresh results support the claim.",
    ),
    (
        "independently_reproduced",
        "Independently reproduced",
        "Somebody other than the author, whose key the reader knows, attests a re-run from responses or training that "
        "gave the same results, by the package's scripts.",
    ),
    (
        "formally_verified",
        "Externally reviewed or formally verified",
        "In the sandbox, Lean checked one of the package's own theorems, or one whose only premises are values that "
        "the re-run gave. Solvers alone do not reach this level.",
    ),
)
"""Key, label and definition of L0 to L7."""


def verification_levels(facts: Facts) -> VerificationLevels:
    """The levels of a record and of each of its claims.

    The paper's level is the highest level that more than half of its own claims reach, so that one theorem or quotation
    among many numbers does not raise it. It is at most L4 if a claim failed.
    """
    claims = [_claim_level(facts, claim) for claim in facts.claims]
    own_ids = {claim.id for claim in facts.distinct(facts.own)}
    own = [one.level for one in claims if one.id in own_ids]
    level, basis = _paper_level(facts, own)
    by_id = {one.id: one.level for one in claims}
    key, label, _ = LEVELS[level]
    return VerificationLevels(
        paper_level=level,
        paper_level_key=key,
        paper_level_label=label,
        basis=basis,
        generated_from=("manifest.json", "claims.json", "results.json", "gate.json", "signature.json", "attestations/"),
        claim_summary=ClaimSummary(
            source_grounded_claims=_count(facts, by_id, SourceClaim, 2),
            aggregate_claim_records=0,
            claim_record_source="claims.json",
            per_claim_public_records=True,
            per_claim_public_record_count=len(facts.claims),
            cross_source_corroborated_claims=_count(facts, by_id, SourceClaim, 3),
            artifact_inspected_claims=_count(facts, by_id, EmpiricalClaim, 4),
            sandbox_executed_claims=_count(facts, by_id, EmpiricalClaim, 5),
            independently_reproduced_claims=_count(facts, by_id, EmpiricalClaim, 6),
            externally_reviewed_or_formally_verified_claims=_count(facts, by_id, MathematicalClaim, 7),
        ),
        claims=tuple(claims),
        attestations=facts.attested,
        artifact_types=tuple(sorted({artifact.media_type for artifact in facts.record.manifest.artifacts})),
        levels=tuple(
            Level(
                level=index,
                key=key,
                label=label,
                definition=definition,
                claims=sum(reached >= index for reached in own),
            )
            for index, (key, label, definition) in enumerate(LEVELS)
        ),
        unsupported_upper_levels=tuple(
            UnsupportedLevel(level=upper, reason=_why_not(facts, upper, own)) for upper in range(level + 1, len(LEVELS))
        ),
        enforcement="Computed by `tarazu record assess` from these files. Authors cannot declare a level.",
        limitations=(
            "A level says how the claims were verified, not whether they matter or the question was the right one.",
            "Of theorems, only those whose premises are values that the re-run gave count towards the paper's level: "
            "the package's own are in every record. Claims of context do not count.",
            "A key is not a person. L6 rests on the reader's knowledge that the holder of a key is not the author.",
        ),
    )


def _count(facts: Facts, levels: dict[str, int], kind: type[Claim], least: int) -> int:
    return sum(isinstance(claim, kind) and levels[claim.id] >= least for claim in facts.claims)


def _paper_level(facts: Facts, own: list[int]) -> tuple[int, str]:
    if not facts.intact:
        return 0, "The files do not match the manifest, so no claim can be tied to them."
    if not own:
        return 0, "The record makes no claim about this work."
    level = max(index for index in range(len(LEVELS)) if index <= 1 or 2 * sum(one >= index for one in own) > len(own))
    reached = sum(one >= level for one in own)
    basis = (
        f"{reached} of {len(own)} claims about this work reach L{level}, and at most half of them reach a higher level."
    )
    if facts.whose_scripts:
        basis += f" Re-run by: {facts.whose_scripts}."
    if facts.status == "FALSIFIED" and level > 4:
        return 4, f"The gate found a false claim, which limits the record to L4. {basis}"
    return level, basis


def _why_not(facts: Facts, level: int, own: list[int]) -> str:
    if level == 6 and not facts.reproduced:
        return _not_attested(facts)
    reached = sum(one >= level for one in own)
    return f"{reached} of {len(own)} claims about this work reach it; more than half must."


def _not_attested(facts: Facts) -> str:
    """Why no attestation counts as an independent reproduction."""
    deep = [one for one in facts.attested if one.state == "accepted" and one.status == "VERIFIED"]
    deep = [one for one in deep if one.depth != "analysis"]
    if not deep:
        return (
            "No attestation says that a re-run from responses or training gave the same results. Whoever ran one can "
            "add theirs: `tarazu record attest`."
        )
    if facts.author is None:
        return "Attested, but nobody signed the record, so nothing tells the author's key from another's."
    others = [one for one in deep if one.by_author is False]
    if not others:
        return "Attested by the key that signed the record, and by no other."
    unknown = sorted({one.key_id or "" for one in others if one.signer is None})
    if not unknown:
        return "Attested, but by an author's script, or before the author's signature."
    return (
        f"Attested from {others[0].depth} by {', '.join(unknown[:3])}, which nobody has named. A key is not a person: "
        "the author may hold it. If you know whose it is, name it with --trusted-signer NAME=KEY."
    )


def _claim_level(facts: Facts, claim: Claim) -> ClaimLevel:
    level, basis = _level_of(facts, claim)
    return ClaimLevel(id=claim.id, level=level, basis=basis)


def _level_of(facts: Facts, claim: Claim) -> tuple[int, str]:
    if not facts.intact:
        return 0, "The files do not match the manifest."
    verified = facts.verdict(claim) == "verified"
    if isinstance(claim, SourceClaim):
        if not verified:
            return 1, "The gate has not found the quotation."
        other = _other_source(facts, claim)
        if other is not None:
            return 3, f"Its quotation was found, and {other.id} supports the same statement from {other.source}."
        return 2, f"Its quotation was found in {claim.source}."
    if isinstance(claim, MathematicalClaim):
        if facts.verdict(claim) == "context":
            return 1, "It holds, and says too little about values that the scores decide."
        if not verified:
            return 1, "No checker has verified it."
        checkers = ", ".join(facts.findings[claim.id].by) or "the gate"
        level, only = (7, "") if "lean" in facts.findings[claim.id].by else (5, " Only Lean's check reaches L7.")
        if values := facts.bound(claim):
            return level, f"{checkers} checked that it follows from the re-run's values at {', '.join(values)}.{only}"
        if (claim.lean, claim.smt) not in general_proofs():
            return (
                1,
                f"{checkers} checked it. Its premises are the author's, so it says nothing about this record's values.",
            )
        return level, f"Checked by {checkers}.{only}"
    if verified and claim.id in facts.reproduced:
        entry = facts.reproduced[claim.id]
        return 6, f"Confirmed here, and {entry.signer} attests a re-run from depth {entry.depth} that gave the same."
    if verified:
        depth = facts.gate.depth if facts.gate else ""
        return 5, f"Confirmed by a sandboxed re-run from depth {depth} ({facts.whose_scripts or 'script not known'})."
    if facts.verdict(claim) == "context":
        return 4, "It holds in the re-run, and the scores do not decide it."
    if facts.verdict(claim) == "failed":
        return 1, "The re-run contradicts it."
    if isinstance(claim.check, Value):
        try:
            if agrees(claim.check, value_at(facts.record.document, claim.check.pointer), "analysis"):
                return 4, f"The value is at {claim.check.pointer} in results.json."
        except Undefined:
            pass
    return 1, "Nothing that was run or inspected confirms it."


def _other_source(facts: Facts, claim: SourceClaim) -> SourceClaim | None:
    """Another verified claim with the same statement that quotes a document with another text.

    The gate compares the texts. If it did not, there is none.
    """
    if facts.gate is None or facts.gate.same_text is None:
        return None
    copies = {frozenset(pair) for pair in facts.gate.same_text}
    statement = " ".join(claim.statement.casefold().split())
    for other in facts.sources:
        if (
            " ".join(other.statement.casefold().split()) == statement
            and other.source != claim.source
            and frozenset((other.source, claim.source)) not in copies
            and facts.verdict(other) == "verified"
        ):
            return other
    return None

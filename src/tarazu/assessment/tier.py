"""quality-tiers-v1: the first tier whose conditions are met, in the order of `tier_of`."""

from __future__ import annotations

from typing import Final

from tarazu.assessment.facts import Facts
from tarazu.record.contracts import QualityDimensions, QualityTiers, Review, Tier, TierInputs

THRESHOLDS: Final[dict[str, float]] = {
    "flagship_review_score": 8.5,
    "flagship_verified_claims": 5,
    "doi_review_score": 7.5,
    "doi_verified_claims": 1,
    "public_review_score": 5.0,
}


def quality_tiers(facts: Facts, review: Review, dimensions: QualityDimensions) -> QualityTiers:
    """The record's tier and the inputs from which it was computed."""
    types = sorted({artifact.media_type for artifact in facts.record.manifest.artifacts})
    inputs = TierInputs(
        review_score=review.score,
        verified_claim_count=len(facts.distinct(facts.verified)),
        artifact_types=tuple(types),
        reproducibility_level=dimensions.reproducibility_status.level,
    )
    tier, basis = tier_of(inputs, falsified=facts.status == "FALSIFIED", intact=facts.intact)
    if review.caps:
        basis += f" Caps that apply: {', '.join(cap.id for cap in review.caps)}."
    if facts.whose_scripts:
        basis += f" Re-run by: {facts.whose_scripts}."
    return QualityTiers(
        tier=tier,
        basis=basis,
        generated_from=("manifest.json", "claims.json", "results.json", "gate.json"),
        inputs=inputs,
        thresholds=THRESHOLDS,
        enforcement="Computed: the first match in the order quarantine, flagship, DOI grade, public record, watchlist.",
        limitations=(
            "A tier helps readers to sort records. It is triage, not peer review.",
            "Only claims that were computed from this work's scores count as verified claims. Quotations, theorems, "
            "settings and counts do not count, and claims about the same results count once.",
            "A tier never exceeds the science: the caps on the review score say what the study cannot show.",
        ),
    )


def tier_of(inputs: TierInputs, *, falsified: bool, intact: bool) -> tuple[Tier, str]:
    """The first tier whose conditions are met, and why."""
    score, claims, level = inputs.review_score, inputs.verified_claim_count, inputs.reproducibility_level
    inputs_text = f"review score {score:.2f}, {claims} verified claims, reproducibility {level}"
    if not intact:
        return "QUARANTINE_CANDIDATE", "Its files do not match the manifest."
    if falsified:
        return "QUARANTINE_CANDIDATE", "The gate is FALSIFIED."
    limits = THRESHOLDS
    if score >= limits["flagship_review_score"] and claims >= limits["flagship_verified_claims"] and level == "HIGH":
        return "FLAGSHIP_CANDIDATE", f"{inputs_text}. This tier needs a score of 8.5, 5 claims and HIGH."
    if score >= limits["doi_review_score"] and claims >= limits["doi_verified_claims"]:
        return "DOI_GRADE", f"{inputs_text}. This tier needs a score of 7.5 and 1 claim."
    if score >= limits["public_review_score"]:
        return "PUBLIC_RECORD", f"{inputs_text}. This tier needs a score of 5."
    return "WATCHLIST", f"{inputs_text}. A score below 5 is in this tier."

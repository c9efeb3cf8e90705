"""The summary of a record for the lists, the search and the API."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tarazu.assessment.facts import Facts
from tarazu.languages import name_of
from tarazu.record.contracts import Assessment, GateStatus, Grade, Tier

Verdict = Literal["differs", "equivalent", "inconclusive"]
VERDICTS: Final[tuple[Verdict, ...]] = ("differs", "equivalent", "inconclusive")
STATUSES: Final[tuple[GateStatus, ...]] = ("VERIFIED", "UNVERIFIED", "FALSIFIED")
TIERS: Final[tuple[Tier, ...]] = (
    "FLAGSHIP_CANDIDATE",
    "DOI_GRADE",
    "PUBLIC_RECORD",
    "WATCHLIST",
    "QUARANTINE_CANDIDATE",
)
_LONGEST: Final = {"title": 300, "abstract": 4000, "name": 200}
_MOST_LANGUAGES: Final = 200


class Summary(BaseModel):
    """A record's summary."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    srch_id: str = Field(pattern="^[0-9A-F]{8}$", description="First eight hex digits of the id, in upper case.")
    id: str = Field(description="UUID.")
    title: str
    abstract: str
    research_question: str
    authors: tuple[str, ...]
    submitted: str = Field(description="Day, ISO 8601.")
    study: str = Field(description="The study's name.")
    languages: tuple[str, ...] = Field(description="Codes of the languages that have scores.")
    verdict: Verdict | None = Field(description="The answer to the study's primary question.")
    gate_status: GateStatus
    verification_level: int = Field(ge=0, le=7)
    verification_label: str
    quality_tier: Tier
    review_score: float = Field(ge=0, le=10)
    reproducibility: Grade
    claims: int = Field(ge=0)
    verified_claims: int = Field(ge=0)
    corrections: int = Field(ge=0)
    manifest: str = Field(description="Digest of the manifest.")
    page: str = Field(description="Path of its page, from the site's root.")

    @property
    def language_names(self) -> tuple[str, ...]:
        return tuple(name_of(code) for code in self.languages)


class Entry(BaseModel):
    """What lists, feeds and the search have of a record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: Summary
    row: str
    """Its entry in lists, as HTML with links relative to the site's root."""
    updated: str


def clip(value: str, most: int) -> str:
    """Untrusted text, cut to at most `most` characters."""
    return value if len(value) <= most else value[: most - 1].rstrip() + "…"


def summary_of(facts: Facts, assessment: Assessment) -> Summary:
    """Summarize a record."""
    work = facts.record.manifest.work
    levels, tiers = assessment.verification_levels, assessment.quality_tiers
    verdict = None if facts.unmade else facts.results.primary.verdict
    status = facts.status
    return Summary(
        srch_id=work.srch_id,
        id=work.id,
        title=clip(work.title, _LONGEST["title"]),
        abstract=clip(work.abstract, _LONGEST["abstract"]),
        research_question=clip(work.research_question, _LONGEST["abstract"]),
        authors=tuple(clip(name, _LONGEST["name"]) for name in work.authors[:100]),
        submitted=work.submitted,
        study=clip(facts.results.study.name, _LONGEST["name"]),
        languages=languages_of(facts),
        verdict=next((known for known in VERDICTS if known == verdict), None),
        gate_status=next(known for known in STATUSES if known == status),
        verification_level=levels.paper_level,
        verification_label=levels.paper_level_label,
        quality_tier=tiers.tier,
        review_score=assessment.review.score,
        reproducibility=tiers.inputs.reproducibility_level,
        claims=len(facts.claims),
        verified_claims=tiers.inputs.verified_claim_count,
        corrections=len(facts.events),
        manifest=facts.record.digest,
        page=f"records/{work.srch_id}/index.html",
    )


def languages_of(facts: Facts) -> tuple[str, ...]:
    """The codes of the languages in which any arm has scores, sorted. Empty if a re-run did not give these results."""
    if facts.unmade:
        return ()
    codes = {code for arm in facts.results.arms.values() for code in arm.languages}
    return tuple(sorted(codes)[:_MOST_LANGUAGES])

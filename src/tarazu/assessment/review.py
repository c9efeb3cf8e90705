"""automated-review-v1: independent rule sets, each with findings that an author can act on, and their mean."""

from __future__ import annotations

from typing import Final

from tarazu.assessment.facts import Facts
from tarazu.assessment.reviewers import REVIEWERS
from tarazu.record.contracts import AutomatedReview, Review

NOTICE: Final = (
    "Triage, not peer review: computed from the record's public files by rules that anyone can read. No person has "
    "judged the work."
)


def review(facts: Facts, model: AutomatedReview | None = None) -> Review:
    """The review of a record. `model` is a language model's review, shown beside the others; it never enters the score,
    as the record's own text could tell it what to say."""
    reviews = [reviewer.review(facts) for reviewer in REVIEWERS]
    scores = [one.score for one in reviews if one.score is not None]
    return Review(
        notice=NOTICE,
        score=round(sum(scores) / len(scores), 2),
        basis=f"Mean of {len(scores)} reviewers, each the share of its rules that are met, by weight."
        + (" The language model's score is shown and does not count." if model is not None else ""),
        reviews=(*reviews, *([model] if model is not None else [])),
    )

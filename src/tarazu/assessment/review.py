"""automated-review-v1: independent rule sets, each with findings that an author can act on, and their mean."""

from __future__ import annotations

from typing import Final

from tarazu.assessment.facts import Facts
from tarazu.assessment.record_rules import CLAIMS, REPORTING, REPRODUCIBILITY
from tarazu.assessment.result_rules import MEASUREMENT, STATISTICS
from tarazu.assessment.rules import Reviewer
from tarazu.record.contracts import AutomatedReview, Review

NOTICE: Final = (
    "Triage, not peer review: computed from the record's public files by rules that anyone can read. No person has "
    "judged the work."
)
REVIEWERS: Final[tuple[Reviewer, ...]] = (
    Reviewer("statistics", "Is it said how sure the numbers are, and could the study see what it asks?", STATISTICS),
    Reviewer("measurement", "Can the ruler be trusted, and does the answer hang on it?", MEASUREMENT),
    Reviewer("reproducibility", "Can a stranger make the results again, and did the gate?", REPRODUCIBILITY),
    Reviewer("claims and sources", "Is what matters claimed, checked and tied to evidence?", CLAIMS),
    Reviewer("reporting and limitations", "Does a reader learn who, what, how sure and what not?", REPORTING),
)
"""In the order that a page shows them. None reads what another found."""


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

"""The automated reviewers: each a name, what it looks at, and its rules."""

from __future__ import annotations

from typing import Final

from tarazu.assessment.reviewers import claims, measurement, reporting, reproducibility, statistics
from tarazu.assessment.reviewers.rules import Reviewer

REVIEWERS: Final[tuple[Reviewer, ...]] = (
    Reviewer(
        "statistics", "Is it said how sure the numbers are, and could the study see what it asks?", statistics.RULES
    ),
    Reviewer("measurement", "Can the ruler be trusted, and does the answer hang on it?", measurement.RULES),
    Reviewer("reproducibility", "Can a stranger make the results again, and did the gate?", reproducibility.RULES),
    Reviewer("claims and sources", "Is what matters claimed, checked and tied to evidence?", claims.RULES),
    Reviewer("reporting and limitations", "Does a reader learn who, what, how sure and what not?", reporting.RULES),
)
"""In the order that a page shows them. None reads what another found."""

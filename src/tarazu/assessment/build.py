"""assessment.json: all parts together, checked against the published schema."""

from __future__ import annotations

from typing import Any, Final

from tarazu.assessment.dimensions import quality_dimensions
from tarazu.assessment.facts import Facts
from tarazu.assessment.levels import verification_levels
from tarazu.assessment.monitor import review_monitor
from tarazu.assessment.review import NOTICE, review
from tarazu.assessment.tiers import quality_tiers
from tarazu.files import write_json
from tarazu.record.contracts import Assessment, AutomatedReview
from tarazu.record.schemas import check_schema

ASSESSMENT: Final = "assessment.json"


def assess(facts: Facts, model: AutomatedReview | None = None) -> Assessment:
    """The assessment that follows from a record's public files, and from nothing else. `model`: see `review`."""
    dimensions = quality_dimensions(facts)
    reviewed = review(facts, model)
    return Assessment(
        notice=NOTICE,
        work=facts.record.manifest.work.id,
        manifest=facts.record.digest,
        verification_levels=verification_levels(facts),
        quality_dimensions=dimensions,
        quality_tiers=quality_tiers(facts, reviewed, dimensions),
        review=reviewed,
        review_monitor=review_monitor(facts),
    )


def write_assessment(facts: Facts, assessment: Assessment) -> None:
    """Write assessment.json into the record, checked against its schema and those of its parts."""
    dumped: dict[str, Any] = assessment.model_dump(mode="json")
    check_schema(dumped, "assessment-v1", ASSESSMENT)
    write_json(facts.record.path / ASSESSMENT, dumped)

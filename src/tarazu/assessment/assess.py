"""assessment.json: all parts, checked against the published schema, and the triggers for a new review."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import tarazu
from tarazu.assessment.dimensions import quality_dimensions
from tarazu.assessment.facts import Facts
from tarazu.assessment.levels import verification_levels
from tarazu.assessment.review import NOTICE, review
from tarazu.assessment.tier import quality_tiers
from tarazu.files import write_json
from tarazu.record.contracts import Assessment, AutomatedReview, ReviewMonitor, Trigger
from tarazu.record.schemas import check_schema

ASSESSMENT: Final = "assessment.json"


def assess(facts: Facts, model: AutomatedReview | None = None) -> Assessment:
    """The assessment of a record from its public files alone. `model`: see `review`."""
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
    """Check the assessment against its schema and write assessment.json into the record."""
    dumped = assessment.model_dump(mode="json")
    check_schema(dumped, "assessment-v2", ASSESSMENT)
    write_json(facts.record.path / ASSESSMENT, dumped)


# --- triggers for a new review -------------------------------------------------------------------

MONITORED: Final[tuple[Trigger, ...]] = (
    Trigger(trigger="correction", message="A correction was appended after the gate ran."),
    Trigger(trigger="changed_source", message="A quoted document, or any other file, does not match the manifest."),
    Trigger(trigger="newer_tool", message="A newer version of Tarazu than the gate's is available."),
    Trigger(trigger="failed_rerun", message="A re-run failed or contradicted a claim."),
)


def review_monitor(facts: Facts) -> ReviewMonitor:
    """State and triggers, from the public files and the version of this program."""
    active = tuple(_active(facts, tarazu.__version__))
    return ReviewMonitor(
        state="REVIEW_DUE" if active else "CURRENT", active_triggers=active, monitored_triggers=MONITORED
    )


def _active(facts: Facts, current: str) -> Iterator[Trigger]:
    if facts.stale:
        yield Trigger(trigger="correction", message="gate.json is about an earlier manifest; run the gate again.")
    if facts.chain is not None:
        yield Trigger(trigger="correction", message=f"The corrections do not match the manifest: {facts.chain}.")
    for defect in facts.defects:
        yield Trigger(trigger="changed_source", message=f"{defect.path}: {defect.message}.")
    if facts.gate is None:
        return
    ran = facts.gate.tools.get("tarazu")
    if isinstance(ran, str) and _is_newer(current, ran):
        yield Trigger(trigger="newer_tool", message=f"The gate ran with Tarazu {ran}; this is {current}.")
    if facts.status == "FALSIFIED":
        yield Trigger(trigger="failed_rerun", message=facts.gate.reason)
    elif any(facts.verdict(claim) == "not_run" for claim in facts.empirical):
        yield Trigger(trigger="failed_rerun", message="The re-run left claims without a verdict.")


def _is_newer(version: str, other: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version) > Version(other)
    except InvalidVersion:
        return True

"""correction-record-v1: a record's corrections as a page shows them."""

from __future__ import annotations

from tarazu.assessment.facts import Facts
from tarazu.record.contracts import CorrectionPolicy, CorrectionRecord


def correction_record(facts: Facts) -> CorrectionRecord:
    """Events as the chain holds them; paths are relative to the record."""
    work, events = facts.record.manifest.work, facts.events
    kept = tuple(f"superseded/{event.superseded_manifest.removeprefix('sha256:')}.json" for event in events)
    return CorrectionRecord(
        work={"id": work.id, "srch_id": work.srch_id, "title": work.title},
        publisher="; ".join(work.authors) or "not named",
        manifest={"current_manifest_url": "manifest.json", "correction_record_url": "corrections.jsonl"},
        correction_state="CORRECTED" if events else "CURRENT",
        correction_count=len(events),
        last_corrected_at=events[-1].corrected_at if events else None,
        correction_events=events,
        known_superseded_manifest_urls=kept,
        policy=CorrectionPolicy(
            corrections_are_additive=True,
            no_silent_public_rewrites=True,
            private_operational_logs_public=False,
            basis="Each event holds the digest of the one before it and of the manifest that it replaced.",
        ),
        interpretation="CURRENT: nothing was corrected. CORRECTED: this is the manifest after the last correction.",
        limitations=(
            "Without a signature or a digest from elsewhere, somebody who holds the folder can write all of it anew.",
        ),
    )

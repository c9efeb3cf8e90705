"""One record's part of the site: its page, its evidence, its exports, and what the lists need of it."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tarazu.assessment.assess import assess
from tarazu.assessment.facts import Facts, read_facts
from tarazu.errors import BadInput
from tarazu.files import to_json
from tarazu.record.contracts import Assessment
from tarazu.record.reading import read_record
from tarazu.site.benchmarks import ReportedValue, reported_values
from tarazu.site.record_page import IN_SITE, correction_record, published, record_doi, render_record
from tarazu.site.record_parts import bibtex, csl
from tarazu.site.summary import Summary, summary_of
from tarazu.site.templates import environment

_OUTPUTS = ("gate.json", "corrections.jsonl", "signature.json", "manifest.json")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""A zip file's members have a date; always the same, so that the same record gives the same bytes."""


@dataclass(frozen=True)
class Published:
    """What the site says of a record elsewhere. `words` are what its claims say, for the search."""

    summary: Summary
    words: str
    reported: list[ReportedValue]
    updated: str
    row: str
    """Its entry in lists, from the site's root."""


def publish(folder: Path, out: Path, url: str | None) -> Published | str:
    """Write the page of the record in `folder` and what belongs to it below `out`, the site's folder.

    `url` is the site's address, where it is known. Returns one line where the record cannot be read.
    """
    try:
        facts = read_facts(read_record(folder))
    except BadInput as error:
        return str(error)
    assessment = assess(facts)
    summary = summary_of(facts, assessment)
    target = out / "records" / summary.srch_id
    try:
        target.mkdir(parents=True)
    except FileExistsError:
        return f"{folder}: another record has the SRCH id {summary.srch_id}; leave one of them out"
    _text(target / "index.html", render_record(facts, assessment, IN_SITE))
    doi = record_doi(facts)
    page = f"{url.rstrip('/')}/records/{summary.srch_id}/" if url else None
    work = facts.record.manifest.work
    _text(target / "record.bib", bibtex(work, doi, page))
    _text(target / "record.csl.json", to_json([csl(work, doi, page)]))
    # Without indents the encoder in C does it: with a thousand records it is what takes longest.
    _text(target / "record.json", json.dumps(record_json(facts, assessment, summary), ensure_ascii=False))
    _evidence(facts, target)
    _zip(facts, target / "record.zip")
    return Published(
        summary=summary,
        words="\n".join(claim.statement for claim in facts.claims)[:100_000],
        reported=reported_values(facts, summary),
        updated=_updated(facts),
        row=list_row(summary),
    )


def list_row(summary: Summary) -> str:
    """A record's entry in a list of the site's root."""
    parts: Any = environment().get_template("parts.html.j2").module
    return str(parts.row(summary, ""))


def record_json(facts: Facts, assessment: Assessment, summary: Summary) -> dict[str, Any]:
    """All that the site says of a record, for machines."""
    manifest = facts.record.manifest
    gate = None if facts.gate is None else facts.gate.model_dump(mode="json")
    return {
        "summary": summary.model_dump(mode="json"),
        "manifest": manifest.model_dump(mode="json", by_alias=True),
        "claims": [claim.model_dump(mode="json", by_alias=True) for claim in facts.claims],
        "gate": gate,
        "assessment": assessment.model_dump(mode="json"),
        "correction_record": correction_record(facts).model_dump(mode="json"),
    }


def _updated(facts: Facts) -> str:
    """When the record last changed: its last correction, else its submission."""
    return facts.events[-1].corrected_at if facts.events else f"{facts.record.manifest.work.submitted}T00:00:00Z"


def _evidence(facts: Facts, target: Path) -> None:
    listed = {artifact.path for artifact in facts.record.manifest.artifacts}
    for path in facts.record.files:
        place = published(path)
        if place is None or not (path in listed or path in _OUTPUTS or path.startswith("superseded/")):
            continue
        copy = target / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(facts.record.path / path, copy)


def _zip(facts: Facts, path: Path) -> None:
    """The record as it is, in a folder of its own; stored, as most of it is packed already."""
    folder = f"srch-{facts.record.manifest.work.srch_id}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(facts.record.files):
            info = zipfile.ZipInfo(f"{folder}/{name}", _EPOCH)
            with (facts.record.path / name).open("rb") as source, archive.open(info, "w") as member:
                shutil.copyfileobj(source, member)


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")

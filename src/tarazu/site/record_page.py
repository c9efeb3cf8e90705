"""A record's page, in the site and as record.html in the record's own folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

import yaml
from markupsafe import Markup, escape
from pydantic import ValidationError

from tarazu.assessment.facts import Facts
from tarazu.errors import BadInput, visible
from tarazu.files import write_text
from tarazu.readers import read_json
from tarazu.record.contracts import PROMISE, Assessment, CorrectionPolicy, CorrectionRecord
from tarazu.record.metadata.provenance import Provenance
from tarazu.record.model import DEPTHS
from tarazu.record.reading import SCORES
from tarazu.report.checklist import Files, by_name, checklist
from tarazu.report.words import remarks_beside, verdict_words
from tarazu.results.quantity import quantity_of
from tarazu.run.lock import LOCK_FILE
from tarazu.site.beside.badge import badge, badge_markdown
from tarazu.site.record_parts import (
    Lines,
    answer_bar,
    bibtex,
    check_of,
    citation_sentence,
    evidence_of,
    forest_of,
    known_doi,
    rate_bars,
    score_svg,
)
from tarazu.site.summary import Summary
from tarazu.site.templates import inline_style, render, web_address

PAGE: Final = "record.html"
_MOST_CLAIMS: Final = 500
_MOST_SOURCE_FILES: Final = 20
_SECTIONS: Final = (
    ("Abstract", "abstract"),
    ("Question", "question"),
    ("Answer", "answer"),
    ("Level", "level"),
    ("Gate", "gate"),
    ("Tier", "tier"),
    ("Dimensions", "dimensions"),
    ("Review", "review"),
    ("Claims", "claims"),
    ("Corrections", "corrections"),
    ("Provenance", "provenance"),
    ("Checklists", "checklists"),
    ("Limitations", "limitations"),
    ("Run it again", "rerun"),
    ("Cite", "cite"),
)
_AS_IT_IS: Final = frozenset({".json", ".pdf"})
"""Files whose type every browser knows and from which it runs no code on the page's behalf."""
_AS_TEXT: Final = frozenset({".py", ".lean", ".smt2", ".yaml", ".yml", ".cff", ".md", ".txt", ".csv", ".jsonl"})


@dataclass(frozen=True)
class PageLocation:
    """Where a page is located: how it links to the site's root and to the record's files."""

    root: str
    standalone: bool
    href: Callable[[str], str | None]


@dataclass(frozen=True)
class InSite:
    """What a page in a site shows besides: the record's summary, and the page's address, if it is known."""

    summary: Summary
    address: str | None


def published(path: str) -> str | None:
    """The path of a record's file in the site, below the record's folder. None if only record.zip contains the file.

    Text that a browser could run gets the extension .txt, so that every server and browser treats it as text.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _AS_IT_IS:
        return f"files/{path}"
    if suffix in _AS_TEXT or (suffix in (".html", ".htm") and path.startswith("sources/")):
        return f"files/{path}.txt"
    return None


def _site_href(path: str) -> str | None:
    target = published(path)
    return None if target is None else quote(target)


def _own_href(path: str) -> str | None:
    return quote(path) if PurePosixPath(path).suffix.lower() in (_AS_IT_IS | _AS_TEXT) else None


IN_SITE: Final = PageLocation(root="../../", standalone=False, href=_site_href)
IN_RECORD: Final = PageLocation(root="", standalone=True, href=_own_href)


def write_record_page(facts: Facts, assessment: Assessment) -> None:
    """Write record.html into the record: one self-contained file without scripts that opens offline."""
    write_text(facts.record.path / PAGE, render_record(facts, assessment, IN_RECORD))


def _files(facts: Facts) -> Files:
    """What the record has beside its results, for the checklists. Its table of scores is not opened."""
    environment = facts.record.manifest.environment
    return Files(
        scores=SCORES in facts.record.files,
        settings=settings_of(facts),
        versions=environment.versions,
        hardware=bool(environment.hardware),
    )


_LARGEST_LOCK = 2**18
"""Bytes of a lock file that the page reads."""


def settings_of(facts: Facts) -> Mapping[str, Any] | None:
    """The study in the record's lock file; None where that cannot be read."""
    if facts.record.files.get(LOCK_FILE, _LARGEST_LOCK + 1) > _LARGEST_LOCK:
        return None
    with suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
        lock = yaml.safe_load((facts.record.path / LOCK_FILE).read_text(encoding="utf-8"))
        study = lock.get("study") if isinstance(lock, dict) else None
        return study if isinstance(study, dict) else None
    return None


def render_record(facts: Facts, assessment: Assessment, location: PageLocation, in_site: InSite | None = None) -> str:
    """The page as HTML."""
    manifest = facts.record.manifest
    work = manifest.work
    origin = _provenance(facts)
    doi = known_doi(origin.external_archival_record.doi) if origin is not None else None
    levels = {one.id: one.level for one in assessment.verification_levels.claims}
    own = {key: value for key, value in facts.record.document.items() if key not in ("pool", "pool_runs")}
    lines = None if facts.unmade else Lines(own, _results_text(facts))
    shown = facts.claims[:_MOST_CLAIMS]
    unmade = facts.unmade

    @cache
    def file_link(path: str) -> Markup:
        href = location.href(path) if path in facts.record.files else None
        name = escape(visible(path))
        return Markup('<a href="{}">{}</a>').format(href, name) if href else Markup("<code>{}</code>").format(name)

    return render(
        "record.html.j2",
        root=location.root,
        standalone=location.standalone,
        **(inline_style() if location.standalone else {}),
        facts=facts,
        assessment=assessment,
        work=work,
        levels=assessment.verification_levels,
        tiers=assessment.quality_tiers,
        sections=_SECTIONS,
        doi=doi,
        caution=facts.results.study.caution,
        promise=PROMISE,
        unmade=unmade,
        verdict=None if unmade else verdict_words(facts.results.primary),
        sentence=None if unmade else facts.results.sentence,
        remarks=[] if unmade else remarks_beside(facts.results),
        checklists={} if unmade else by_name(checklist(facts.results, _files(facts))),
        answer=None if unmade else answer_bar(facts),
        quantity=quantity_of(facts.results.primary),
        rates=[] if unmade else rate_bars(facts),
        pool=None if unmade else facts.record.pool,
        forest=[] if unmade else forest_of(facts.record.pool),
        dimensions=[
            (name, dimension, score_svg(dimension))
            for name, dimension in assessment.quality_dimensions
            if name != "contract"
        ],
        claims=[
            (
                claim,
                facts.verdict(claim),
                facts.findings[claim.id].reason if claim.id in facts.findings else "",
                facts.findings[claim.id].warnings if claim.id in facts.findings else (),
                check_of(claim),
                levels[claim.id],
                evidence_of(claim, lines, facts.findings.get(claim.id)),
            )
            for claim in shown
        ],
        omitted=len(facts.claims) - len(shown),
        tally=_tally(facts),
        corrections=correction_record(facts),
        provenance=_provenance_rows(facts, origin),
        links=[link for link in map(web_address, manifest.links[:50]) if link],
        limitations=manifest.limitations[:100],
        depths=[depth for depth in DEPTHS if depth in facts.record.repro.depths],
        folder=f"srch-{work.srch_id}",
        bytes=sum(facts.record.files.values()),
        artifacts=manifest.artifacts,
        file_link=file_link,
        citation=citation_sentence(work, doi),
        bibtex=bibtex(work, doi, None),
        badge=badge(in_site.summary) if in_site else None,
        badge_markdown=badge_markdown(in_site.summary, in_site.address) if in_site else "",
        address=in_site.address if in_site else None,
    )


def record_doi(facts: Facts) -> str | None:
    """The DOI that provenance.json names."""
    origin = _provenance(facts)
    return known_doi(origin.external_archival_record.doi) if origin is not None else None


def _results_text(facts: Facts) -> str:
    return (facts.record.path / "results.json").read_text(encoding="utf-8", errors="replace")


def _provenance(facts: Facts) -> Provenance | None:
    path = "provenance.json"
    if path not in facts.record.files:
        return None
    try:
        return Provenance.model_validate(read_json(facts.record.path / path))
    except (BadInput, ValidationError):
        return None


def _provenance_rows(facts: Facts, origin: Provenance | None) -> list[tuple[str, str]]:
    if origin is None:
        return [("Provenance", "provenance.json is missing or does not match its contract.")]
    inspectability = origin.artifact_inspectability
    archived = origin.external_archival_record
    by_kind = ", ".join(f"{count} {kind.replace('_', '-')}" for kind, count in origin.claim_lineage.by_kind.items())
    return [
        ("Publisher", origin.publisher),
        (
            "Public provenance level",
            f"{inspectability.artifact_count} files, all in the record" if inspectability.inspectable else "partial",
        ),
        ("Report artifact", "report.html" if "report.html" in facts.record.files else "none"),
        ("Not included, referenced by hash or name only", ", ".join(inspectability.not_held) or "nothing"),
        ("External record", f"{archived.state.capitalize()}. {archived.basis}"),
        ("Claim lineage", f"{origin.claim_lineage.claims} claims ({by_kind}), each in claims.json"),
        *_source_files(origin),
        ("Sources", ", ".join(origin.source_list_boundary.sources) or origin.source_list_boundary.basis),
        ("Review method", origin.review_method),
        ("Contract", f"{origin.contract}, W3C PROV-JSON, RO-Crate 1.2"),
    ]


def _source_files(origin: Provenance) -> Iterator[tuple[str, str]]:
    """The files of a published evaluation: whose they are, how they were read, and which rows are missing."""
    for one in [file for file in origin.given if file.form is not None][:_MOST_SOURCE_FILES]:
        publisher = "publisher not named"
        if one.published_by:
            publisher = f"published by {one.published_by} (the importer's word)"
        missing = "".join(f"; {count} rows excluded: {reason}" for reason, count in sorted(one.excluded.items()))
        yield f"Source file {one.name[:100]}", f"{one.form}, {one.rows} rows{missing}; {publisher}; sha256:{one.sha256}"
    if read_with := next((file.read_with for file in origin.given if file.read_with), ()):
        yield "Source files were read with", " ".join(read_with)


def _tally(facts: Facts) -> str:
    counts = Counter(facts.verdict(claim) for claim in facts.claims)
    words = {
        "verified": "verified",
        "context": "context",
        "failed": "failed",
        "vacuous": "vacuous",
        "not_run": "not run",
    }
    return ", ".join(
        f"{counts[key]} {words[key]}" for key in ("verified", "context", "failed", "vacuous", "not_run") if counts[key]
    )


def correction_record(facts: Facts) -> CorrectionRecord:
    """The correction events, as in the chain. Paths are relative to the record."""
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
            basis="Each event contains the digest of the previous event and of the manifest that it replaced.",
        ),
        interpretation="CURRENT: nothing was corrected. CORRECTED: this is the manifest after the last correction.",
        limitations=(
            "Without a signature or an independently obtained digest, anyone with the folder can rewrite all of it.",
        ),
    )

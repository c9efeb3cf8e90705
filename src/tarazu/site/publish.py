"""Publish one record in the site: its page, evidence and exports, and its entry for the lists."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tarazu.assessment.assess import assess
from tarazu.assessment.facts import Facts, read_facts
from tarazu.errors import BadInput
from tarazu.files import Json, to_json
from tarazu.record.attestation.collected import TrustedSigner
from tarazu.record.contracts import Assessment
from tarazu.record.corrections import superseded_paths
from tarazu.record.manifest import OUTSIDE
from tarazu.record.reading import read_record
from tarazu.site.benchmarks import ReportedValue, reported_values
from tarazu.site.beside.badge import BADGE, badge
from tarazu.site.beside.compare import SCRIPT, compare_script, compared
from tarazu.site.pools import Pooling, pooling_of
from tarazu.site.record_page import (
    IN_SITE,
    InSite,
    correction_record,
    published,
    record_doi,
    render_record,
    settings_of,
)
from tarazu.site.record_parts import bibtex, csl
from tarazu.site.summary import Entry, Summary, summary_of
from tarazu.site.templates import environment

RECORDS: Final = "records"
_MADE_AGAIN = ("assessment.json", "record.html")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of all members of a zip file. It is fixed, so that the same record gives the same bytes."""


@dataclass(frozen=True)
class Published:
    """A record's folder, the folder of its page and files until the build puts it into its place, and what other parts
    of the site need of it. `words` is the text of its claims, for the search."""

    source: Path
    place: Path
    entry: Entry
    words: str
    reported: list[ReportedValue]
    pooling: Pooling | None


def publish(
    folder: Path, out: Path, url: str | None, size_mib: int, trusted: Sequence[TrustedSigner] = ()
) -> Published | str:
    """Write the page and files of the record in `folder` to a new folder below `out`, the site's folder.

    `url` is the site's address, if it is known, and `size_mib` the most that the record's files may have together.
    `trusted` are the signers of attestations that the site's owner knows.
    Returns a message if the record cannot be read or published, or if it has corrections that do not lead to the
    manifest from which its id was computed. Then nothing of it is written.
    """
    target: Path | None = None
    try:
        facts = read_facts(read_record(folder, size_mib=size_mib), trusted)
        if facts.chain is not None and facts.record.manifest.corrections.count:
            return f"{folder}: its id cannot be checked, because its corrections are not in order: {facts.chain}"
        (out / RECORDS).mkdir(parents=True, exist_ok=True)
        target = Path(tempfile.mkdtemp(dir=out / RECORDS))
        target.chmod(0o755)
        return _write_files(facts, target, url)
    except BadInput as error:
        message = str(error)
    except Exception as error:
        # A record is a stranger's. Whatever is wrong with it, the other records are still published.
        message = f"{folder}: cannot be published: {type(error).__name__}: {error}"
    if target is not None:
        shutil.rmtree(target, ignore_errors=True)
    return message


def _write_files(facts: Facts, target: Path, url: str | None) -> Published:
    assessment = assess(facts)
    summary = summary_of(facts, assessment)
    page = f"{url.rstrip('/')}/records/{summary.srch_id}/" if url else None
    _write_text(target / "index.html", render_record(facts, assessment, IN_SITE, InSite(summary, page)))
    _write_text(target / SCRIPT, compare_script(compared(facts, assessment, summary, settings_of(facts))))
    _write_text(target / BADGE, badge(summary) + "\n")
    doi = record_doi(facts)
    work = facts.record.manifest.work
    _write_text(target / "record.bib", bibtex(work, doi, page))
    _write_text(target / "record.csl.json", to_json([csl(work, doi, page)]))
    # Without indentation, json uses its C encoder. With a thousand records, this is the slowest step.
    _write_text(target / "record.json", json.dumps(record_json(facts, assessment, summary), ensure_ascii=False))
    _evidence(facts, target)
    _zip(facts, target / "record.zip")
    return Published(
        source=facts.record.path,
        place=target,
        entry=Entry(summary=summary, row=list_row(summary), updated=_updated(facts)),
        words="\n".join(claim.statement for claim in facts.claims)[:100_000],
        reported=reported_values(facts, summary),
        pooling=pooling_of(facts),
    )


def list_row(summary: Summary) -> str:
    """A record's entry in lists, with links relative to the site's root."""
    parts: Any = environment().get_template("parts.html.j2").module
    return str(parts.row(summary, ""))


def record_json(facts: Facts, assessment: Assessment, summary: Summary) -> Mapping[str, Json]:
    """Everything that the site says about a record, for programs."""
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
    """When the record last changed: the date of its last correction, or of its submission."""
    return facts.events[-1].corrected_at if facts.events else f"{facts.record.manifest.work.submitted}T00:00:00Z"


def _own_files(facts: Facts) -> list[str]:
    """The files that belong to the record: listed ones, outputs, what the corrections replaced, and valid attestations.
    A folder may hold others, with any name."""
    listed = {artifact.path for artifact in facts.record.manifest.artifacts}
    attested = {one.path for one in facts.attestations if one.state != "refused"}
    own = listed | OUTSIDE | superseded_paths(facts.events) | attested
    return sorted(path for path in facts.record.files if path in own)


def _evidence(facts: Facts, target: Path) -> None:
    for path in _own_files(facts):
        place = published(path)
        if place is None or path in _MADE_AGAIN:
            continue
        copy = target / place
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with (facts.record.path / path).open("rb") as source, copy.open("xb") as stream:
                shutil.copyfileobj(source, stream)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise BadInput(
                f"{facts.record.path}: '{path}' and another file have one name in a site; rename one"
            ) from None


def _zip(facts: Facts, path: Path) -> None:
    """Write the record's own files, unchanged, into its own folder in the archive.

    It is not compressed, because most of its files already are.
    """
    folder = f"srch-{facts.record.manifest.work.srch_id}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in _own_files(facts):
            info = zipfile.ZipInfo(f"{folder}/{name}", _EPOCH)
            info.file_size = facts.record.files[name]  # over 2 GiB, it needs another form of entry
            with (facts.record.path / name).open("rb") as source, archive.open(info, "w") as member:
                shutil.copyfileobj(source, member)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")

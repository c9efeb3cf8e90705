"""CITATION.cff and zenodo.json: how a record is cited, and what a deposit of it says."""

from __future__ import annotations

import html
from typing import Any, Final

import yaml

from tarazu.record.manifest import Work

ANONYMOUS: Final = "anonymous"
"""What CITATION.cff and deposits call authors that were not named."""


def citation_cff(work: Work) -> str:
    """The text of CITATION.cff (Citation File Format 1.2.0)."""
    authors = [_cff_author(name) for name in work.authors] or [{"name": ANONYMOUS}]
    said: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this record, please cite it.",
        "type": "dataset",
        "title": work.title,
        "abstract": work.abstract,
        "authors": authors,
        "date-released": work.submitted,
        "identifiers": [{"type": "other", "value": f"urn:uuid:{work.id}", "description": f"SRCH {work.srch_id}"}],
    }
    if work.license:
        said["license"] = work.license
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=110)


def _cff_author(name: str) -> dict[str, str]:
    family, comma, given = name.partition(",")
    if not comma:
        return {"name": name}
    return {"family-names": family.strip(), "given-names": given.strip()}


def zenodo(work: Work) -> dict[str, Any]:
    """The metadata of a deposit, as Zenodo's deposit API takes it under `metadata`."""
    said: dict[str, Any] = {
        "title": work.title,
        "upload_type": "dataset",
        "description": f"<p>{html.escape(work.abstract)}</p>",
        "creators": [{"name": name} for name in work.authors or (ANONYMOUS,)],
        "publication_date": work.submitted,
        "access_right": "open" if work.license else "closed",
        "keywords": ["alignment", "multilingual", "evaluation", "reproducibility"],
        "notes": f"SRCH {work.srch_id}; research question: {work.research_question}",
        "version": "1",
    }
    if work.license:
        said["license"] = work.license
    return {"metadata": said}

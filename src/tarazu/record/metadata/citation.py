"""How to cite a record: the authors' statements, the ids, CITATION.cff, and zenodo.json for a deposit."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import yaml

from tarazu.errors import BadInput
from tarazu.files import Json
from tarazu.record.identity import work_id
from tarazu.record.manifest import Work
from tarazu.record.model import Artifact, Claim
from tarazu.results import Results
from tarazu.results.dates import latest_day
from tarazu.results.quantity import quantity_of


@dataclass(frozen=True, kw_only=True)
class CitationInfo:
    """The authors' statements about a record. The build derives those that are None.

    `authors` are written 'Family, Given', or as one name for a group. `license` is an SPDX identifier.
    """

    submitted: date
    title: str | None = None
    abstract: str | None = None
    question: str | None = None
    authors: tuple[str, ...] = ()
    license: str | None = None
    links: tuple[str, ...] = ()


_LONGEST: Final = {"--title": 500, "--abstract": 20_000, "--question": 5000, "--author": 500}
"""Characters of the texts, as the schema of the manifest allows them."""


def check_citation(citation: CitationInfo) -> None:
    """Raise BadInput if a text is empty, if SPDX does not list the licence, or if a link is not a web address."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    texts = {"--title": citation.title, "--abstract": citation.abstract, "--question": citation.question}
    for option, text in [*texts.items(), *(("--author", author) for author in citation.authors)]:
        if text is not None and not text.strip():
            raise BadInput(f"{option}: is empty; omit it or give a text")
        if text is not None and len(text) > _LONGEST[option]:
            raise BadInput(
                f"{option}: has {len(text)} characters, and at most {_LONGEST[option]} are shown; shorten it"
            )
    if citation.submitted > latest_day():
        raise BadInput(f"--date {citation.submitted}: is in the future; give the day of the submission")
    if citation.license is not None:
        try:
            known = str(canonicalize_license_expression(citation.license))
        except InvalidLicenseExpression:
            known = ""
        if known != citation.license or " " in known:
            hint = f"did you mean {known}?" if known else "identifiers look like CC-BY-4.0 or Apache-2.0"
            raise BadInput(f"--license {citation.license}: not an SPDX licence identifier; {hint}")
    for link in citation.links:
        if not re.fullmatch(r"https?://[^\s<>\"]+", link):
            raise BadInput(f"--link {link}: not a web address; one begins with https:// or http://")


def work_of(citation: CitationInfo, results: Results, files: Sequence[Artifact], claims: Sequence[Claim]) -> Work:
    """The work. Its id is computed only from its evidence and its authors' claims."""
    own_id, study = work_id(files, claims), results.study
    return Work(
        id=own_id,
        srch_id=own_id[:8].upper(),
        title=citation.title or study.title or study.name,
        abstract=citation.abstract or results.sentence,
        research_question=citation.question or _question(results),
        submitted=citation.submitted.isoformat(),
        authors=citation.authors,
        license=citation.license,
    )


def _question(results: Results) -> str:
    arm, base, quantity = results.primary_arm, results.base_arm, quantity_of(results.primary)
    if results.groups.high and results.groups.low and quantity.one_kind is not None:
        return f"Does {quantity.phrase} from {base} to {arm} differ between low-resource and high-resource languages?"
    if results.groups.high and results.groups.low:
        return (
            f"Does the trade-off between Harmlessness Rate and Helpfulness Rate from {base} to {arm} differ between "
            "low-resource and high-resource languages?"
        )
    return f"How do Harmlessness Rate and Helpfulness Rate change from {base} to {arm}?"


_KEYWORDS = ("alignment", "multilingual", "evaluation", "reproducibility")
DATACITE: Final = "datacite.json"
ANONYMOUS: Final = "anonymous"
"""The author in CITATION.cff and deposits if no authors were named."""


def citation_cff(work: Work) -> str:
    """The text of CITATION.cff (Citation File Format 1.2.0)."""
    authors = [_cff_author(name) for name in work.authors] or [{"name": ANONYMOUS}]
    fields: dict[str, Json] = {
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
        fields["license"] = work.license
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=110)


def _cff_author(name: str) -> dict[str, str]:
    family, comma, given = name.partition(",")
    if not comma:
        return {"name": name}
    return {"family-names": family.strip(), "given-names": given.strip()}


PUBLISHER: Final = "(:unav)"
"""DataCite's word for a value that is not available: nobody publishes a record that lies on a disk."""
_KERNEL = "http://datacite.org/schema/kernel-4"
_UNCITED = "(:unkn)"


def datacite(work: Work, links: Sequence[str]) -> Mapping[str, Json]:
    """The metadata by which a DOI is registered: DataCite Metadata Schema 4.5, as JSON.

    It has no DOI, which its registration adds. A title, abstract or name is the record's own.
    """
    licence = (
        {
            "rights": work.license,
            "rightsIdentifier": work.license,
            "rightsIdentifierScheme": "SPDX",
            "schemeUri": "https://spdx.org/licenses/",
        }
        if work.license
        else {"rights": "No licence is stated; all rights remain with the authors."}
    )
    return {
        "schemaVersion": _KERNEL,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Evaluation record"},
        "creators": [_datacite_creator(name) for name in work.authors] or [{"name": _UNCITED}],
        "titles": [{"title": work.title}],
        "publisher": {"name": PUBLISHER},
        "publicationYear": work.submitted[:4],
        "dates": [{"date": work.submitted, "dateType": "Submitted"}],
        "subjects": [{"subject": word} for word in _KEYWORDS],
        "descriptions": [
            {"description": work.abstract, "descriptionType": "Abstract"},
            {"description": f"Research question: {work.research_question}", "descriptionType": "Other"},
        ],
        "alternateIdentifiers": [
            {"alternateIdentifier": f"urn:uuid:{work.id}", "alternateIdentifierType": "UUID"},
            {"alternateIdentifier": work.srch_id, "alternateIdentifierType": "SRCH"},
        ],
        "relatedIdentifiers": [
            {"relatedIdentifier": link, "relatedIdentifierType": "URL", "relationType": "IsDescribedBy"}
            for link in dict.fromkeys(links)
        ],
        "rightsList": [licence],
        "version": "1",
    }


def _datacite_creator(name: str) -> dict[str, Json]:
    family, comma, given = name.partition(",")
    if not (comma and family.strip() and given.strip()):
        return {"name": name}
    parts = {"familyName": family.strip(), "givenName": given.strip()}
    return {"name": name, "nameType": "Personal", **parts}


def zenodo(work: Work) -> Mapping[str, Json]:
    """The metadata of a deposit, in the form that Zenodo's deposit API expects."""
    fields: dict[str, Json] = {
        "title": work.title,
        "upload_type": "dataset",
        "description": f"<p>{html.escape(work.abstract)}</p>",
        "creators": [{"name": name} for name in work.authors or (ANONYMOUS,)],
        "publication_date": work.submitted,
        "access_right": "open" if work.license else "closed",
        "keywords": list(_KEYWORDS),
        "notes": f"SRCH {work.srch_id}; research question: {work.research_question}",
        "version": "1",
    }
    if work.license:
        fields["license"] = work.license
    return {"metadata": fields}

"""What people say about a work, beside what its evidence says: title, authors, licence, date."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from tarazu.errors import BadInput
from tarazu.record.manifest import Work, json_digest
from tarazu.record.model import Artifact, Claim, Role

NAMESPACE: Final = uuid.UUID("b1d5a6c4-2f0e-4c57-9a44-6d9f7c0f7a31")
"""Of the version 5 UUIDs that records have."""
EVIDENCE: Final[frozenset[Role]] = frozenset({"scores", "known_answers", "data", "results", "responses", "source"})
"""Roles of the files that a record's id is made from, beside what its authors claim."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words that go with a record; None where the build finds its own.

    `authors` are written 'Family, Given', or as one name for a group. `license` is an SPDX identifier.
    """

    submitted: date
    title: str | None = None
    abstract: str | None = None
    question: str | None = None
    authors: tuple[str, ...] = ()
    license: str | None = None
    links: tuple[str, ...] = ()


def check_words(words: Words) -> None:
    """Raise BadInput for an empty text, a licence that SPDX does not list, a link that is no web address."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    texts = {"--title": words.title, "--abstract": words.abstract, "--question": words.question}
    for option, text in [*texts.items(), *(("--author", author) for author in words.authors)]:
        if text is not None and not text.strip():
            raise BadInput(f"{option}: is empty; leave it out or say something")
    if words.license is not None:
        try:
            known = str(canonicalize_license_expression(words.license))
        except InvalidLicenseExpression:
            known = ""
        if known != words.license or " " in known:
            hint = f"did you mean {known}?" if known else "an identifier is such as CC-BY-4.0 or Apache-2.0"
            raise BadInput(f"--license {words.license}: not an SPDX licence identifier; {hint}")
    for link in words.links:
        if not re.fullmatch(r"https?://[^\s<>\"]+", link):
            raise BadInput(f"--link {link}: not a web address; it begins with https:// or http://")


def work_of(words: Words, results: Mapping[str, Any], files: Sequence[Artifact], claims: Sequence[Claim]) -> Work:
    """The work, with an id that follows from its evidence and from what its authors claim, and from nothing else."""
    evidence = {file.path: file.sha256 for file in files if file.role in EVIDENCE}
    authored = [claim.model_dump(mode="json", by_alias=True) for claim in claims if claim.origin == "author"]
    found = uuid.uuid5(NAMESPACE, json_digest({"evidence": evidence, "claims": authored}))
    study = results["study"]
    return Work(
        id=str(found),
        srch_id=str(found)[:8].upper(),
        title=words.title or study["title"] or study["name"],
        abstract=words.abstract or results["sentence"],
        research_question=words.question or _question(results),
        submitted=words.submitted.isoformat(),
        authors=words.authors,
        license=words.license,
    )


def _question(results: Mapping[str, Any]) -> str:
    arm, base = results["primary_arm"], results["base_arm"]
    if all(results["groups"][group] for group in ("high", "low")):
        return (
            f"Does the trade-off between Harmlessness Rate and Helpfulness Rate from {base} to {arm} differ between "
            "low-resource and high-resource languages?"
        )
    return f"How do Harmlessness Rate and Helpfulness Rate change from {base} to {arm}?"

"""A work's id. It is made of the work's evidence, so anyone can make it again, and no other work can take it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import ValidationError

from tarazu.record.manifest import json_digest
from tarazu.record.model import Artifact, Claim, Claims, Role

NAMESPACE: Final = uuid.UUID("b1d5a6c4-2f0e-4c57-9a44-6d9f7c0f7a31")
"""Namespace of the records' version 5 UUIDs."""
EVIDENCE: Final[frozenset[Role]] = frozenset({"scores", "known_answers", "data", "results", "responses", "source"})
"""Roles of the files from which a record's id is computed, together with its authors' claims."""


def work_id(files: Sequence[Artifact], claims: Sequence[Claim]) -> str:
    """The id of the work with these files and claims. Only its evidence and its authors' claims determine it."""
    return _uuid(files, [claim.model_dump(mode="json", by_alias=True) for claim in claims if claim.origin == "author"])


def is_work_id(stated: str, files: Sequence[Artifact], claims: Any) -> bool:
    """Whether `stated` is the id of the work with these files. `claims` is its claims.json, as JSON.

    The claims count as the file writes them or, where it leaves out what has a default, as `work_id` writes them.
    """
    return stated in _possible_ids(files, claims)


def _possible_ids(files: Sequence[Artifact], claims: Any) -> Iterator[str]:
    items = claims.get("claims") if isinstance(claims, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return
    try:
        yield _uuid(files, [item for item in items if item.get("origin", "author") == "author"])
        yield work_id(files, Claims.model_validate(claims).claims)
    except (ValidationError, ValueError):
        return  # claims of another version, or numbers without a canonical form


def _uuid(files: Sequence[Artifact], authored: Sequence[Any]) -> str:
    evidence = {file.path: file.sha256 for file in files if file.role in EVIDENCE}
    return str(uuid.uuid5(NAMESPACE, json_digest({"evidence": evidence, "claims": authored})))

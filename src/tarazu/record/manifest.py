"""manifest.json, the root of trust: the work, the files with their digests, and the head of the corrections."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from tarazu.record.model import MOST_FILES, Artifact, Line, Paragraph, RecordModel, RelativePath, Sha256
from tarazu.results.dates import Day

MANIFEST: Final = "manifest.json"
MANIFEST_CONTRACT: Final = "paper-manifest-v1.1"

OUTSIDE: Final = frozenset(
    {MANIFEST, "corrections.jsonl", "signature.json", "gate.json", "assessment.json", "record.html"}
)
"""Files that the manifest does not list: the manifest, files that are chained or signed otherwise, and outputs."""
SUPERSEDED: Final = "superseded"
"""The folder of manifests that corrections replaced. The manifest does not list them either."""
ATTESTATIONS: Final = "attestations"
"""The folder of others' signed statements about the manifest, which therefore cannot list them."""

MOST_CORRECTIONS: Final = 1000
_MOST_ENTRIES = 500
"""Of the manifest's other lists."""

Digest = Annotated[str, StringConstraints(pattern="^sha256:[0-9a-f]{64}$")]


class Work(RecordModel):
    """The work that the record describes."""

    id: str = Field(
        pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        description="UUID, version 5, of the digest of the evidence (docs/records.md says which files that is).",
    )
    srch_id: str = Field(pattern="^[0-9A-F]{8}$", description="First eight hex digits of the id, in upper case.")
    title: Line
    abstract: str = Field(min_length=1, max_length=20_000)
    research_question: Paragraph
    submitted: Day
    authors: tuple[Line, ...] = Field((), max_length=5000)
    license: Line | None = Field(None, description="SPDX identifier; null if no licence was stated.")

    @model_validator(mode="after")
    def _short_id(self) -> Work:
        if self.srch_id != self.id[:8].upper():
            raise ValueError("srch_id must be the first eight hex digits of id, in upper case")
        return self


class WeightFile(RecordModel):
    """A file of a model. It is not in the record."""

    path: RelativePath
    size: int = Field(ge=0, description="Bytes.")
    sha256: Sha256


class Model(RecordModel):
    """A model that was used, identified by hash or by where it is published. Its weights are not in the record."""

    name: Line = Field(description="Its path in the run, such as arms/dpo, or its name in the study.")
    role: Literal["arm", "start", "reward"]
    files: tuple[WeightFile, ...] = Field(
        (), max_length=_MOST_ENTRIES, description="Its files, if they were available locally."
    )
    revision: Line | None = Field(None, description="Hub revision that the study names.")


class Environment(RecordModel):
    """The environment in which the results were computed."""

    versions: dict[str, Line] = Field(
        max_length=_MOST_ENTRIES, description="Python and the packages that a result depends on."
    )
    hardware: dict[str, JsonValue] = Field(max_length=_MOST_ENTRIES)
    models: tuple[Model, ...] = Field((), max_length=_MOST_ENTRIES)


class Pointer(RecordModel):
    """The path of a part of the record, and its contracts."""

    path: RelativePath
    contracts: tuple[Line, ...] = Field(max_length=_MOST_ENTRIES)
    note: str = Field("", max_length=5000)


class Corrections(RecordModel):
    """The number of corrections, and the SHA-256 of the last one's canonical form."""

    count: int = Field(0, ge=0, le=MOST_CORRECTIONS)
    head: Sha256 | None = None

    @model_validator(mode="after")
    def _head_of_some(self) -> Corrections:
        if (self.count == 0) != (self.head is None):
            raise ValueError("head must be null if count is 0, and only then")
        return self


class Manifest(RecordModel):
    """manifest.json."""

    contract: Literal["paper-manifest-v1.1"] = MANIFEST_CONTRACT
    work: Work
    artifacts: tuple[Artifact, ...] = Field(max_length=MOST_FILES)
    environment: Environment
    quality_assessment: Pointer
    provenance: Pointer
    limitations: tuple[Paragraph, ...] = Field(max_length=_MOST_ENTRIES)
    links: tuple[Annotated[str, StringConstraints(max_length=2000)], ...] = Field((), max_length=_MOST_ENTRIES)
    corrections: Corrections = Corrections()

    @model_validator(mode="after")
    def _paths(self) -> Manifest:
        seen: dict[str, str] = {}
        for artifact in self.artifacts:
            folded = _folded(artifact.path)
            if folded in seen:
                other = seen[folded]
                raise ValueError(
                    f"artifacts: '{artifact.path}' is listed twice"
                    if other == artifact.path
                    else f"artifacts: '{artifact.path}' and '{other}' are one file where case does not count"
                )
            if is_outside(folded):
                raise ValueError(f"artifacts: '{artifact.path}' must not be listed in the manifest")
            seen[folded] = artifact.path
        return self


def _folded(path: str) -> str:
    """A path as systems compare it on which upper and lower case, and forms of accents, are the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def is_outside(path: str) -> bool:
    """Whether a path of the record is one that the manifest must not list."""
    parts = PurePosixPath(path).parts
    return path in OUTSIDE or parts[0] in (SUPERSEDED, ATTESTATIONS)


def canonical(value: Any) -> bytes:
    """A JSON value in canonical form (RFC 8785). Raises ValueError if it has none (NaN, integers beyond 2**53).

    Needs the extra `records`.
    """
    import rfc8785

    return rfc8785.dumps(value)


def json_digest(value: Any) -> str:
    """`sha256:` and the hex SHA-256 of a JSON value's canonical form."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()

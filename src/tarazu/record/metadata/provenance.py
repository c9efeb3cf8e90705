"""provenance.json: where a record comes from, in the terms that readers of such pages know and as W3C PROV."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Final, Literal

from pydantic import Field, JsonValue

import tarazu
from tarazu.judge.ratings import RATINGS
from tarazu.record.manifest import Work
from tarazu.record.model import Artifact, Claims, Line, RecordModel, RelativePath, Repro

NAMESPACE: Final = "urn:tarazu:record:"
"""Names in PROV are URNs: the record's id and the path in the record."""
_FROM_GIVEN = ("scores.parquet", "known_answers.parquet")
"""What became of the supplied files, in their order, where an older lock file does not say. Further ones are tables of
ratings."""


class Given(RecordModel):
    """A file that somebody supplied. The record contains it in another form."""

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    becomes: RelativePath | None = Field(None, description="The record's file that was made of it.")
    form: Line | None = Field(None, description="The form in which its content was read.")
    rows: int | None = Field(None, ge=0, description="How many rows of it are in the record.")
    excluded: dict[str, int] = Field({}, description="How many rows are not, by reason.")
    read_with: tuple[str, ...] = Field((), description="The options that say what its columns and values mean.")
    published_by: Line | None = Field(None, description="Who published it, by the word of whoever made the record.")


class Inspectability(RecordModel):
    inspectable: bool = Field(description="Whether the record contains every file that a claim depends on.")
    artifact_count: int = Field(ge=0)
    media_types: dict[str, int]
    not_held: tuple[str, ...] = Field(description="What was used but is referenced only by hash or name.")


class ArchivalRecord(RecordModel):
    state: Literal["NONE", "DEPOSITED"]
    doi: str | None
    basis: str


class Lineage(RecordModel):
    claims: int = Field(ge=0)
    by_kind: dict[str, int]
    by_origin: dict[str, int]
    per_claim_public_records: bool


class SourceBoundary(RecordModel):
    sources: tuple[str, ...]
    basis: str


class Provenance(RecordModel):
    """provenance.json, source-provenance-v1."""

    contract: Literal["source-provenance-v1"] = "source-provenance-v1"
    publisher: str
    artifact_inspectability: Inspectability
    external_archival_record: ArchivalRecord
    claim_lineage: Lineage
    source_list_boundary: SourceBoundary
    given: tuple[Given, ...]
    review_method: str
    prov: dict[str, JsonValue] = Field(description="W3C PROV, serialised as PROV-JSON.")


def provenance(
    work: Work,
    artifacts: Sequence[Artifact],
    claims: Claims,
    repro: Repro,
    *,
    models: Sequence[str],
    given: Sequence[Given],
) -> Provenance:
    """Where the record comes from. `models` are the names of models that the record does not contain."""
    sources = tuple(artifact.path for artifact in artifacts if artifact.role == "source")
    return Provenance(
        publisher="; ".join(work.authors) or "not named",
        artifact_inspectability=Inspectability(
            inspectable=True,
            artifact_count=len(artifacts),
            media_types=dict(sorted(Counter(artifact.media_type for artifact in artifacts).items())),
            not_held=(*models, *(one.name for one in given if one.form is not None)),
        ),
        external_archival_record=ArchivalRecord(
            state="NONE",
            doi=None,
            basis="This build made no deposit. zenodo.json has the metadata for one.",
        ),
        claim_lineage=Lineage(
            claims=len(claims.claims),
            by_kind=dict(sorted(Counter(claim.kind for claim in claims.claims).items())),
            by_origin=dict(sorted(Counter(claim.origin for claim in claims.claims).items())),
            per_claim_public_records=True,
        ),
        source_list_boundary=SourceBoundary(
            sources=sources,
            basis="Source-grounded claims quote only the documents in sources/. None of them was downloaded."
            if sources
            else "No document is quoted.",
        ),
        given=tuple(given),
        review_method="None yet: `tarazu record verify` runs the gate, but no person has reviewed this record.",
        prov=prov_json(work, artifacts, repro, given),
    )


def prov_json(work: Work, artifacts: Sequence[Artifact], repro: Repro, given: Sequence[Given]) -> dict[str, JsonValue]:
    """PROV-JSON. Files are entities, the analysis and the build are activities, the authors and this program are
    agents.

    The analysis used the inputs that repro.json lists, and it generated results.json and the report.
    """
    from prov.model import PROV, ProvDocument

    document = ProvDocument()
    document.add_namespace("record", f"{NAMESPACE}{work.id}:")
    document.add_namespace("tarazu", "urn:tarazu:")
    software = document.agent(
        "record:software", {"prov:type": PROV["SoftwareAgent"], "prov:label": f"Tarazu {tarazu.__version__}"}
    )
    people = [
        document.agent(f"record:author-{number}", {"prov:type": PROV["Person"], "prov:label": name})
        for number, name in enumerate(work.authors, 1)
    ]
    entities = {
        artifact.path: document.entity(
            f"record:{artifact.path}",
            {
                "prov:label": artifact.path,
                "tarazu:role": artifact.role,
                "tarazu:media_type": artifact.media_type,
                "tarazu:sha256": artifact.sha256,
            },
        )
        for artifact in artifacts
    }
    analysis = document.activity("record:analysis", other_attributes={"prov:label": "analysis of the scores"})
    build = document.activity(
        "record:build", other_attributes={"prov:label": "build of the record", "tarazu:submitted": work.submitted}
    )
    for activity in (analysis, build):
        activity.wasAssociatedWith(software)
    for path in repro.depths["analysis"].inputs:
        analysis.used(entities[path])
    for artifact in artifacts:
        entity = entities[artifact.path]
        if artifact.role in ("results", "report"):
            entity.wasGeneratedBy(analysis)
        elif artifact.role in ("claims", "repro", "metadata"):
            entity.wasGeneratedBy(build)
        if artifact.role in ("results", "claims"):
            for person in people:
                entity.wasAttributedTo(person)
    paths = chain((path for path in _FROM_GIVEN if path in entities), repeat(RATINGS))
    for number, (one, path) in enumerate(zip(given, paths, strict=False), 1):
        document.entity(f"record:given-{number}", {"prov:label": one.name, "tarazu:sha256": one.sha256})
        entities[one.becomes or path].wasDerivedFrom(f"record:given-{number}")
    serialized: dict[str, JsonValue] = json.loads(document.serialize(format="json") or "")
    return serialized

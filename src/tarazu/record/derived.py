"""What follows from a record's manifest and files, made anew after a correction."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tarazu.errors import BadInput
from tarazu.files import file_sha256, to_json
from tarazu.readers import read_json
from tarazu.record.manifest import MANIFEST, Manifest
from tarazu.record.metadata.citation import citation_cff, zenodo
from tarazu.record.metadata.crate import CRATE, crate
from tarazu.record.metadata.provenance import Provenance, provenance
from tarazu.record.model import Artifact, Claims, Repro
from tarazu.record.reading import CLAIMS, REPRO, told
from tarazu.record.schemas import check_schema

PROVENANCE: Final = "provenance.json"
DERIVED: Final = frozenset({CRATE, "CITATION.cff", "zenodo.json"})
"""Files that say nothing of their own."""


def write_manifest(folder: Path, manifest: Manifest, keep: frozenset[str]) -> None:
    """Write a record's citation, deposit, provenance and crate metadata as they follow from the manifest and from the
    files in `folder`, then the manifest with their sizes and digests. provenance.json is left as it is where it is in
    `keep`; of an earlier one, what it says of deposits and reviews stays. Raises BadInput."""
    _text(folder / "CITATION.cff", citation_cff(manifest.work))
    _text(folder / "zenodo.json", to_json(zenodo(manifest.work)))
    if PROVENANCE not in keep:
        _write_provenance(folder, manifest)
    files = [_as_it_is(folder, artifact) for artifact in manifest.artifacts]
    _text(folder / CRATE, to_json(crate(manifest.work, files, manifest.environment.versions)))
    files = [_as_it_is(folder, artifact) for artifact in manifest.artifacts]
    dumped = manifest.model_copy(update={"artifacts": tuple(files)}).model_dump(mode="json", by_alias=True)
    check_schema(dumped, "paper-manifest-v1.1", MANIFEST)
    _text(folder / MANIFEST, to_json(dumped))


def _write_provenance(folder: Path, manifest: Manifest) -> None:
    try:
        before = Provenance.model_validate(read_json(folder / PROVENANCE))
        claims = Claims.model_validate(read_json(folder / CLAIMS))
        repro = Repro.model_validate(read_json(folder / REPRO))
    except ValidationError as error:
        raise BadInput(f"{folder.name}: {told(error)}") from None
    others = [artifact for artifact in manifest.artifacts if artifact.path not in (PROVENANCE, CRATE)]
    made = provenance(
        manifest.work,
        [_as_it_is(folder, artifact) for artifact in others],
        claims,
        repro,
        models=before.artifact_inspectability.not_held,
        given=before.given,
    )
    kept = {"external_archival_record": before.external_archival_record, "review_method": before.review_method}
    dumped = made.model_copy(update=kept).model_dump(mode="json", by_alias=True)
    check_schema(dumped, "source-provenance-v1", PROVENANCE)
    _text(folder / PROVENANCE, to_json(dumped))


def _as_it_is(folder: Path, artifact: Artifact) -> Artifact:
    path = folder / artifact.path
    return artifact.model_copy(update={"size": path.stat().st_size, "sha256": file_sha256(path)})


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")

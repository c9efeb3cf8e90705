"""Files of a record that are derived from others, written again after a correction."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from tarazu.errors import BadInput
from tarazu.files import file_sha256, to_json
from tarazu.readers import read_json, validation_message
from tarazu.record.manifest import MANIFEST, Manifest
from tarazu.record.metadata.citation import DATACITE, citation_cff, datacite, zenodo
from tarazu.record.metadata.crate import CRATE, crate
from tarazu.record.metadata.croissant import CROISSANT, croissant
from tarazu.record.metadata.provenance import Provenance, provenance
from tarazu.record.model import Artifact, Claims, Repro
from tarazu.record.reading import CLAIMS, REPRO
from tarazu.record.schemas import check_schema

_Model = TypeVar("_Model", bound=BaseModel)

PROVENANCE: Final = "provenance.json"
DERIVED: Final = frozenset({CRATE, "CITATION.cff", "zenodo.json", DATACITE, CROISSANT})
"""Files that are derived entirely from others."""


def write_manifest(folder: Path, manifest: Manifest, keep: frozenset[str]) -> None:
    """Write the citation, deposit, provenance and crate metadata, then the manifest with the sizes and digests of
    files.

    The metadata are derived from the manifest and the files in `folder`. If `keep` contains provenance.json, it is not
    changed. Otherwise it is rewritten, except for its statements about deposits and reviews. Raises BadInput.
    """
    _write_text(folder / "CITATION.cff", citation_cff(manifest.work))
    _write_text(folder / "zenodo.json", to_json(zenodo(manifest.work)))
    if DATACITE in {artifact.path for artifact in manifest.artifacts}:  # records of earlier versions have none
        _write_text(folder / DATACITE, to_json(datacite(manifest.work, manifest.links)))
    if CROISSANT in {artifact.path for artifact in manifest.artifacts}:
        responses = [_refreshed(folder, artifact) for artifact in manifest.artifacts if artifact.role == "responses"]
        _write_text(folder / CROISSANT, to_json(croissant(manifest.work, responses)))
    if PROVENANCE not in keep:
        _write_provenance(folder, manifest)
    files = [_refreshed(folder, artifact) for artifact in manifest.artifacts]
    repro = _read(folder / REPRO, Repro)
    _write_text(folder / CRATE, to_json(crate(manifest.work, files, repro, manifest.environment.versions)))
    files = [_refreshed(folder, artifact) for artifact in manifest.artifacts]
    dumped = manifest.model_copy(update={"artifacts": tuple(files)}).model_dump(mode="json", by_alias=True)
    check_schema(dumped, "paper-manifest-v1.1", MANIFEST)
    _write_text(folder / MANIFEST, to_json(dumped))


def _write_provenance(folder: Path, manifest: Manifest) -> None:
    before = _read(folder / PROVENANCE, Provenance)
    claims, repro = _read(folder / CLAIMS, Claims), _read(folder / REPRO, Repro)
    others = [artifact for artifact in manifest.artifacts if artifact.path not in (PROVENANCE, CRATE)]
    origin = provenance(
        manifest.work,
        [_refreshed(folder, artifact) for artifact in others],
        claims,
        repro,
        models=before.artifact_inspectability.not_held,
        given=before.given,
    )
    kept = {"external_archival_record": before.external_archival_record, "review_method": before.review_method}
    dumped = origin.model_copy(update=kept).model_dump(mode="json", by_alias=True)
    check_schema(dumped, "source-provenance-v1", PROVENANCE)
    _write_text(folder / PROVENANCE, to_json(dumped))


def _read(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(read_json(path))
    except ValidationError as error:
        raise BadInput(f"{path.name}: {validation_message(error)}") from None


def _refreshed(folder: Path, artifact: Artifact) -> Artifact:
    path = folder / artifact.path
    return artifact.model_copy(update={"size": path.stat().st_size, "sha256": file_sha256(path)})


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")

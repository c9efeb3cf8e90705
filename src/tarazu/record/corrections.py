"""Corrections. Each one names the manifest that it replaced, and what was wrong stays readable.

Each event contains the digest of the previous event and of the manifest that it replaced. The manifest contains the
digest of the last event. If an event is edited, removed, inserted or moved, the chain or its end no longer matches.
Replaced manifests are kept in superseded/, named by their digests.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import JsonValue, ValidationError

from tarazu.errors import BadInput
from tarazu.files import atomic_directory, file_sha256, to_json
from tarazu.readers import read_json, validation_message
from tarazu.record.contracts import CorrectionEvent, CorrectionType
from tarazu.record.manifest import MANIFEST, SUPERSEDED, Corrections, Manifest, json_digest
from tarazu.record.metadata.citation import citation_cff, zenodo
from tarazu.record.metadata.crate import CRATE, crate
from tarazu.record.metadata.provenance import Provenance, provenance
from tarazu.record.model import Artifact, Claims, Repro
from tarazu.record.reading import CLAIMS, REPRO, Record, check_artifacts, read_record
from tarazu.record.schemas import check_schema
from tarazu.record.signing import SIGNATURE

CORRECTIONS: Final = "corrections.jsonl"
PROVENANCE: Final = "provenance.json"
DERIVED: Final = frozenset({CRATE, "CITATION.cff", "zenodo.json"})
"""Files that are derived entirely from others."""
State = Literal["CURRENT", "CORRECTED", "SUPERSEDED"]
_STALE = ("gate.json", "assessment.json", "record.html", SIGNATURE)
_MOST_BYTES = 16 << 20


class BrokenChain(Exception):
    """The corrections do not match the manifest. The message names the first mismatch, in one line."""


def read_events(record: Record) -> tuple[CorrectionEvent, ...]:
    """The record's corrections, checked from the first event to the manifest's head and against superseded/.

    Raises BrokenChain.
    """
    previous: str | None = None
    events: list[CorrectionEvent] = []
    for number, raw in enumerate(_lines(record), 1):
        try:
            event = CorrectionEvent.model_validate(raw)
        except ValidationError as error:
            raise BrokenChain(f"event {number} does not match its schema: {validation_message(error)}") from None
        if event.previous != previous:
            raise BrokenChain(f"event {number} does not follow the previous one")
        if event.event_id in {one.event_id for one in events}:
            raise BrokenChain(f"event {number} has the same id as an earlier one")
        _check_superseded(record, event, Corrections(count=number - 1, head=previous))
        previous = _event_digest(raw)
        events.append(event)
    if record.manifest.corrections != Corrections(count=len(events), head=previous):
        expected = record.manifest.corrections.count
        raise BrokenChain(
            f"the manifest ends with another correction (it counts {expected}, the file has {len(events)})"
        )
    kept = {f"{SUPERSEDED}/{_name(event.superseded_manifest)}" for event in events}
    for path in record.files:
        if path.startswith(f"{SUPERSEDED}/") and path.replace(".signature", "") not in kept:
            raise BrokenChain(f"{path} belongs to no correction")
    return tuple(events)


def state_of(record: Record, digest: str, events: Sequence[CorrectionEvent]) -> State | None:
    """The state of the manifest with that digest, or None if the record does not know it."""
    if digest == record.digest:
        return "CORRECTED" if events else "CURRENT"
    return "SUPERSEDED" if digest in {event.superseded_manifest for event in events} else None


def correct(
    path: Path,
    *,
    kind: CorrectionType,
    note: str,
    fields: Sequence[str] = (),
    replace: Mapping[str, Path] | None = None,
    now: datetime | None = None,
) -> Record:
    """Append a correction to a record. The record is rewritten atomically.

    `replace` maps paths in the record to the files that replace them. A replacement for manifest.json must describe the
    same work; its list of files and its corrections are computed here. Metadata derived from the manifest are written
    again. The signature moves to superseded/ with the manifest that it signs. The outdated gate.json, assessment.json
    and record.html are removed. Raises BadInput if the record does not match its manifest, if it does not contain a
    path, or if the note is empty."""
    record = read_record(path)
    for defect in check_artifacts(record):
        raise BadInput(f"{path / defect.path}: {defect.message}; correct only a record that matches its manifest")
    try:
        events = read_events(record)
    except BrokenChain as error:
        raise BadInput(f"{path / CORRECTIONS}: {error}") from None
    if not note.strip():
        raise BadInput("--note: is empty; say what was wrong and what is correct")
    replace = dict(replace or {})
    listed = {artifact.path for artifact in record.manifest.artifacts}
    for target, source in replace.items():
        if target != MANIFEST and (target not in listed or target in DERIVED):
            raise BadInput(f"--replace {target}: this file cannot be replaced; manifest.json lists those that can")
        if not source.is_file():
            raise BadInput(f"--replace {target}={source}: no such file")
    event = CorrectionEvent(
        event_id=f"C{len(events) + 1:04d}",
        corrected_at=(now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        correction_type=kind,
        public_note=note,
        affected_fields=tuple(dict.fromkeys([*fields, *replace])),
        superseded_manifest=record.digest,
        previous=record.manifest.corrections.head,
    )
    raw = event.model_dump(mode="json")
    check_schema(raw, "correction-event-v1", CORRECTIONS)
    with atomic_directory(path) as folder:
        shutil.copytree(path, folder, dirs_exist_ok=True)
        _supersede(folder, record)
        for target, source in replace.items():
            if target != MANIFEST:
                shutil.copyfile(source, folder / target)
        with (folder / CORRECTIONS).open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(json.dumps(raw, ensure_ascii=False, sort_keys=True) + "\n")
        corrections = Corrections(count=len(events) + 1, head=_event_digest(raw))
        manifest = _new_manifest(record, replace.get(MANIFEST)).model_copy(update={"corrections": corrections})
        write_manifest(folder, manifest, keep=frozenset(replace))
        corrected = read_record(folder)
        read_events(corrected)
        for defect in check_artifacts(corrected):
            raise BadInput(
                f"{defect.path}: {defect.message}; it changed while the record was being corrected; try again"
            )
    return read_record(path)


def _lines(record: Record) -> Iterator[dict[str, JsonValue]]:
    size = record.files.get(CORRECTIONS, 0)
    if size > _MOST_BYTES:
        raise BrokenChain(f"{CORRECTIONS} has {size} bytes; at most {_MOST_BYTES} are read")
    if not size:
        return
    text = (record.path / CORRECTIONS).read_bytes()
    if not text.endswith(b"\n"):
        raise BrokenChain(f"{CORRECTIONS} does not end with a complete line")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            event = json.loads(line)
            json_digest(event)
        except (ValueError, RecursionError):
            raise BrokenChain(f"{CORRECTIONS}, line {number}: not an event") from None
        if not isinstance(event, dict):
            raise BrokenChain(f"{CORRECTIONS}, line {number}: not an event")
        yield event


def _check_superseded(record: Record, event: CorrectionEvent, before: Corrections) -> None:
    """Check that the manifest that an event replaced exists, has the right digest, and ends with the previous event."""
    path = f"{SUPERSEDED}/{_name(event.superseded_manifest)}"
    if path not in record.files:
        raise BrokenChain(f"{path}, which {event.event_id} replaced, is missing")
    try:
        raw = read_json(record.path / path)
        old = Manifest.model_validate(raw)
        digest = json_digest(raw)
    except (BadInput, ValidationError, ValueError):
        raise BrokenChain(f"{path} is not a manifest") from None
    if digest != event.superseded_manifest:
        raise BrokenChain(f"{path} is not the manifest that {event.event_id} replaced")
    if old.corrections != before or old.work.id != record.manifest.work.id:
        raise BrokenChain(f"{path} does not precede {event.event_id}")


def _supersede(folder: Path, record: Record) -> None:
    """Move the manifest and its signature to superseded/, and remove the outputs about them."""
    (folder / SUPERSEDED).mkdir(exist_ok=True)
    name = _name(record.digest)
    (folder / MANIFEST).rename(folder / SUPERSEDED / name)
    if (folder / SIGNATURE).exists():
        (folder / SIGNATURE).rename(folder / SUPERSEDED / name.replace(".json", ".signature.json"))
    for stale in _STALE:
        (folder / stale).unlink(missing_ok=True)


def _new_manifest(record: Record, replacement: Path | None) -> Manifest:
    """The new manifest, except for its files and corrections."""
    if replacement is None:
        return record.manifest
    try:
        manifest = Manifest.model_validate(read_json(replacement))
    except ValidationError as error:
        raise BadInput(f"{replacement}: {validation_message(error)}") from None
    if manifest.work.id != record.manifest.work.id:
        raise BadInput(f"{replacement}: work.id belongs to another work; a correction must keep it")
    return manifest


def _name(digest: str) -> str:
    return digest.removeprefix("sha256:") + ".json"


def _event_digest(event: Any) -> str:
    return json_digest(event).removeprefix("sha256:")


# --- files derived from a corrected manifest -----------------------------------------------------


def write_manifest(folder: Path, manifest: Manifest, keep: frozenset[str]) -> None:
    """Write the citation, deposit, provenance and crate metadata, then the manifest with the sizes and digests of
    files.

    The metadata are derived from the manifest and the files in `folder`. If `keep` contains provenance.json, it is not
    changed. Otherwise it is rewritten, except for its statements about deposits and reviews. Raises BadInput.
    """
    _write_text(folder / "CITATION.cff", citation_cff(manifest.work))
    _write_text(folder / "zenodo.json", to_json(zenodo(manifest.work)))
    if PROVENANCE not in keep:
        _write_provenance(folder, manifest)
    files = [_refreshed(folder, artifact) for artifact in manifest.artifacts]
    _write_text(folder / CRATE, to_json(crate(manifest.work, files, manifest.environment.versions)))
    files = [_refreshed(folder, artifact) for artifact in manifest.artifacts]
    dumped = manifest.model_copy(update={"artifacts": tuple(files)}).model_dump(mode="json", by_alias=True)
    check_schema(dumped, "paper-manifest-v1.1", MANIFEST)
    _write_text(folder / MANIFEST, to_json(dumped))


def _write_provenance(folder: Path, manifest: Manifest) -> None:
    try:
        before = Provenance.model_validate(read_json(folder / PROVENANCE))
        claims = Claims.model_validate(read_json(folder / CLAIMS))
        repro = Repro.model_validate(read_json(folder / REPRO))
    except ValidationError as error:
        raise BadInput(f"{folder.name}: {validation_message(error)}") from None
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


def _refreshed(folder: Path, artifact: Artifact) -> Artifact:
    path = folder / artifact.path
    return artifact.model_copy(update={"size": path.stat().st_size, "sha256": file_sha256(path)})


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")

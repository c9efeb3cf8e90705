"""Corrections: what was wrong stays readable, and each says which manifest it replaced.

An event holds the digest of the event before it and of the manifest that it replaced; the manifest holds the digest of
the last event. So an event that is edited, dropped, put in or moved breaks the chain or its end, and the manifests that
were replaced are kept in superseded/ under their own digests.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

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
"""Files that say nothing of their own."""
State = Literal["CURRENT", "CORRECTED", "SUPERSEDED"]
_STALE = ("gate.json", "assessment.json", "record.html", SIGNATURE)
_MOST_BYTES = 16 << 20


class BrokenChain(Exception):
    """Corrections that are not the ones the manifest answers for; the text says which, in one line."""


def read_events(record: Record) -> tuple[CorrectionEvent, ...]:
    """The record's corrections, checked from the first to the manifest's head and against superseded/.

    Raises BrokenChain.
    """
    previous: str | None = None
    events: list[CorrectionEvent] = []
    for number, raw in enumerate(_lines(record), 1):
        try:
            event = CorrectionEvent.model_validate(raw)
        except ValidationError as error:
            raise BrokenChain(f"event {number} is not of its schema: {validation_message(error)}") from None
        if event.previous != previous:
            raise BrokenChain(f"event {number} does not follow on the one before it")
        if event.event_id in {one.event_id for one in events}:
            raise BrokenChain(f"event {number} has the id of an earlier one")
        _check_superseded(record, event, Corrections(count=number - 1, head=previous))
        previous = _hex(raw)
        events.append(event)
    if record.manifest.corrections != Corrections(count=len(events), head=previous):
        told_count = record.manifest.corrections.count
        raise BrokenChain(f"the manifest ends with another correction ({told_count} told, {len(events)} there)")
    kept = {f"{SUPERSEDED}/{_name(event.superseded_manifest)}" for event in events}
    for path in record.files:
        if path.startswith(f"{SUPERSEDED}/") and path.replace(".signature", "") not in kept:
            raise BrokenChain(f"{path} belongs to no correction")
    return tuple(events)


def state_of(record: Record, digest: str, events: Sequence[CorrectionEvent]) -> State | None:
    """What has become of the manifest with that digest; None where the record does not know it."""
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
    """Append a correction to a record and write it anew: whole, or not at all.

    `replace` maps paths of the record to the files that take their places; for manifest.json, a manifest of the same
    work, whose list of files and corrections are made here. Metadata that follow from it are made anew. The signature
    moves to superseded/ with the manifest it signs; gate.json, assessment.json and record.html, which are about what
    was, are removed. Raises BadInput: a record that is not as its manifest says, a path that it does not hold, no note.
    """
    record = read_record(path)
    for defect in check_artifacts(record):
        raise BadInput(f"{path / defect.path}: {defect.message}; correct a record that is as its manifest says")
    try:
        events = read_events(record)
    except BrokenChain as error:
        raise BadInput(f"{path / CORRECTIONS}: {error}") from None
    if not note.strip():
        raise BadInput("--note: is empty; say what was wrong and what is right")
    replace = dict(replace or {})
    listed = {artifact.path for artifact in record.manifest.artifacts}
    for target, source in replace.items():
        if target != MANIFEST and (target not in listed or target in DERIVED):
            raise BadInput(f"--replace {target}: not a file that can be replaced; manifest.json lists them")
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
        corrections = Corrections(count=len(events) + 1, head=_hex(raw))
        wanted = _wanted(record, replace.get(MANIFEST)).model_copy(update={"corrections": corrections})
        write_manifest(folder, wanted, keep=frozenset(replace))
        made = read_record(folder)
        read_events(made)
        for defect in check_artifacts(made):
            raise BadInput(f"{defect.path}: {defect.message}; it was changed while the record was corrected; try again")
    return read_record(path)


def _lines(record: Record) -> Iterator[dict[str, Any]]:
    size = record.files.get(CORRECTIONS, 0)
    if size > _MOST_BYTES:
        raise BrokenChain(f"{CORRECTIONS} has {size} bytes; at most {_MOST_BYTES} are read")
    if not size:
        return
    text = (record.path / CORRECTIONS).read_bytes()
    if not text.endswith(b"\n"):
        raise BrokenChain(f"{CORRECTIONS} does not end with a whole line")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = json.loads(line)
            json_digest(found)
        except (ValueError, RecursionError):
            raise BrokenChain(f"{CORRECTIONS}, line {number}: not an event") from None
        if not isinstance(found, dict):
            raise BrokenChain(f"{CORRECTIONS}, line {number}: not an event")
        yield found


def _check_superseded(record: Record, event: CorrectionEvent, before: Corrections) -> None:
    """The manifest that an event replaced must be there, be that one, and end with the event before."""
    path = f"{SUPERSEDED}/{_name(event.superseded_manifest)}"
    if path not in record.files:
        raise BrokenChain(f"{path}, which {event.event_id} replaced, is not there")
    try:
        raw = read_json(record.path / path)
        old = Manifest.model_validate(raw)
        digest = json_digest(raw)
    except (BadInput, ValidationError, ValueError):
        raise BrokenChain(f"{path} is not a manifest") from None
    if digest != event.superseded_manifest:
        raise BrokenChain(f"{path} is not the manifest that {event.event_id} replaced")
    if old.corrections != before or old.work.id != record.manifest.work.id:
        raise BrokenChain(f"{path} does not come before {event.event_id}")


def _supersede(folder: Path, record: Record) -> None:
    """Move the manifest and its signature to superseded/, and what is about them out of the way."""
    (folder / SUPERSEDED).mkdir(exist_ok=True)
    name = _name(record.digest)
    (folder / MANIFEST).rename(folder / SUPERSEDED / name)
    if (folder / SIGNATURE).exists():
        (folder / SIGNATURE).rename(folder / SUPERSEDED / name.replace(".json", ".signature.json"))
    for stale in _STALE:
        (folder / stale).unlink(missing_ok=True)


def _wanted(record: Record, replacement: Path | None) -> Manifest:
    """The manifest as it is to be, but for files and corrections."""
    if replacement is None:
        return record.manifest
    try:
        wanted = Manifest.model_validate(read_json(replacement))
    except ValidationError as error:
        raise BadInput(f"{replacement}: {validation_message(error)}") from None
    if wanted.work.id != record.manifest.work.id:
        raise BadInput(f"{replacement}: work.id is another work's; a correction keeps it")
    return wanted


def _name(digest: str) -> str:
    return digest.removeprefix("sha256:") + ".json"


def _hex(event: Any) -> str:
    return json_digest(event).removeprefix("sha256:")


# --- what follows from a corrected manifest ------------------------------------------------------


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
        raise BadInput(f"{folder.name}: {validation_message(error)}") from None
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

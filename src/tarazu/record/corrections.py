"""Corrections. Each one names the manifest that it replaced, and what was wrong stays readable.

Each event contains the digest of the previous event and of the manifest that it replaced. The manifest contains the
digest of the last event. If an event is edited, removed, inserted or moved, the chain or its end no longer matches.
Replaced manifests are kept in superseded/, named by their digests, each with its claims and its signature.

A digest is that of a canonical form, which several texts can have. So that all readers of a file read the same, each
line must consist of exactly the bytes that `correct` writes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from tarazu.errors import BadInput
from tarazu.files import atomic_directory, file_sha256
from tarazu.readers import read_json, validation_message
from tarazu.record.contracts import CorrectionEvent, CorrectionType
from tarazu.record.derived import DERIVED, write_manifest
from tarazu.record.identity import is_work_id
from tarazu.record.manifest import MANIFEST, SUPERSEDED, Corrections, Manifest, json_digest
from tarazu.record.reading import CLAIMS, Record, check_artifacts, read_record
from tarazu.record.schemas import check_schema
from tarazu.record.signing import SIGNATURE, BadSignature, check_signature

CORRECTIONS: Final = "corrections.jsonl"
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
    for number, line in enumerate(_lines(record), 1):
        event = _event(number, line)
        if event.previous != previous:
            raise BrokenChain(f"event {number} does not follow the previous one")
        if event.event_id in {one.event_id for one in events}:
            raise BrokenChain(f"event {number} has the same id as an earlier one")
        _check_superseded(record, event, Corrections(count=number - 1, head=previous))
        previous = _event_digest(event)
        events.append(event)
    if record.manifest.corrections != Corrections(count=len(events), head=previous):
        expected = record.manifest.corrections.count
        raise BrokenChain(
            f"the manifest ends with another correction (it counts {expected}, the file has {len(events)})"
        )
    kept = superseded_paths(events)
    for path in record.files:
        if path.startswith(f"{SUPERSEDED}/") and path not in kept:
            raise BrokenChain(f"{path} belongs to no correction")
    return tuple(events)


def superseded_paths(events: Sequence[CorrectionEvent]) -> frozenset[str]:
    """The files that superseded/ may contain: each replaced manifest, with its claims and its signature."""
    digests = [event.superseded_manifest for event in events]
    return frozenset(
        path for digest in digests for path in (_kept(digest), _kept(digest, CLAIMS), _kept(digest, SIGNATURE))
    )


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
    check_schema(event.model_dump(mode="json"), "correction-event-v1", CORRECTIONS)
    with atomic_directory(path) as folder:
        shutil.copytree(path, folder, dirs_exist_ok=True)
        _supersede(folder, record, keep_claims=CLAIMS in replace)
        for target, source in replace.items():
            if target != MANIFEST:
                shutil.copyfile(source, folder / target)
        with (folder / CORRECTIONS).open("ab") as stream:
            stream.write(_line(event) + b"\n")
        corrections = Corrections(count=len(events) + 1, head=_event_digest(event))
        manifest = _new_manifest(record, replace.get(MANIFEST)).model_copy(update={"corrections": corrections})
        write_manifest(folder, manifest, keep=frozenset(replace))
        corrected = read_record(folder)
        read_events(corrected)
        for defect in check_artifacts(corrected):
            raise BadInput(
                f"{defect.path}: {defect.message}; it changed while the record was being corrected; try again"
            )
    return read_record(path)


def _lines(record: Record) -> list[bytes]:
    size = record.files.get(CORRECTIONS, 0)
    if size > _MOST_BYTES:
        raise BrokenChain(f"{CORRECTIONS} has {size} bytes; at most {_MOST_BYTES} are read")
    if not size:
        return []
    content = (record.path / CORRECTIONS).read_bytes()
    if not content.endswith(b"\n"):
        raise BrokenChain(f"{CORRECTIONS} does not end with a complete line")
    return content[:-1].split(b"\n")


def _event(number: int, line: bytes) -> CorrectionEvent:
    """The event of a line, which must be written as `correct` writes it."""
    try:
        raw = json.loads(line)
        json_digest(raw)
    except (ValueError, RecursionError):
        raise BrokenChain(f"{CORRECTIONS}, line {number}: not an event") from None
    if not isinstance(raw, dict):
        raise BrokenChain(f"{CORRECTIONS}, line {number}: not an event")
    try:
        event = CorrectionEvent.model_validate(raw)
    except ValidationError as error:
        raise BrokenChain(f"event {number} does not match its schema: {validation_message(error)}") from None
    if line != _line(event):
        raise BrokenChain(
            f"{CORRECTIONS}, line {number}: not as `tarazu record correct` writes it, so that another reader "
            "could read another text"
        )
    return event


def _line(event: CorrectionEvent) -> bytes:
    """The event's line, without the line feed."""
    return json.dumps(event.model_dump(mode="json"), ensure_ascii=False, sort_keys=True).encode("utf-8")


def _check_superseded(record: Record, event: CorrectionEvent, before: Corrections) -> None:
    """Check that the manifest that an event replaced exists, has the right digest, and ends with the previous event;
    that its signature and claims are its own; and that the first manifest has the id of its evidence."""
    digest = event.superseded_manifest
    path = _kept(digest)
    if path not in record.files:
        raise BrokenChain(f"{path}, which {event.event_id} replaced, is missing")
    try:
        raw = read_json(record.path / path)
        old = Manifest.model_validate(raw)
        actual = json_digest(raw)
    except (BadInput, ValidationError, ValueError):
        raise BrokenChain(f"{path} is not a manifest") from None
    if actual != digest:
        raise BrokenChain(f"{path} is not the manifest that {event.event_id} replaced")
    if old.corrections != before or old.work.id != record.manifest.work.id:
        raise BrokenChain(f"{path} does not precede {event.event_id}")
    if _kept(digest, SIGNATURE) in record.files:
        try:
            check_signature(record.path / _kept(digest, SIGNATURE), digest)
        except BadSignature as error:
            raise BrokenChain(f"{_kept(digest, SIGNATURE)}: {error}") from None
    claims = _claims_of(record, old, _kept(digest, CLAIMS))
    if before.count == 0 and not is_work_id(old.work.id, old.artifacts, {"claims": []} if claims is None else claims):
        raise BrokenChain(
            f"{_kept(digest, CLAIMS)} is missing: without the claims before the first correction, work.id cannot be "
            "checked; put that file there"
            if claims is None
            else f"work.id is not that of the evidence in {path}"
        )


def _claims_of(record: Record, old: Manifest, kept: str) -> Any:
    """The claims of a replaced manifest, as JSON: those that were kept with it, else the record's, if they are the
    same. None if neither is there."""
    listed = next((artifact.sha256 for artifact in old.artifacts if artifact.path == CLAIMS), None)
    path = record.path / (kept if kept in record.files else CLAIMS)
    if file_sha256(path) != listed:
        if kept in record.files:
            raise BrokenChain(f"{kept} is not the {CLAIMS} of its manifest")
        return None
    try:
        return read_json(path)
    except BadInput:
        raise BrokenChain(f"{kept} is not a file of claims") from None


def _supersede(folder: Path, record: Record, *, keep_claims: bool) -> None:
    """Move the manifest and its signature to superseded/, with a copy of its claims if they are about to be replaced,
    and remove the outputs about them."""
    (folder / SUPERSEDED).mkdir(exist_ok=True)
    if keep_claims:
        shutil.copyfile(folder / CLAIMS, folder / _kept(record.digest, CLAIMS))
    (folder / MANIFEST).rename(folder / _kept(record.digest))
    if (folder / SIGNATURE).exists():
        (folder / SIGNATURE).rename(folder / _kept(record.digest, SIGNATURE))
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


def _kept(digest: str, name: str = "json") -> str:
    """The path in superseded/ of a replaced manifest, or of another file (`name`) that belongs to it."""
    return f"{SUPERSEDED}/{digest.removeprefix('sha256:')}.{name}"


def _event_digest(event: CorrectionEvent) -> str:
    return json_digest(event.model_dump(mode="json")).removeprefix("sha256:")

"""A record from disk: every defect of its form is one line that names the file; nothing in it is executed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from tarazu.errors import BadInput
from tarazu.files import file_sha256
from tarazu.readers import read_json, validation_message
from tarazu.record.extra import need_records
from tarazu.record.manifest import MANIFEST, Manifest, is_outside, json_digest
from tarazu.record.model import Claims, MathematicalClaim, Repro, SourceClaim
from tarazu.results import Results, results_of

CLAIMS = "claims.json"
REPRO = "repro/repro.json"
RESULTS = "results.json"

_LARGEST_JSON = 256 * 2**20
"""Bytes. What has to be in memory at once is bounded; data files are read in pieces."""
_MOST_FILES = 100_000

HIDDEN_FROM_RERUN = frozenset({CLAIMS, RESULTS, "report.html", MANIFEST})
"""Files that state what a re-run must find for itself."""

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a record's own files say. `results` is results.json, and `document` the same as JSON,
    which pointers lead into; `digest` is the manifest's, `sha256:...`; `files` are
    the sizes in bytes of all files by path, listed or not."""

    path: Path
    manifest: Manifest
    digest: str
    claims: Claims
    repro: Repro
    results: Results
    document: dict[str, Any]
    files: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Defect:
    """A file that is not what the manifest says."""

    path: str
    kind: Literal["missing", "unlisted", "size", "digest"]
    message: str


def read_record(path: Path) -> Record:
    """Read a record's manifest, claims, repro.json and results.json.

    Raises BadInput, one line with the file, the defect and the mend: no folder, a link or anything else that is not a
    plain file or folder, a file that is missing, too large, broken, not of its schema or not in accord with the others.
    Digests are not checked here: `check_artifacts` does that.
    """
    need_records()
    if path.is_symlink() or not path.is_dir():
        raise BadInput(f"{path}: not a folder; name one that `tarazu record build` made")
    files = dict(_files(path, path))
    raw = _json(path, MANIFEST, files)
    manifest = _parsed(Manifest, raw, path / MANIFEST)
    try:
        digest = json_digest(raw)
    except ValueError as error:
        raise BadInput(f"{path / MANIFEST}: has no canonical form ({error}); build the record again") from None
    claims = _parsed(Claims, _json(path, CLAIMS, files), path / CLAIMS)
    repro = _parsed(Repro, _json(path, REPRO, files), path / REPRO)
    document = _json(path, RESULTS, files)
    record = Record(
        path=path,
        manifest=manifest,
        digest=digest,
        claims=claims,
        repro=repro,
        results=results_of(document, str(path / RESULTS)),
        document=document,
        files=files,
    )
    _check_accord(record)
    return record


def check_artifacts(record: Record) -> list[Defect]:
    """Compare every file with the manifest's list: missing and unlisted files, sizes, digests.

    Reads each file once, in pieces.
    """
    found = []
    listed = {artifact.path: artifact for artifact in record.manifest.artifacts}
    for path, artifact in sorted(listed.items()):
        if path not in record.files:
            found.append(Defect(path=path, kind="missing", message="is listed in the manifest and is not there"))
        elif record.files[path] != artifact.size:
            message = f"has {record.files[path]} bytes; the manifest says {artifact.size}"
            found.append(Defect(path=path, kind="size", message=message))
        elif file_sha256(record.path / path) != artifact.sha256:
            found.append(Defect(path=path, kind="digest", message="its SHA-256 is not the one in the manifest"))
    for path in sorted(record.files):
        if path not in listed and not is_outside(path):
            found.append(Defect(path=path, kind="unlisted", message="is there and is not listed in the manifest"))
    return found


def _files(root: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Relative path and size of each file below `folder`; raises BadInput at anything that is neither a plain file nor
    a folder, before any of it is opened."""
    waiting = [folder]
    count = 0
    while waiting:
        try:
            entries = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except OSError as error:
            raise BadInput(f"{root}: cannot be read: {error.strerror or error}") from None
        for entry in entries:
            count += 1
            if count > _MOST_FILES:
                raise BadInput(f"{root}: holds more than {_MOST_FILES} files; a record does not")
            facts = entry.stat(follow_symlinks=False)
            name = Path(entry.path).relative_to(root).as_posix()
            if not name.isprintable() or any("\ud800" <= letter <= "\udfff" for letter in name):
                raise BadInput(f"{root}: {name!r} has a name that is not UTF-8 or not printable; rename or remove it")
            if stat.S_ISDIR(facts.st_mode):
                waiting.append(Path(entry.path))
            elif stat.S_ISREG(facts.st_mode):
                yield name, facts.st_size
            else:
                what = "a link" if stat.S_ISLNK(facts.st_mode) else "not a plain file"
                raise BadInput(f"{root}: {name!r} is {what}; a record holds plain files only, remove it")


def _json(root: Path, name: str, files: dict[str, int]) -> Any:
    if name not in files:
        raise BadInput(f"{root}: holds no {name}, so it is no record; name a folder that `tarazu record build` made")
    if files[name] > _LARGEST_JSON:
        raise BadInput(f"{root / name}: has {files[name]} bytes; at most {_LARGEST_JSON} can be read")
    return read_json(root / name)


def _parsed(model: type[_Model], value: Any, path: Path) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadInput(f"{path}: {validation_message(error)}") from None


def _check_accord(record: Record) -> None:
    """Raise BadInput where claims or repro.json name files that the manifest does not list as what they are taken
    for, or a re-run would be shown what it must find."""
    roles = {artifact.path: artifact.role for artifact in record.manifest.artifacts}

    def need(file: str, what: str, path: str, role: str) -> None:
        if roles.get(path) != role:
            raise BadInput(f"{record.path / file}: {what}: '{path}' is not listed in the manifest as {role}")

    for path, role in ((CLAIMS, "claims"), (REPRO, "repro"), (RESULTS, "results")):
        need(MANIFEST, "artifacts", path, role)
    for depth, rerun in record.repro.depths.items():
        need(REPRO, f"{depth}.script", rerun.script, "repro")
        for path in rerun.inputs:
            if path in HIDDEN_FROM_RERUN:
                raise BadInput(f"{record.path / REPRO}: {depth}.inputs: '{path}' says what the re-run must find itself")
            if path not in roles:
                raise BadInput(f"{record.path / REPRO}: {depth}.inputs: '{path}' is not listed in the manifest")
    for claim in record.claims.claims:
        if isinstance(claim, SourceClaim):
            need(CLAIMS, claim.id, claim.source, "source")
        elif isinstance(claim, MathematicalClaim):
            for evidence in (claim.lean, claim.smt):
                if evidence is not None:
                    need(CLAIMS, claim.id, evidence.source, "proof")

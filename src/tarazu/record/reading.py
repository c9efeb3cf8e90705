"""Read a record from disk. Each defect is reported in one line that names the file. Nothing is executed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from tarazu.errors import BadInput
from tarazu.files import file_sha256
from tarazu.pool.model import Pool
from tarazu.pool.recorded import POOL, is_of_other, other_runs, run_folder, why_not, with_pool
from tarazu.preregistration.reading import PLAN_FILE
from tarazu.readers import LARGEST_JSON, read_json, validation_message
from tarazu.record.extra import require_records_extra
from tarazu.record.identity import is_work_id
from tarazu.record.manifest import ATTESTATIONS, MANIFEST, OUTSIDE, SUPERSEDED, Manifest, is_outside, json_digest
from tarazu.record.model import MOST_FILES, Claims, MathematicalClaim, Repro, SourceClaim
from tarazu.results import Results, results_of

CLAIMS = "claims.json"
REPRO = "repro/repro.json"
RESULTS = "results.json"
SCORES = "scores.parquet"

_LARGEST_PART = 8 * 2**20
"""Bytes of a JSON file other than results.json. Data files are read in pieces, and so are not bounded alone."""
_MOST_LEVELS = 16
"""Of folders inside each other."""
_LONGEST_NAME = 240
"""Bytes. File systems allow 255, and a site appends an extension."""
_FILES = frozenset({*OUTSIDE, CLAIMS, REPRO, RESULTS, POOL})
"""Names that only a file may have. Some are written after the gate's work, and a folder of that name would lose it."""

HIDDEN_FROM_RERUN = frozenset({CLAIMS, RESULTS, "report.html", MANIFEST})
"""Files that state what a re-run must compute itself."""

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record's files, parsed.

    `results` is results.json, and `document` is the same file as plain JSON, for pointers. Where several runs are
    pooled, `pool` is pool.json, and `document` has it too (see `tarazu.pool.recorded`). `digest` is the manifest's
    digest, `sha256:...`. `files` maps the path of every file, listed or not, to its size in bytes."""

    path: Path
    manifest: Manifest
    digest: str
    claims: Claims
    repro: Repro
    results: Results
    document: dict[str, JsonValue]
    files: dict[str, int]
    pool: Pool | None


@dataclass(frozen=True, kw_only=True)
class Defect:
    """A file that does not match the manifest."""

    path: str
    kind: Literal["missing", "unlisted", "size", "digest"]
    message: str


def read_record(path: Path, *, size_mib: int | None = None) -> Record:
    """Read a record's manifest, claims, repro.json and results.json. All its files together may have `size_mib`.

    Raises BadInput, one line with the file, the defect and the fix, if `path` is not a folder; if it contains a link or
    anything else that is not a plain file or folder; or if a file is missing, too large, damaged, invalid under its
    schema, or inconsistent with other files. `check_artifacts` checks the digests."""
    require_records_extra()
    try:
        is_folder = path.is_dir() and not path.is_symlink()
    except OSError:  # a name that is too long
        is_folder = False
    if not is_folder:
        raise BadInput(f"{path}: not a folder; name a folder that `tarazu record build` made")
    files = dict(_files(path))
    if size_mib is not None and sum(files.values()) > size_mib << 20:
        raise BadInput(
            f"{path}: its files have {sum(files.values()) >> 20} MiB together, and at most {size_mib} are read; if you "
            "trust the record, allow more with --max-size"
        )
    raw = _json(path, MANIFEST, files)
    manifest = _validate(Manifest, raw, path / MANIFEST)
    try:
        digest = json_digest(raw)
    except ValueError as error:
        raise BadInput(f"{path / MANIFEST}: has no canonical form ({error}); build the record again") from None
    raw_claims = _json(path, CLAIMS, files)
    claims = _validate(Claims, raw_claims, path / CLAIMS)
    repro = _validate(Repro, _json(path, REPRO, files), path / REPRO)
    document = _json(path, RESULTS, files)
    results = results_of(document, str(path / RESULTS))
    pool = None
    if any(artifact.path == POOL for artifact in manifest.artifacts):
        pool, document = _pool(path, files, document)
    record = Record(
        path=path,
        manifest=manifest,
        digest=digest,
        claims=claims,
        repro=repro,
        results=results,
        document=document,
        files=files,
        pool=pool,
    )
    _check_consistency(record)
    # After a correction, the id is still that of the first manifest's evidence. Reading the corrections checks it.
    if not manifest.corrections.count and not is_work_id(manifest.work.id, manifest.artifacts, raw_claims):
        raise BadInput(
            f"{path / MANIFEST}: work.id is not the id of this evidence and these claims; build the record again"
        )
    return record


def plan_digest(record: Record) -> str | None:
    """The digest of the file of the record's preregistered plan, `sha256:...`; None without a plan."""
    digests = {artifact.path: artifact.sha256 for artifact in record.manifest.artifacts}
    return f"sha256:{digests[PLAN_FILE]}" if PLAN_FILE in digests else None


def check_artifacts(record: Record) -> list[Defect]:
    """Compare every file with the manifest's list: missing and unlisted files, sizes, digests.

    Reads each file once, in pieces.
    """
    defects = []
    listed = {artifact.path: artifact for artifact in record.manifest.artifacts}
    for path, artifact in sorted(listed.items()):
        if path not in record.files:
            defects.append(Defect(path=path, kind="missing", message="is listed in the manifest but is missing"))
        elif record.files[path] != artifact.size:
            message = f"has {record.files[path]} bytes; the manifest says {artifact.size}"
            defects.append(Defect(path=path, kind="size", message=message))
        elif _digest(record.path / path) != artifact.sha256:
            defects.append(Defect(path=path, kind="digest", message="its SHA-256 does not match the manifest"))
    for path in sorted(record.files):
        if path not in listed and not is_outside(path):
            defects.append(Defect(path=path, kind="unlisted", message="is not listed in the manifest"))
    return defects


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None


def _files(root: Path) -> Iterator[tuple[str, int]]:
    """Relative path and size of each file below `root`.

    Raises BadInput for anything that is neither a plain file nor a folder, before any file is opened.
    """
    pending = [("", 1)]
    count = 0
    while pending:
        folder, level = pending.pop()
        try:
            with os.scandir(root / folder) as scan:
                first = sorted(islice(scan, MOST_FILES + 1), key=lambda entry: entry.name)
            entries = [(entry.name, entry.stat(follow_symlinks=False)) for entry in first]
        except OSError as error:
            raise BadInput(f"{root / folder}: cannot be read: {error.strerror or error}") from None
        count += len(entries)
        if count > MOST_FILES:
            raise BadInput(f"{root}: has more than {MOST_FILES} files; a record has fewer")
        for entry, status in entries:
            name = f"{folder}/{entry}" if folder else entry
            if not name.isprintable() or any("\ud800" <= letter <= "\udfff" for letter in name):
                raise BadInput(f"{root}: {name!r} has a name that is not UTF-8 or not printable; rename or remove it")
            if len(os.fsencode(entry)) > _LONGEST_NAME:
                raise BadInput(f"{root}: {name!r} has a name of more than {_LONGEST_NAME} bytes; rename or remove it")
            if stat.S_ISDIR(status.st_mode):
                if level == _MOST_LEVELS:
                    raise BadInput(f"{root}: {name!r} is more than {_MOST_LEVELS} folders deep; remove it")
                if name in _FILES:
                    raise BadInput(f"{root}: {name!r} is a folder; it must be a file; remove it")
                pending.append((name, level + 1))
            elif stat.S_ISREG(status.st_mode):
                if name in (SUPERSEDED, ATTESTATIONS):
                    raise BadInput(f"{root}: {name!r} is a file; it must be a folder; remove it")
                yield name, status.st_size
            else:
                what = "a link" if stat.S_ISLNK(status.st_mode) else "not a plain file"
                raise BadInput(f"{root}: {name!r} is {what}; a record may contain only plain files; remove it")


def _json(root: Path, name: str, files: dict[str, int]) -> Any:
    if name not in files:
        raise BadInput(f"{root}: has no {name}, so it is not a record; name a folder that `tarazu record build` made")
    return read_json(root / name, largest=LARGEST_JSON if name == RESULTS else _LARGEST_PART)


def _pool(root: Path, files: dict[str, int], document: dict[str, JsonValue]) -> tuple[Pool, dict[str, JsonValue]]:
    """pool.json, and the results with it and with those of the other runs, for pointers."""
    raw = _json(root, POOL, files)
    pool = _validate(Pool, raw, root / POOL)
    if reason := why_not(pool):
        raise BadInput(f"{root / POOL}: {reason}")
    return pool, with_pool(
        document, raw, [_json(root, f"{run_folder(position)}/{RESULTS}", files) for position in other_runs(pool)]
    )


def _validate(model: type[_Model], value: Any, path: Path) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadInput(f"{path}: {validation_message(error)}") from None


def _check_plan(record: Record, roles: Mapping[str, str]) -> None:
    """Raise BadInput if the record has a plan that its results do not mention, or the other way round, or if the
    analysis does not read what shows how the two relate."""
    section, digest = record.results.preregistration, plan_digest(record)
    if digest is None and "plan" in roles.values():
        raise BadInput(f"{record.path / MANIFEST}: artifacts: a plan must be {PLAN_FILE}; build the record again")
    if digest != (section and f"sha256:{section.plan}"):
        raise BadInput(
            f"{record.path / RESULTS}: preregistration: is not about the plan that the record has ({PLAN_FILE}: "
            f"{digest or 'none'}); run or analyze with --plan, then build again"
        )
    if digest is None or "analysis" not in record.repro.depths:
        return
    inputs = record.repro.depths["analysis"].inputs
    for path, role in roles.items():
        if (path == PLAN_FILE or role in ("study", "responses")) and path not in inputs:
            raise BadInput(f"{record.path / REPRO}: analysis.inputs: {path} is missing; the plan is compared with it")


def _check_consistency(record: Record) -> None:
    """Raise BadInput if claims.json or repro.json name a file that the manifest does not list in the expected role, or
    if a re-run's inputs include what it must compute itself."""
    roles = {artifact.path: artifact.role for artifact in record.manifest.artifacts}

    def need(file: str, what: str, path: str, role: str) -> None:
        if roles.get(path) != role:
            raise BadInput(f"{record.path / file}: {what}: '{path}' is not listed in the manifest as {role}")

    for path, role in ((CLAIMS, "claims"), (REPRO, "repro"), (RESULTS, "results"), (SCORES, "scores")):
        need(MANIFEST, "artifacts", path, role)
    for position in other_runs(record.pool) if record.pool else ():
        folder = run_folder(position)
        for path, role in ((POOL, "results"), (f"{folder}/{RESULTS}", "results"), (f"{folder}/{SCORES}", "scores")):
            need(MANIFEST, "artifacts", path, role)
    _check_plan(record, {path: role for path, role in roles.items() if not (record.pool and is_of_other(path))})
    if "analysis" not in record.repro.depths:
        raise BadInput(
            f"{record.path / REPRO}: depths: analysis is missing; every record can be run again from its scores"
        )
    for depth, rerun in record.repro.depths.items():
        need(REPRO, f"{depth}.script", rerun.script, "repro")
        for path in rerun.inputs:
            if path in HIDDEN_FROM_RERUN or roles.get(path) == "results":
                raise BadInput(
                    f"{record.path / REPRO}: {depth}.inputs: '{path}' states what the re-run must compute itself"
                )
            if path not in roles:
                raise BadInput(f"{record.path / REPRO}: {depth}.inputs: '{path}' is not listed in the manifest")
        if depth == "analysis" and SCORES not in rerun.inputs:
            raise BadInput(
                f"{record.path / REPRO}: analysis.inputs: {SCORES} is missing; an analysis computes its results from it"
            )
    for claim in record.claims.claims:
        if isinstance(claim, SourceClaim):
            need(CLAIMS, claim.id, claim.source, "source")
        elif isinstance(claim, MathematicalClaim):
            for evidence in (claim.lean, claim.smt):
                if evidence is not None:
                    need(CLAIMS, claim.id, evidence.source, "proof")

"""Records for the gate's tests: built once per process from tests/files/scores.csv, then copied and changed."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from shared_folder import shared_folder

from tarazu.data.importers import Given
from tarazu.files import digest, file_sha256, to_json
from tarazu.record.build.assemble import AuthorInput, build_from_run, build_from_scores
from tarazu.record.build.imported import OutsideStudy
from tarazu.record.claims.mathematics.bound import Bound
from tarazu.record.metadata.citation import CitationInfo
from tarazu.record.model import Depth, MathematicalClaim, Rerun, SourceClaim
from tarazu.record.reading import Record
from tarazu.record.verify import gate, rerun, verification
from tarazu.run.analyze import AnalysisOptions, analyze_file

SCORES = Path(__file__).parent.parent / "files" / "scores.csv"
CITATION = CitationInfo(submitted=date(2026, 11, 24))
DOCUMENT = "# A study\n\n## Results\n\nThe helpfulness rate of the dpo arm is 62.5 percent over twelve languages.\n"
CLAIMS = """\
claims:
  - id: hpr-of-dpo
    kind: empirical
    statement: HpR of dpo is 62.5 percent.
    check: {pointer: /arms/dpo/HpR/value, value: 62.5, unit: percent}
  - id: quoted
    kind: source_grounded
    statement: The document gives HpR of dpo.
    source: study.md
    section: Results
    quote: The helpfulness rate of the dpo arm is 62.5 percent
    number: 62.5
"""


@functools.cache
def _kept() -> Path:
    folder = shared_folder("record")
    analyze_file(SCORES, AnalysisOptions(overrides=["analysis.draws=200"]), out=folder / "run")
    return folder


@functools.cache
def _built(make: Callable[[Path], Any]) -> Path:
    out = _kept() / make.__name__
    make(out)
    return out


def _drafted(out: Path) -> None:
    build_from_run(_kept() / "run", out, AuthorInput(citation=CITATION))


def _imported(out: Path) -> None:
    (_kept() / "claims.yaml").write_text(CLAIMS, encoding="utf-8")
    (_kept() / "study.md").write_text(DOCUMENT, encoding="utf-8")
    build_from_scores(
        OutsideStudy(files=[(SCORES, Given())], analysis=AnalysisOptions(overrides=["analysis.draws=200"])),
        out,
        AuthorInput(claims=_kept() / "claims.yaml", sources=[_kept() / "study.md"], citation=CITATION),
    )


def drafted_record(folder: Path) -> Path:
    """A copy of a record with drafted claims."""
    return Path(shutil.copytree(_built(_drafted), folder / "record"))


def imported_record(folder: Path) -> Path:
    """A copy of a record of an outside study, with an empirical claim and a quotation."""
    return Path(shutil.copytree(_built(_imported), folder / "record"))


def share_sealed_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let gates in this process share the sandbox's results if all inputs are equal."""
    for name in ("check_mathematics", "check_quotations"):
        monkeypatch.setattr(gate, name, _SHARED[name])
    for name in ("run_script", "run_package", "replaced_scores"):
        monkeypatch.setattr(rerun, name, _SHARED[name])
    # Fewer draws: those that favour some arms begin with the second.
    monkeypatch.setattr(rerun, "REPLACEMENTS", {"package": 2, "author": 3})
    # The installed packages do not change either, and reading their versions takes longer than everything else.
    monkeypatch.setattr(verification, "versions", _versions)


def _sharing(work: Callable[..., Any], key: Callable[..., str]) -> Callable[..., Any]:
    known: dict[str, Any] = {}

    def shared(*arguments: Any, **options: Any) -> Any:
        found = key(*arguments, **options)
        if found not in known:
            known[found] = work(*arguments, **options)
        return known[found]

    return shared


def _digests(record: Record, paths: Iterable[str]) -> dict[str, str]:
    listed = {artifact.path: artifact.sha256 for artifact in record.manifest.artifacts}
    return {path: listed[path] for path in paths}


def _script_key(record: Record, depth: Depth, plan: Rerun, by: str, replaced: dict[str, bytes]) -> str:
    paths = [*plan.inputs, *([plan.script] if by == "author" else [])]
    tables = {path: hashlib.sha256(data).hexdigest() for path, data in replaced.items()}
    return digest([depth, by, plan.limits.model_dump(), {**_digests(record, paths), **tables}])


def _package_key(record: Record, plan: Rerun, tables: Sequence[dict[str, bytes]]) -> str:
    replaced = [{path: hashlib.sha256(data).hexdigest() for path, data in table.items()} for table in tables]
    return digest([plan.limits.model_dump(), _digests(record, plan.inputs), replaced])


def _replaced_key(record: Record, paths: Sequence[str], replacements: int) -> str:
    settings = record.results
    return digest(
        [replacements, _digests(record, paths), settings.groups.model_dump(), settings.thresholds.model_dump()]
    )


def _mathematics_key(
    claims: Sequence[MathematicalClaim], read: Callable[[str], str], bounds: Mapping[str, Sequence[Bound]]
) -> str:
    parts = [part for claim in claims for part in (claim.lean, claim.smt) if part is not None]
    values = {name: [asdict(one) for one in given] for name, given in bounds.items()}
    return digest([[claim.model_dump(mode="json") for claim in claims], [read(part.source) for part in parts], values])


def _grounding_key(record: Record, claims: Sequence[SourceClaim]) -> str:
    return digest(
        [[claim.model_dump(mode="json") for claim in claims], _digests(record, [one.source for one in claims])]
    )


_versions = functools.cache(verification.versions)
_SHARED = {
    "run_package": _sharing(rerun.run_package, _package_key),
    "run_script": _sharing(rerun.run_script, _script_key),
    "replaced_scores": _sharing(rerun.replaced_scores, _replaced_key),
    "check_mathematics": _sharing(gate.check_mathematics, _mathematics_key),
    "check_quotations": _sharing(gate.check_quotations, _grounding_key),
}


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(to_json(value), encoding="utf-8")


def deep_folders(record: Path) -> None:
    """A path of more than 4,096 bytes, which no system call accepts."""
    here = os.getcwd()
    try:
        os.chdir(record)
        for _ in range(45):
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
    finally:
        os.chdir(here)


def reseal(record: Path) -> None:
    """Recompute all sizes and digests and the work's id in the manifest, as an attacker would to hide a change."""

    def renew(manifest: Any) -> None:
        for artifact in manifest["artifacts"]:
            path = record / artifact["path"]
            artifact["size"], artifact["sha256"] = path.stat().st_size, file_sha256(path)
        renew_id(record, manifest)

    edit(record / "manifest.json", renew)


def renew_id(record: Path, manifest: Any) -> None:
    """Compute the work's id anew, as docs/records.md says. After a correction, the first manifest's id stays."""
    if manifest["corrections"]["count"]:
        return
    roles = ("scores", "known_answers", "data", "results", "responses", "source")
    evidence = {one["path"]: one["sha256"] for one in manifest["artifacts"] if one["role"] in roles}
    try:
        claims = json.loads((record / "claims.json").read_text(encoding="utf-8"))["claims"]
        authored = [claim for claim in claims if claim.get("origin", "author") == "author"]
        canonical = rfc8785.dumps({"evidence": evidence, "claims": authored})
    except (ValueError, LookupError, AttributeError, RecursionError):
        return  # what cannot be read has no id
    name = "sha256:" + hashlib.sha256(canonical).hexdigest()
    made = str(uuid.uuid5(uuid.UUID("b1d5a6c4-2f0e-4c57-9a44-6d9f7c0f7a31"), name))
    manifest["work"] |= {"id": made, "srch_id": made[:8].upper()}

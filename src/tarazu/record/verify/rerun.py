"""Copies of a record's files for the sandbox, the re-run at a depth, and the check of quotations."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from tarazu.record.claims.empirical import BadResults, read_results
from tarazu.record.claims.findings import Finding
from tarazu.record.model import Depth, SourceClaim
from tarazu.record.reading import Record
from tarazu.record.verify._probe import SCORES
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, Outcome, run

_LONGEST_CONTEXT = 2_000
_GROUNDING = Limits(seconds=120, memory_mib=4096, file_mib=64, processes=32)


class Tampered(Exception):
    """A file changed after it was checked. The message names it."""


@dataclass(frozen=True)
class RerunResult:
    """The results of a re-run, or its problem.

    `randomized` are the results for randomized scores. It is None if they were not requested or the script failed.
    """

    results: dict[str, JsonValue] | None
    problem: str
    randomized: dict[str, JsonValue] | None
    seconds: float


@contextmanager
def staged_files(record: Record, paths: Iterable[str]) -> Iterator[Path]:
    """Yield a folder with copies of the record's files. Each copy is checked against the manifest's digest.

    Raises Tampered.
    """
    listed = {artifact.path: artifact.sha256 for artifact in record.manifest.artifacts}
    with tempfile.TemporaryDirectory(prefix="tarazu-record-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        for path in paths:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            if _copy_and_hash(record.path / path, target) != listed[path]:
                raise Tampered(f"{path} changed after its digest was checked")
        yield folder


def rerun(record: Record, depth: Depth, *, probe: bool) -> RerunResult:
    """Run the record's script for a depth in the sandbox. With `probe`, also run it on randomized scores, in parallel.

    Raises NoSandbox, Tampered.
    """
    plan = record.repro.depths[depth]
    with staged_files(record, dict.fromkeys([plan.script, *plan.inputs])) as folder:
        commands = [[PYTHON, f"{FOLDER}/{plan.script}", FOLDER, OUT]]
        if probe and SCORES in plan.inputs:
            commands.append([PYTHON, "-m", "tarazu.record.verify._probe", f"{FOLDER}/{plan.script}", FOLDER, OUT])
        with ThreadPoolExecutor(len(commands)) as pool:
            threads = _recorded_threads(record)
            outcomes = list(
                pool.map(lambda one: run(one, folder=folder, limits=plan.limits, threads=threads), commands)
            )
    results, problem = _parse_outcome(outcomes[0])
    randomized = _parse_outcome(outcomes[1])[0] if len(outcomes) > 1 else None
    return RerunResult(results, problem, randomized, outcomes[0].seconds)


def check_quotations(record: Record, claims: Sequence[SourceClaim]) -> list[Finding]:
    """A finding for each source-grounded claim. Its document is parsed in the sandbox. Raises NoSandbox, Tampered."""
    if not claims:
        return []
    with staged_files(record, dict.fromkeys(claim.source for claim in claims)) as folder:
        text = json.dumps([claim.model_dump(mode="json") for claim in claims])
        (folder / "claims.json").write_text(text, encoding="utf-8")
        command = [PYTHON, "-m", "tarazu.record.verify._grounding", FOLDER, OUT]
        outcome = run(command, folder=folder, limits=_GROUNDING)
    answers, problem = _parse_outcome(outcome)
    return [
        _quotation_finding(claim, (answers or {}).get(claim.id), problem, outcome.seconds / len(claims))
        for claim in claims
    ]


def _quotation_finding(claim: SourceClaim, answer: Any, problem: str, seconds: float) -> Finding:
    by = ("document parser, in the sandbox",)
    if not isinstance(answer, dict) or not isinstance(answer.get("score"), int | float):
        reason = f"the document could not be parsed: {problem or 'the parser gave no answer'}"
        return Finding(claim.id, claim.kind, "not_run", reason, seconds=seconds)
    mismatch, score = answer.get("problem"), float(answer["score"])
    context = _context(answer.get("context"))
    if mismatch is not None:
        reason = str(mismatch)[:300]
        return Finding(claim.id, claim.kind, "failed", reason, observed=score, context=context, by=by, seconds=seconds)
    where = f" under '{claim.section}'" if claim.section else ""
    reason = f"{claim.source} contains the quotation{where} (similarity {score:.1f} %)"
    if answer.get("caveat"):
        reason += f"; whether a reader sees it was not checked: {str(answer['caveat'])[:200]}"
    return Finding(claim.id, claim.kind, "verified", reason, observed=score, context=context, by=by, seconds=seconds)


def _context(value: Any) -> tuple[str, str, str] | None:
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(part, str) for part in value):
        return None
    before, passage, behind = (part[:_LONGEST_CONTEXT] for part in value)
    return before, passage, behind


def _recorded_threads(record: Record) -> int | None:
    """The number of threads that the record's models used. Another number would change the last digits."""
    threads = record.manifest.environment.hardware.get("threads")
    return threads if type(threads) is int and threads > 0 else None


def _parse_outcome(outcome: Outcome) -> tuple[dict[str, JsonValue] | None, str]:
    if outcome.result is None:
        return None, outcome.problem
    try:
        return read_results(outcome.result), ""
    except BadResults as error:
        return None, f"its result was refused: {error}"


def _copy_and_hash(source: Path, target: Path) -> str:
    """Copy a plain file without following a link, and return the SHA-256 of the copied bytes."""
    digest = hashlib.sha256()
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as reading, target.open("xb") as writing:
        while piece := reading.read(1 << 20):
            digest.update(piece)
            writing.write(piece)
    target.chmod(0o644)
    return digest.hexdigest()

"""A record's files as the sandbox gets them, the re-run at a depth, and the look-up of quotations."""

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

from tarazu.record.claims.empirical import BadResults, read_results
from tarazu.record.claims.findings import Finding
from tarazu.record.model import Depth, SourceClaim
from tarazu.record.reading import Record
from tarazu.record.verify._probe import SCORES
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, Outcome, run

_GROUNDING = Limits(seconds=120, memory_mib=4096, file_mib=64, processes=32)


class Tampered(Exception):
    """A file that changed after it was checked; the text names it."""


@dataclass(frozen=True)
class Fresh:
    """What a re-run gave: results, or the problem. `other` are the results over tossed scores, where that was asked and
    the script did not stumble over them."""

    results: dict[str, Any] | None
    problem: str
    other: dict[str, Any] | None
    seconds: float


@contextmanager
def staged(record: Record, paths: Iterable[str]) -> Iterator[Path]:
    """A folder with copies of the record's files, each compared with the manifest's digest as it is copied.

    Raises Tampered.
    """
    listed = {artifact.path: artifact.sha256 for artifact in record.manifest.artifacts}
    with tempfile.TemporaryDirectory(prefix="tarazu-record-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        for path in paths:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            if _copied(record.path / path, target) != listed[path]:
                raise Tampered(f"{path} changed after its digest was checked")
        yield folder


def rerun(record: Record, depth: Depth, *, probe: bool) -> Fresh:
    """Run the record's script for a depth in the sandbox; with `probe`, a second time on tossed scores, beside it.

    Raises NoSandbox, Tampered.
    """
    asked = record.repro.depths[depth]
    with staged(record, dict.fromkeys([asked.script, *asked.inputs])) as folder:
        commands = [[PYTHON, f"{FOLDER}/{asked.script}", FOLDER, OUT]]
        if probe and SCORES in asked.inputs:
            commands.append([PYTHON, "-m", "tarazu.record.verify._probe", f"{FOLDER}/{asked.script}", FOLDER, OUT])
        with ThreadPoolExecutor(len(commands)) as pool:
            threads = _threads(record)
            outcomes = list(
                pool.map(lambda one: run(one, folder=folder, limits=asked.limits, threads=threads), commands)
            )
    results, problem = _read(outcomes[0])
    other = _read(outcomes[1])[0] if len(outcomes) > 1 else None
    return Fresh(results, problem, other, outcomes[0].seconds)


def ground_again(record: Record, claims: Sequence[SourceClaim]) -> list[Finding]:
    """A finding for each source-grounded claim, its document parsed in the sandbox. Raises NoSandbox, Tampered."""
    if not claims:
        return []
    with staged(record, dict.fromkeys(claim.source for claim in claims)) as folder:
        text = json.dumps([claim.model_dump(mode="json") for claim in claims])
        (folder / "claims.json").write_text(text, encoding="utf-8")
        command = [PYTHON, "-m", "tarazu.record.verify._grounding", FOLDER, OUT]
        outcome = run(command, folder=folder, limits=_GROUNDING)
    said, problem = _read(outcome)
    return [_grounded(claim, (said or {}).get(claim.id), problem, outcome.seconds / len(claims)) for claim in claims]


def _grounded(claim: SourceClaim, answer: Any, problem: str, seconds: float) -> Finding:
    by = ("document parser, in the sandbox",)
    if not isinstance(answer, dict) or not isinstance(answer.get("score"), int | float):
        reason = f"the document could not be parsed: {problem or 'the parser gave no answer'}"
        return Finding(claim.id, claim.kind, "not_run", reason, seconds=seconds)
    refused, score = answer.get("refused"), float(answer["score"])
    if refused is not None:
        return Finding(claim.id, claim.kind, "failed", str(refused)[:300], found=score, by=by, seconds=seconds)
    where = f" under '{claim.section}'" if claim.section else ""
    reason = f"{claim.source} has the quotation{where} ({score:.1f} % alike)"
    return Finding(claim.id, claim.kind, "verified", reason, found=score, by=by, seconds=seconds)


def _threads(record: Record) -> int | None:
    """The threads that the record's models computed with, as it says: with another number they learn other digits."""
    threads = record.manifest.environment.hardware.get("threads")
    return threads if type(threads) is int and threads > 0 else None


def _read(outcome: Outcome) -> tuple[dict[str, Any] | None, str]:
    if outcome.result is None:
        return None, outcome.problem
    try:
        return read_results(outcome.result), ""
    except BadResults as error:
        return None, f"its result is refused: {error}"


def _copied(source: Path, target: Path) -> str:
    """Copy a plain file, following no link, and give the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as reading, target.open("xb") as writing:
        while piece := reading.read(1 << 20):
            digest.update(piece)
            writing.write(piece)
    target.chmod(0o644)
    return digest.hexdigest()

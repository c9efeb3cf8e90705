"""Copies of a record's files for the sandbox, the re-runs at a depth, and the check of quotations.

At depth analysis, the record's script runs on the record's scores and on other tables of scores, which
`_replace` draws anew each time. Nothing tells these runs apart from inside: they are started in a random order, with
the same command, environment and paths, on tables that are written in the same way. A script of the author runs beside
the package's own analysis of the same scores. The package's own script, recognised by its digest, is run from the
installed package, so that no file of the record can take the place of one of its modules.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from tarazu.preregistration.reading import PLAN_FILE
from tarazu.record.build.reruns import ANALYSIS_INPUTS, script_file, shipped_digests
from tarazu.record.claims.empirical import BadResults, read_results
from tarazu.record.claims.findings import Finding, ScriptBy
from tarazu.record.model import Depth, Rerun, SourceClaim
from tarazu.record.reading import Record
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, RESULT_MIB, Outcome, run

REPLACEMENTS: Final[dict[ScriptBy, int]] = {"package": 3, "author": 6}
"""How many tables of other scores a script runs on. Each number that an author's script gives must change once, and a
rate of few responses stays the same by chance in some draws."""
AT_ONCE: Final = 2
"""Most runs at the same time."""
_LONGEST_CONTEXT = 2_000
_GROUNDING = Limits(seconds=120, memory_mib=4096, file_mib=64, processes=32)
_REPLACING = Limits(seconds=300, memory_mib=4096, file_mib=RESULT_MIB, processes=32)


class Tampered(Exception):
    """A file changed after it was checked. The message names it."""


@dataclass(frozen=True)
class RerunResult:
    """The results of a re-run, or its problem."""

    results: dict[str, JsonValue] | None
    problem: str
    seconds: float


@dataclass(frozen=True)
class AnalysisRuns:
    """The re-runs at depth analysis.

    `script` are the results of the record's script for the record's scores, and `replaced` those for other scores.
    `package` are those of the package's own analysis of the record's scores; where `by` is "package", they are
    `script`.
    """

    by: ScriptBy
    script: RerunResult
    replaced: tuple[RerunResult, ...]
    package: RerunResult

    @property
    def seconds(self) -> float:
        return self.script.seconds


@contextmanager
def staged_files(record: Record, paths: Iterable[str], replaced: Mapping[str, bytes] | None = None) -> Iterator[Path]:
    """Yield a folder with copies of the record's files. Each copy is checked against the manifest's digest.

    Those in `replaced` have the given bytes instead. Raises Tampered.
    """
    with tempfile.TemporaryDirectory(prefix="tarazu-record-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        _stage(record, folder, paths, replaced or {})
        yield folder


def _stage(record: Record, folder: Path, paths: Iterable[str], replaced: Mapping[str, bytes]) -> None:
    listed = {artifact.path: artifact.sha256 for artifact in record.manifest.artifacts}
    for path in paths:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        if path in replaced:
            target.write_bytes(replaced[path])
            target.chmod(0o644)
        elif _copy_and_hash(record.path / path, target) != listed[path]:
            raise Tampered(f"{path} changed after its digest was checked")


def script_by(record: Record, depth: Depth) -> ScriptBy:
    """Whose script the record has for a depth: the package's, by its digest, or the author's."""
    digests = {artifact.path: artifact.sha256 for artifact in record.manifest.artifacts}
    return "package" if digests[record.repro.depths[depth].script] in shipped_digests(depth) else "author"


def rerun(record: Record, depth: Depth) -> RerunResult:
    """Run the record's script for a depth once, in the sandbox, on the record's own files. Raises NoSandbox,
    Tampered."""
    return run_script(record, depth, record.repro.depths[depth], script_by(record, depth), {})


def rerun_analysis(record: Record, *, at_once: int) -> AnalysisRuns:
    """Run the record's analysis on its scores and on others, and the package's analysis beside an author's script.

    `at_once` runs go on at the same time. The analysis has the scores among its inputs. Raises NoSandbox, Tampered.
    """
    plan, by = record.repro.depths["analysis"], script_by(record, "analysis")
    tables = replaced_scores(record, _scores_files(record, plan.inputs), REPLACEMENTS[by])
    if isinstance(tables, str):
        problem = RerunResult(None, f"the scores cannot be replaced: {tables}", 0.0)
        return AnalysisRuns(by, problem, (), problem)
    if by == "package":
        return _by_package(record, plan, tables, at_once)
    listed = {artifact.path: artifact for artifact in record.manifest.artifacts}
    inputs = [path for path in ANALYSIS_INPUTS if path in listed]
    roles = ("scores", "responses") if PLAN_FILE in listed else ("scores",)
    inputs += [path for path, artifact in listed.items() if artifact.role in roles and path not in inputs]
    own = Rerun(script=plan.script, inputs=tuple(inputs))
    order = list(range(len(tables)))
    random.SystemRandom().shuffle(order)
    with ThreadPoolExecutor(at_once) as pool:
        runs = pool.map(lambda at: run_script(record, "analysis", plan, by, tables[at]), order)
        results = dict(zip(order, runs, strict=True))
    (package,) = run_package(record, own, tables[:1])
    return AnalysisRuns(by, results[0], tuple(results[at] for at in range(1, len(tables))), package)


def _by_package(record: Record, plan: Rerun, tables: Sequence[Mapping[str, bytes]], at_once: int) -> AnalysisRuns:
    """The package's script is trusted not to tell the tables apart, so one process may see several of them."""
    parts = [tables[start::at_once] for start in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        runs = list(pool.map(lambda part: run_package(record, plan, part), filter(None, parts)))
    script, *others = runs[0]
    replaced = tuple(result for part in (others, *runs[1:]) for result in part)
    return AnalysisRuns("package", script, replaced, script)


def run_package(record: Record, plan: Rerun, tables: Sequence[Mapping[str, bytes]]) -> list[RerunResult]:
    """Run the package's analysis in the sandbox on each of the tables. Raises NoSandbox, Tampered."""
    limits = plan.limits.model_copy(update={"seconds": min(86_400, plan.limits.seconds * len(tables))})
    with tempfile.TemporaryDirectory(prefix="tarazu-record-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        for number, table in enumerate(tables):
            (folder / str(number)).mkdir(mode=0o755)
            _stage(record, folder / str(number), dict.fromkeys(plan.inputs), table)
            _lift(folder / str(number))
        # -P: the working folder holds no module of the package.
        command = [PYTHON, "-P", "-m", "tarazu.record.verify._analyses", FOLDER, OUT]
        outcome = run(command, folder=folder, limits=limits, threads=_recorded_threads(record))
    answer, problem = _parse_outcome(outcome)
    runs = (answer or {}).get("runs")
    if not isinstance(runs, list) or len(runs) != len(tables) or not all(isinstance(one, dict) for one in runs):
        return [RerunResult(None, problem or "the analysis gave no results", outcome.seconds)] * len(tables)
    return [RerunResult(one, "", outcome.seconds / len(tables)) for one in runs if isinstance(one, dict)]


def _lift(folder: Path) -> None:
    """Move the files of another pooled run, which lie in runs/N/, to where the analysis reads them."""
    nested = list(folder.glob("runs/*"))
    if [path.name for path in folder.iterdir()] == ["runs"] and len(nested) == 1:
        for path in list(nested[0].iterdir()):
            path.rename(folder / path.name)


def run_script(record: Record, depth: Depth, plan: Rerun, by: ScriptBy, replaced: Mapping[str, bytes]) -> RerunResult:
    """Run a script once in the sandbox, with `replaced` files instead of the record's. Raises NoSandbox, Tampered."""
    paths = dict.fromkeys(plan.inputs if by == "package" else [plan.script, *plan.inputs])
    # -P: a module beside the script does not take the place of an installed one.
    command = [PYTHON, "-P", str(script_file(depth))] if by == "package" else [PYTHON, f"{FOLDER}/{plan.script}"]
    with staged_files(record, paths, replaced) as folder:
        threads = _recorded_threads(record)
        outcome = run([*command, FOLDER, OUT], folder=folder, limits=plan.limits, threads=threads)
    results, problem = _parse_outcome(outcome)
    return RerunResult(results, problem, outcome.seconds)


def replaced_scores(record: Record, paths: Sequence[str], replacements: int) -> list[dict[str, bytes]] | str:
    """The tables of scores at `paths`, written anew: first with the record's own scores, then with others. Or why not.

    Raises NoSandbox, Tampered.
    """
    study = record.results
    settings = {
        "paths": list(paths),
        "high": list(study.groups.high),
        "low": list(study.groups.low),
        "thresholds": study.thresholds.model_dump(),
    }
    count, parts = replacements + 1, list[bytes]()
    # One file comes back from the sandbox, and its size is limited. Large tables come back one set at a time.
    small = count * sum(record.files[path] for path in paths) < RESULT_MIB << 19
    with staged_files(record, paths) as folder:
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        command = [PYTHON, "-m", "tarazu.record.verify._replace", FOLDER, OUT]
        for number in range(1 if small else count):
            sets = [str(number), str(count if small else 1)]
            outcome = run([*command, *sets], folder=folder, limits=_REPLACING, result="tables")
            if outcome.result is None:
                return outcome.problem
            parts += _unpacked(outcome.result)
    if len(parts) != len(paths) * count:
        return "their tables came back incomplete"
    starts = range(0, len(parts), len(paths))
    return [dict(zip(paths, parts[start : start + len(paths)], strict=True)) for start in starts]


def _unpacked(data: bytes) -> Iterator[bytes]:
    while data:
        size = int.from_bytes(data[:8], "big")
        yield data[8 : 8 + size]
        data = data[8 + size :]


def _scores_files(record: Record, inputs: Sequence[str]) -> list[str]:
    """Tables of scores among `inputs`."""
    roles = {artifact.path: artifact.role for artifact in record.manifest.artifacts}
    return [path for path in dict.fromkeys(inputs) if roles[path] == "scores" and path.endswith(".parquet")]


@dataclass(frozen=True)
class Quotations:
    """Findings on source-grounded claims, and the pairs of their documents that hold the same text (None: unknown)."""

    findings: tuple[Finding, ...]
    same_text: tuple[tuple[str, str], ...] | None


def check_quotations(record: Record, claims: Sequence[SourceClaim]) -> Quotations:
    """A finding for each source-grounded claim. Its document is parsed in the sandbox. Raises NoSandbox, Tampered."""
    if not claims:
        return Quotations((), ())
    with staged_files(record, dict.fromkeys(claim.source for claim in claims)) as folder:
        text = json.dumps([claim.model_dump(mode="json") for claim in claims])
        (folder / "claims.json").write_text(text, encoding="utf-8")
        command = [PYTHON, "-m", "tarazu.record.verify._grounding", FOLDER, OUT]
        outcome = run(command, folder=folder, limits=_GROUNDING)
    answers, problem = _parse_outcome(outcome)
    by_claim, same = (answers or {}).get("claims"), (answers or {}).get("same_text")
    known = by_claim if isinstance(by_claim, dict) else {}
    findings = [
        _quotation_finding(claim, known.get(claim.id), problem, outcome.seconds / len(claims)) for claim in claims
    ]
    pairs = tuple((str(one), str(other)) for one, other in same) if isinstance(same, list) else None  # type: ignore[misc, str-unpack]
    return Quotations(tuple(findings), pairs)


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
    reason = f"the document {claim.source} contains the quotation{where} (similarity {score:.1f} %)"
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

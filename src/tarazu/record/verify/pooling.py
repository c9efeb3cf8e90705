"""The gate's own pooling: every pooled run is analysed again from its scores, and the answers are pooled again."""

from __future__ import annotations

from dataclasses import replace

from pydantic import JsonValue

from tarazu.errors import BadInput
from tarazu.pool.model import Pool
from tarazu.pool.recorded import other_runs, pooled_again, run_folder
from tarazu.record.model import Rerun
from tarazu.record.reading import Record
from tarazu.record.verify import rerun
from tarazu.record.verify.rerun import AnalysisRuns, RerunResult

_INPUTS = ("study", "scores", "known_answers", "data", "plan", "responses")
"""Roles of the files that the package's analysis reads."""


def with_pooling(record: Record, analysis: AnalysisRuns) -> AnalysisRuns:
    """The re-runs of the record's analysis, each with the pool that follows from it. Raises NoSandbox, Tampered.

    The other runs are analysed once, by the package. On replaced scores of the first run the pool changes too.
    """
    pool = record.pool
    if pool is None:
        return analysis
    others: list[dict[str, JsonValue]] = []
    for position, run in zip(other_runs(pool), pool.runs[1:], strict=True):
        result = _analysed(record, position)
        if result.results is None:
            problem = replace(result, problem=f"{run.name[:100]}: {result.problem}")
            return replace(analysis, script=problem, package=problem)
        others.append(result.results)
    script = _pooled(pool, analysis.script, others)
    package = script if analysis.package is analysis.script else _pooled(pool, analysis.package, others)
    replaced = tuple(_pooled(pool, one, others, needed=False) for one in analysis.replaced)
    return replace(analysis, script=script, package=package, replaced=replaced)


def deeper_with_pooling(record: Record, deeper: RerunResult, analysis: AnalysisRuns) -> RerunResult:
    """A re-run from a deeper depth, pooled with the other runs' analyses."""
    given = (analysis.script.results or {}).get("pool_runs")
    if record.pool is None or not isinstance(given, list):
        return deeper
    return _pooled(record.pool, deeper, [one for one in given if isinstance(one, dict)])


def _analysed(record: Record, position: int) -> RerunResult:
    plan = record.repro.depths["analysis"]
    folder = f"{run_folder(position)}/"
    inputs = [
        artifact.path
        for artifact in record.manifest.artifacts
        if artifact.path.startswith(folder) and artifact.role in _INPUTS
    ]
    own = Rerun(script=plan.script, inputs=tuple(inputs), limits=plan.limits)
    (result,) = rerun.run_package(record, own, [{}])
    return result


def _pooled(pool: Pool, result: RerunResult, others: list[dict[str, JsonValue]], *, needed: bool = True) -> RerunResult:
    if result.results is None:
        return result
    try:
        return replace(result, results=pooled_again(pool, result.results, others))
    except BadInput as error:
        # Replaced scores may have no interval.
        return replace(result, results=None, problem=f"the runs cannot be pooled: {error}") if needed else result

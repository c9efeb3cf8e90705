"""The judgement on one empirical claim, from the results of all re-runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import JsonValue

from tarazu.record.claims.dependence import depends_on_scores, misses_widely
from tarazu.record.claims.empirical import check, first_difference, perturb
from tarazu.record.claims.findings import SCRIPTS, Finding, ScriptBy
from tarazu.record.manifest import Environment
from tarazu.record.model import Depth, EmpiricalClaim
from tarazu.record.verify.rerun import AnalysisRuns, RerunResult
from tarazu.record.verify.verification import environment_differences


@dataclass(frozen=True)
class Runs:
    """The analysis of a record's scores and, if a deeper depth was requested, the re-run from there."""

    environment: Environment
    analysis: AnalysisRuns
    depth: Depth
    deeper: RerunResult | None = None
    deeper_by: ScriptBy = "author"

    def outcome(self) -> str:
        """What the re-runs gave, in one line."""
        whose = SCRIPTS[self.analysis.by]
        if self.analysis.script.results is None:
            return f"the re-run gave no results: {self.analysis.script.problem}"
        text = f"results.json computed again by the {whose} in {self.analysis.seconds:.1f} s"
        text += f", and from {len(self.analysis.replaced)} tables of other scores"
        if self.analysis.by == "author":
            text += "; beside it, by the package's analysis"
        if self.deeper is not None and self.deeper.results is None:
            return f"the re-run from depth {self.depth} gave no results: {self.deeper.problem}"
        if self.deeper is not None:
            by = "package's script" if self.deeper_by == "package" else "author's script"
            text += f"; from depth {self.depth} by the {by} in {self.deeper.seconds:.1f} s"
        return text

    def analyses(self) -> Iterator[tuple[str, dict[str, JsonValue]]]:
        """The results of the record's analysis and of the package's, where these are two."""
        if self.analysis.script.results is not None:
            yield ("script's results", self.analysis.script.results)
        if self.analysis.by == "author" and self.analysis.package.results is not None:
            yield ("package's analysis of the same scores", self.analysis.package.results)


def compare_claim(claim: EmpiricalClaim, runs: Runs) -> Finding:
    """Whether the claim holds for the results of every script. At a deeper depth, that depth's finding is reported."""
    start = time.monotonic()
    finding = _holds(claim, runs)
    return replace(finding, seconds=time.monotonic() - start)


def _holds(claim: EmpiricalClaim, runs: Runs) -> Finding:
    analysis = runs.analysis
    by = tuple(filter(None, (f"{SCRIPTS[analysis.by]}, in the sandbox",)))
    if analysis.script.results is None:
        reason = f"the re-run gave no results: {analysis.script.problem}"
        return Finding(claim.id, claim.kind, "not_run", reason, by=by)
    finding = replace(check(claim, analysis.script.results, "analysis"), by=by)
    if finding.verdict == "verified" and analysis.by == "author":
        if analysis.package.results is None:
            reason = f"only the author's script computes it; the package's analysis fails: {analysis.package.problem}"
            return replace(finding, verdict="not_run", reason=reason)
        own = check(claim, analysis.package.results, "analysis")
        finding = replace(finding, by=(*by, "package's analysis, in the sandbox"))
        if own.verdict != "verified":
            return replace(own, reason=f"the package's analysis of the same scores: {own.reason}", by=finding.by)
    if finding.verdict != "verified" or runs.deeper is None:
        return finding
    return _holds_deeper(claim, runs, runs.deeper, finding)


def _holds_deeper(claim: EmpiricalClaim, runs: Runs, deeper: RerunResult, analysis: Finding) -> Finding:
    by = (*analysis.by, f"{'package' if runs.deeper_by == 'package' else 'author'}'s script from {runs.depth}")
    if deeper.results is None:
        reason = f"the re-run from depth {runs.depth} gave no results: {deeper.problem}"
        return replace(analysis, verdict="not_run", reason=reason, by=by)
    finding = replace(check(claim, deeper.results, runs.depth), by=by)
    if finding.verdict != "failed" or misses_widely(claim, deeper.results, runs.depth):
        return finding
    if changed := environment_differences(runs.environment, hardware=True):
        # Another machine or version may compute slightly other numbers, which neither confirms nor refutes.
        reason = f"{finding.reason}; in another environment ({'; '.join(changed)}), so it decides nothing"
        return replace(finding, verdict="not_run", reason=reason)
    return finding


def perturb_claim(claim: EmpiricalClaim, finding: Finding, runs: Runs) -> Finding:
    """The finding on a claim that holds: vacuous or context if it does not say something that follows from the
    scores."""
    analysis = runs.analysis
    fresh = analysis.script.results
    if finding.verdict != "verified" or fresh is None:
        return finding
    start = time.monotonic()
    judged = _perturbed(claim, finding, runs, fresh)
    return replace(judged, seconds=finding.seconds + time.monotonic() - start)


def _perturbed(claim: EmpiricalClaim, finding: Finding, runs: Runs, fresh: dict[str, JsonValue]) -> Finding:
    replaced = []
    for result in runs.analysis.replaced:
        if result.results is None:
            reason = f"the script does not run on other scores: {result.problem}"
            return replace(finding, verdict="vacuous", reason=reason)
        replaced.append(result.results)
    if all(first_difference(fresh, one) is None for one in replaced):
        return replace(finding, verdict="vacuous", reason="the script gives the same results for other scores")
    judged = perturb(claim, finding, fresh, "analysis")
    if judged.verdict == "verified" and runs.deeper is not None and runs.deeper.results is not None:
        judged = perturb(claim, judged, runs.deeper.results, runs.depth)
    if judged.verdict != "verified":
        return judged
    return depends_on_scores(claim, judged, fresh, replaced, runs.analysis.by)

"""benchmark-evidence-v1: what several records report for the same model, benchmark and metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tarazu.assessment.facts import Facts, arm_rates
from tarazu.record.contracts import BenchmarkEntry, BenchmarkEvidence, GateStatus
from tarazu.site.summary import Summary, clip, languages_of

Severity = Literal["SINGLE_SOURCE", "NONE", "LOW", "MEDIUM", "HIGH"]
_ROUNDING: Final = 1e-9
_FAR: Final = 10.0
"""Difference, in points, from which a disagreement is HIGH if the intervals do not explain it."""
_LONGEST: Final = 300


@dataclass(frozen=True)
class ReportedValue:
    """One value that a record reports: model, benchmark, metric and value."""

    model: str
    benchmark: str
    metric: str
    unit: str | None
    entry: BenchmarkEntry


def reported_values(facts: Facts, summary: Summary) -> list[ReportedValue]:
    """Every arm's rates over languages.

    A model is identified by the arm's name and by the start model's name with its hash or revision. If an outside study
    names no model, the study's name is used. A benchmark is identified by sources, languages and thresholds.
    """
    values = []
    for arm, metric, entry in arm_rates(facts.results):
        if entry.value is None or facts.unmade:
            continue
        values.append(
            ReportedValue(
                model=_model(facts, arm, summary),
                benchmark=_benchmark(facts),
                metric=metric,
                unit="percent",
                entry=BenchmarkEntry(
                    record=summary.srch_id,
                    title=summary.title,
                    value=entry.value,
                    ci_low=entry.ci_low,
                    ci_high=entry.ci_high,
                    n=entry.n,
                    gate_status=summary.gate_status,
                ),
            )
        )
    return values


def benchmark_evidence(reported: Iterable[ReportedValue]) -> list[BenchmarkEvidence]:
    """The evidence for each model, benchmark and metric. Those with the most sources come first."""
    groups: dict[tuple[str, str, str, str | None], list[BenchmarkEntry]] = {}
    for one in reported:
        groups.setdefault((one.model, one.benchmark, one.metric, one.unit), []).append(one.entry)
    evidence = [_evidence(key, entries) for key, entries in groups.items()]
    return sorted(evidence, key=lambda one: (-one.source_coverage, one.model, one.benchmark, one.metric))


def _evidence(key: tuple[str, str, str, str | None], entries: list[BenchmarkEntry]) -> BenchmarkEvidence:
    values = [entry.value for entry in entries]
    low, high = min(values), max(values)
    severity, basis = severity_of(entries)
    profile: Counter[GateStatus] = Counter(entry.gate_status for entry in entries)
    model, benchmark, metric, unit = key
    return BenchmarkEvidence(
        model=model,
        benchmark=benchmark,
        metric=metric,
        unit=unit,
        reported_range=(low, high),
        spread=high - low,
        severity=severity,
        severity_basis=basis,
        source_coverage=len({entry.record for entry in entries}),
        source_profile=dict(sorted(profile.items())),
        entries=tuple(sorted(entries, key=lambda entry: (entry.value, entry.record))),
    )


def severity_of(entries: Sequence[BenchmarkEntry]) -> tuple[Severity, str]:
    """How much the values disagree, and the reason.

    NONE: they are equal. LOW: one number lies in every interval. MEDIUM: no number does. HIGH: no number does, and they
    differ by at least ten points. An entry without an interval counts as its value alone.
    """
    if len({entry.record for entry in entries}) < 2:
        return "SINGLE_SOURCE", "One record reports it."
    values = [entry.value for entry in entries]
    spread = max(values) - min(values)
    if spread <= _ROUNDING:
        return "NONE", "All records report the same value."
    lowest_top = min(entry.value if entry.ci_high is None else entry.ci_high for entry in entries)
    highest_bottom = max(entry.value if entry.ci_low is None else entry.ci_low for entry in entries)
    if highest_bottom <= lowest_top:
        return "LOW", f"The values differ, but {highest_bottom:.1f} to {lowest_top:.1f} lies in every interval."
    if spread < _FAR:
        return "MEDIUM", "No value lies in every record's interval."
    return "HIGH", f"No value lies in every record's interval, and the values differ by {spread:.1f}."


def _model(facts: Facts, arm: str, summary: Summary) -> str:
    models = facts.record.manifest.environment.models
    starts = [model for model in models if model.role == "start"]
    if not starts:
        return clip(f"{summary.study}: {arm} (model not named)", _LONGEST)
    named = []
    for model in starts:
        mark = model.files[0].sha256[:8] if model.files else model.revision
        named.append(f"{model.name} ({mark})" if mark else model.name)
    return clip(f"{arm} from {', '.join(named)}", _LONGEST)


def _benchmark(facts: Facts) -> str:
    prompts = (facts.results.data or {}).get("prompts")
    rows = [row for row in prompts if isinstance(row, dict)] if isinstance(prompts, list) else []
    sources = sorted({str(row.get("source") or "?") for row in rows}) or ["prompts not named"]
    codes = languages_of(facts)
    cuts = facts.results.thresholds
    description = f"{', '.join(sources)}; {len(codes)} languages ({' '.join(codes)}); harmless ≥ {cuts.harmless:g}, "
    return clip(description + f"helpful > {cuts.helpful:g}", _LONGEST)

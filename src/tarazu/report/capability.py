"""Charts of what alignment cost: the change over base by language, for each task."""

from __future__ import annotations

from collections.abc import Sequence

from tarazu.report.charts import Column, dot_plot
from tarazu.report.figure import Chart, labels
from tarazu.report.languages import ReportLanguage
from tarazu.results.model import GROUPS, EstimateEntry, Results


def capability_charts(results: Results, arms: Sequence[str]) -> list[Chart]:
    """One per task and arm, in points with intervals, on a common axis; `arms` are drawn in order, without base."""
    every = results.capability.rows if results.capability else ()
    rows = [row for row in every if row.compared and row.change and row.group]
    changes = [row.change for row in rows if row.change]
    ends = [end for change in changes for end in (change.value, change.ci_low, change.ci_high)]
    known = [0.0, *(end for end in ends if end is not None)]
    pad = (max(known) - min(known)) * 0.04 or 1.0
    limits = (min(known) - pad, max(known) + pad)
    names = labels(results.arms)
    made = []
    for task in sorted({row.task for row in rows}):
        for arm in arms:
            own = [row for row in rows if row.task == task and row.arm == arm]
            languages = [
                ReportLanguage(code=row.language, name=results.name(row.language), group=group)
                for group in GROUPS
                for row in own
                if row.group == group
            ]
            values = {row.language: row.change for row in own}
            label = f"{own[0].metric}: change over base (points)" if own else ""
            made.append(
                dot_plot(
                    f"capability-{task}-{arm}",
                    f"{task}: {names[arm]}",
                    [Column(name="change", label=label, entries=values)],
                    languages,
                    limits=limits,
                )
            )
    return [chart for chart in made if chart is not None]


def differences(results: Results) -> dict[str, tuple[str, EstimateEntry]]:
    """D of each arm, with its JSON pointer into results.json."""
    tradeoff = results.tradeoff
    by_arm = {tradeoff.primary.arm: ("/tradeoff/primary", tradeoff.primary)}
    for place, row in enumerate(tradeoff.secondary):
        if row.quantity == tradeoff.primary.quantity:
            by_arm.setdefault(row.arm, (f"/tradeoff/secondary/{place}", row))
    return by_arm

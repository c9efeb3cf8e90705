"""What alignment cost: each arm's measures on the harness's tasks, and their changes over base, paired by item."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tarazu.analysis.comparisons import mcnemar
from tarazu.analysis.entries import difference_entry
from tarazu.results.model import Capability, TaskChange, TaskGroup, TaskGroups, TaskRow
from tarazu.stats.contrast import Effects, group_difference, holm, infer
from tarazu.stats.rates import change, of_prompts
from tarazu.study.capability import BENCHMARKS
from tarazu.study.schema import Groups

BINARY = {"acc", "acc_norm", "acc_bytes", "exact_match"}
"""Measures that are right or wrong for each item."""


@dataclass(frozen=True, kw_only=True)
class CapabilityScores:
    """The input of the section. `items`: arm, seed, task, language, name (the harness's), item, metrics (percent by
    measure). `metrics`: the measure that each task (by the harness's name) is compared by."""

    items: Sequence[Mapping[str, Any]]
    metrics: Mapping[str, str]
    shots: int
    limit: int | None
    harness: str


Scores = dict[str, dict[str, np.ndarray]]
"""By the harness's task and measure: an item's mean over training seeds, in percent, (items,), in the items' order."""


def capability_section(scores: CapabilityScores, *, base: str, groups: Groups) -> Capability:
    """`capability` of results.json.

    Rates of right and wrong have Wilson's interval, with seeds that answer one item as a cluster, and their change over
    base Newcombe's paired one and McNemar's exact test (with several seeds the sign test on the items' shares). Other
    measures (F1) have Student's t on the items and on the items' differences. Holm goes over every arm, task and
    language, by the measure that arms are compared by.
    """
    by_arm, seeds, tasks = _tables(scores.items)
    arms = sorted(by_arm)
    rows = []
    for name, (task, language) in tasks.items():
        for metric in by_arm[base][name]:
            for arm in arms:
                values, before = by_arm[arm][name][metric], by_arm[base][name][metric]
                row = TaskRow(
                    arm=arm,
                    task=task,
                    language=language,
                    group=groups.of(language),
                    harness_task=name,
                    metric=metric,
                    compared=metric == scores.metrics[name],
                    **_level(values, seeds[arm], metric in BINARY),
                    change=None if arm == base else _change(values, before, metric in BINARY),
                )
                rows.append(row)
    return Capability(
        harness=scores.harness,
        shots=scores.shots,
        limit=scores.limit,
        rows=_adjusted(rows),
        groups=_groups(by_arm, tasks, scores.metrics, base, groups),
    )


def _adjusted(rows: Sequence[TaskRow]) -> tuple[TaskRow, ...]:
    """The rows with Holm's p, over those by which arms are compared."""
    family = {place: row.change for place, row in enumerate(rows) if row.compared and row.change}
    adjusted = dict(zip(family, holm([change.p for change in family.values()]), strict=True))
    return tuple(
        row.model_copy(update={"change": family[place].model_copy(update={"p_holm": adjusted[place]})})
        if place in family
        else row
        for place, row in enumerate(rows)
    )


def _tables(
    items: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Scores], dict[str, int], dict[str, tuple[str, str]]]:
    """Scores by arm; how many seeds each arm has; task and language by the harness's name, in the order of tables."""
    values: dict[tuple[str, str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    seeds: dict[str, set[int]] = defaultdict(set)
    tasks = {}
    for item in sorted(items, key=lambda one: (one["arm"], one["seed"], one["task"], one["language"], one["name"])):
        seeds[item["arm"]].add(item["seed"])
        tasks[item["name"]] = (item["task"], item["language"])
        for metric, value in item["metrics"].items():
            values[item["arm"], item["name"], metric][item["item"]].append(value)
    scores: dict[str, Scores] = defaultdict(lambda: defaultdict(dict))
    for (arm, name, metric), own in values.items():
        scores[arm][name][metric] = np.array([np.mean(own[item]) for item in sorted(own)])
    ordered = sorted(tasks, key=lambda name: (*tasks[name], name))
    return dict(scores), {arm: len(own) for arm, own in seeds.items()}, {name: tasks[name] for name in ordered}


def _level(values: np.ndarray, seeds: int, binary: bool) -> dict[str, Any]:
    """The mean over items with its interval."""
    n = len(values)
    if binary:
        rate = of_prompts(values / 100 * seeds, np.full(n, seeds))
        return {"value": rate.value, "ci_low": rate.ci_low, "ci_high": rate.ci_high, "n": n, "interval": "wilson"}
    low, high, _ = _student(values)
    bounds = {"ci_low": None if low is None else max(0.0, low), "ci_high": None if high is None else min(100.0, high)}
    row = {"value": float(values.mean()), **bounds, "n": n, "interval": "t"}
    return row if low is not None else {**row, "reason": "every item has the same value, so the error is not known"}


def _change(after: np.ndarray, before: np.ndarray, binary: bool) -> TaskChange:
    """The change over base in points, item by item, and its p; without an interval it says why."""
    gained, lost = int(np.sum(after > before)), int(np.sum(after < before))
    if binary:
        rate = change(after / 100, before / 100)
        bounds = {"value": rate.value, "ci_low": rate.ci_low, "ci_high": rate.ci_high}
        return TaskChange(**bounds, gained=gained, lost=lost, p=mcnemar(gained, lost))
    low, high, p = _student(after - before)
    return TaskChange(
        value=float(np.mean(after - before)),
        ci_low=low,
        ci_high=high,
        gained=gained,
        lost=lost,
        p=p,
        reason="the change is the same in every item, so the error is not known" if low is None else None,
    )


def _student(values: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """Student's 95 % interval of a mean and p that it is 0; None where no value differs from another."""
    if len(values) < 2 or np.ptp(values) < 1e-9:
        return None, None, None
    inference = infer(float(values.mean()), float(values.std(ddof=1)) / np.sqrt(len(values)), len(values) - 1)
    return inference.ci_low, inference.ci_high, inference.p


def _groups(
    by_arm: Mapping[str, Scores],
    tasks: Mapping[str, tuple[str, str]],
    metrics: Mapping[str, str],
    base: str,
    groups: Groups,
) -> tuple[TaskGroups, ...]:
    """Changes over base by arm and task: means over the languages of each group, and low minus high.

    The difference is that of `group_difference`. Items that are translations of each other add a component of
    variance, as prompts do; items of other tasks belong to one language.
    """
    rows = []
    for arm in sorted(set(by_arm) - {base}):
        for task in sorted({task for task, _ in tasks.values()}):
            moved = {
                language: by_arm[arm][name][metrics[name]] - by_arm[base][name][metrics[name]]
                for name, (of, language) in tasks.items()
                if of == task and groups.of(language) is not None
            }
            low = np.array([groups.of(code) == "low" for code in moved], dtype=bool)
            between = group_difference([Effects(cells=_cells(task, moved), sign=1.0)], low)
            means = np.array([np.mean(values) for values in moved.values()])
            rows.append(
                TaskGroups(
                    arm=arm,
                    task=task,
                    high=_task_group(means[~low]),
                    low=_task_group(means[low]),
                    difference=difference_entry(between, low),
                )
            )
    return tuple(rows)


def _task_group(means: np.ndarray) -> TaskGroup:
    """The mean over the languages of a group, whose mean changes are `means` (languages,)."""
    below, above, _ = _student(means)
    value = float(means.mean()) if len(means) else None
    return TaskGroup(value=value, ci_low=below, ci_high=above, n_languages=len(means))


def _cells(task: str, moved: Mapping[str, np.ndarray]) -> np.ndarray:
    """Changes as (languages, items), NaN where a language lacks an item, or as (languages, 1) means."""
    if task not in BENCHMARKS or not BENCHMARKS[task].parallel:
        return np.array([[values.mean()] for values in moved.values()]).reshape(len(moved), 1)
    width = max((len(values) for values in moved.values()), default=1)
    cells = np.full((len(moved), width), np.nan)
    for row, values in zip(cells, moved.values(), strict=True):
        row[: len(values)] = values
    return cells

"""Several runs of one study, with different models: the pooled D, and whether the finding is one model's alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from tarazu.errors import BadInput
from tarazu.pool.model import POOL_SCHEMA, ExcludedRun, Heterogeneity, Pool, PooledEstimate, PooledRun
from tarazu.pool.random_effects import Pooled, pool
from tarazu.results.fitting import Remark, fitted
from tarazu.results.model import EstimateEntry, Results, Verdict
from tarazu.results.quantity import QUANTITIES, Quantity
from tarazu.results.words import p_words, short_names
from tarazu.stats.contrast import ALPHA, Estimate, verdict

ENOUGH = 4
"""Runs needed to say whether the verdict rests on one of them: the interval of two others has one degree of freedom."""


def pool_runs(runs: Mapping[str, Results], margin: float | None = None) -> Pool:
    """Pool the primary estimates of runs, by name. `margin` is the equivalence margin in points where theirs differ.

    A run without an interval is excluded, with the reason. Raises BadInput where the runs do not estimate the same
    quantity, have different margins and none is given, are one run twice, or fewer than two can be pooled.
    """
    primaries = {name: results.primary for name, results in runs.items()}
    quantity = _the_same("quantity", {name: f"{entry.quantity} in {entry.unit}" for name, entry in primaries.items()})
    _refuse_copies(runs)
    if margin is None:
        margin = float(_the_same("margin", {name: str(entry.margin) for name, entry in primaries.items()}))
    excluded = tuple(
        ExcludedRun(name=name, reason=entry.reason or "it has no interval")
        for name, entry in primaries.items()
        if entry.ci_low is None
    )
    used = {name: entry for name, entry in primaries.items() if entry.ci_low is not None}
    if len(used) < 2:
        why = "; ".join(f"{one.name}: {one.reason}" for one in excluded) or "only one was given"
        raise BadInput(f"pooling needs two runs with an interval of D, and there is {len(used)} ({why})")
    names, estimates, errors = list(used), *_columns(list(used.values()))
    pooled = pool(estimates, errors)
    overall = _verdict(pooled.estimate, margin)
    without = {name: _without(estimates, errors, index, margin) for index, name in enumerate(names)}
    pooled_runs = tuple(
        _entry(name, runs[name], float(errors[index]), 100 * float(pooled.weights[index]), without[name])
        for index, name in enumerate(names)
    )
    made = Pool(
        schema=POOL_SCHEMA,
        quantity=quantity,
        runs=pooled_runs,
        excluded=excluded,
        pooled=_pooled(pooled.estimate, margin),
        heterogeneity=_heterogeneity(pooled),
        rests_on=None
        if len(names) < ENOUGH
        else tuple(name for name, (_, other) in without.items() if other != overall),
        remarks=tuple(_remarks({name: runs[name] for name in names})),
        sentence="",
    )
    return made.model_copy(update={"sentence": _sentence(made)})


def _the_same(what: str, values: Mapping[str, str]) -> str:
    """The one value of all runs. Raises BadInput where two runs differ."""
    (first, value), *others = values.items()
    for name, other in others:
        if other != value:
            fix = "; give one with --margin" if what == "margin" else "; only runs of one question can be pooled"
            raise BadInput(f"{name}: the {what} is {other}, and that of {first} is {value}{fix}")
    return value


def _refuse_copies(runs: Mapping[str, Results]) -> None:
    names = list(runs)
    for index, name in enumerate(names):
        for other in names[:index]:
            if runs[name].arms == runs[other].arms and runs[name].primary == runs[other].primary:
                raise BadInput(f"{name}: has the same rates and the same D as {other}; give each run once")


def _columns(entries: Sequence[EstimateEntry]) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and standard errors, each (runs,). An interval is the estimate plus and minus t times its error."""
    estimates = np.array([entry.estimate for entry in entries], dtype=float)
    low, high, df = (np.array([getattr(entry, key) for entry in entries]) for key in ("ci_low", "ci_high", "df"))
    return estimates, (high - low) / (2 * stats.t.ppf(1 - ALPHA / 2, df.astype(float)))


def _verdict(estimate: Estimate, margin: float) -> Verdict:
    decided, _ = verdict(estimate, estimate.p, margin)
    assert decided is not None, "a margin is given"
    return decided


def _without(
    estimates: np.ndarray, errors: np.ndarray, index: int, margin: float
) -> tuple[float | None, Verdict | None]:
    """The pooled estimate of all runs but one, with its verdict."""
    if len(estimates) == 2:
        return None, None
    rest = pool(np.delete(estimates, index), np.delete(errors, index)).estimate
    return rest.estimate, _verdict(rest, margin)


def _entry(
    name: str, results: Results, se: float, weight: float, without: tuple[float | None, Verdict | None]
) -> PooledRun:
    primary = results.primary
    assert primary.estimate is not None and primary.ci_low is not None and primary.ci_high is not None
    return PooledRun(
        name=name,
        study=results.study.name,
        arm=primary.arm,
        estimate=primary.estimate,
        se=se,
        ci_low=primary.ci_low,
        ci_high=primary.ci_high,
        verdict=primary.verdict or "inconclusive",
        ruler=results.ruler.status,
        n_high=primary.n_high,
        n_low=primary.n_low,
        weight=weight,
        estimate_without=without[0],
        verdict_without=without[1],
    )


def _pooled(mean: Estimate, margin: float) -> PooledEstimate:
    decided, within = verdict(mean, mean.p, margin)
    keys = ("estimate", "se", "ci_low", "ci_high", "p", "df", "mde", "smallest_margin")
    values = {key: getattr(mean, key) for key in keys}
    assert decided is not None and None not in values.values(), "a margin is given, and pooling always has an error"
    return PooledEstimate(**values, margin=margin, verdict=decided, within_margin=within)


def _heterogeneity(pooled: Pooled) -> Heterogeneity:
    low, high = pooled.prediction or (None, None)
    tau_low, tau_high = pooled.tau_interval or (None, None)
    return Heterogeneity(
        tau=pooled.tau,
        tau_low=tau_low,
        tau_high=tau_high,
        q=pooled.q,
        q_df=pooled.q_df,
        p=pooled.q_p,
        i2=pooled.i2,
        prediction_low=low,
        prediction_high=high,
    )


def _remarks(runs: Mapping[str, Results]) -> list[str]:
    """Differences between the runs that a reader must know of, since D may differ because of them."""
    remarks = []
    for what, values in (
        ("the primary arm", {name: run.primary_arm for name, run in runs.items()}),
        ("the threshold of HmR", {name: f"{run.thresholds.harmless:g}" for name, run in runs.items()}),
        ("the threshold of HpR", {name: f"{run.thresholds.helpful:g}" for name, run in runs.items()}),
    ):
        if len(set(values.values())) > 1:
            listed = ", ".join(f"{name} {value}" for name, value in values.items())
            remarks.append(f"The runs differ in {what}: {listed}.")
    included = {name: set(run.tradeoff.languages.included) for name, run in runs.items()}
    shared = set.intersection(*included.values())
    every = set.union(*included.values())
    if shared != every:
        counts = ", ".join(f"{name} {len(codes)}" for name, codes in included.items())
        remarks.append(f"The runs compare different languages ({counts}; {len(shared)} are in all of them).")
    unsure = [name for name, run in runs.items() if run.ruler.status == "not_comparable"]
    if unsure:
        remarks.append(f"The ruler is not comparable in {', '.join(unsure)}.")
    untested = [name for name, run in runs.items() if run.ruler.status == "unassessed"]
    if untested:
        remarks.append(f"The ruler was not assessed in {', '.join(untested)}.")
    return remarks


def _sentence(made: Pool) -> str:
    pooled, runs = made.pooled, made.runs
    subject = pooled_quantity(made).subject
    head = {"differs": f"The {subject} differs", "inconclusive": "Inconclusive"}.get(
        pooled.verdict, f"The {subject} is equivalent within {pooled.margin:g} points"
    )
    text = (
        f"{head} over {len(runs)} runs: the mean D{_one_kind(made)} is {pooled.estimate:+.1f} points, 95 % interval "
        f"[{pooled.ci_low:+.1f}, {pooled.ci_high:+.1f}], p {p_words(pooled.p)}."
    )
    if pooled.within_margin:
        text += f" The interval lies within the margin of {pooled.margin:g} points: the difference is small."
    remarks = [
        Remark(topic="the mean", rank=0, text=text),
        Remark(topic="single runs", rank=1, text=_alone(made)),
        Remark(topic="how much runs differ", rank=2, text=_spread(made)),
        *(Remark(topic="differences between the runs", rank=3, text=remark) for remark in made.remarks),
    ]
    return fitted(remarks)[0]


def pooled_quantity(made: Pool) -> Quantity:
    """What D compares in the runs."""
    return QUANTITIES[made.quantity.partition(" ")[0]]


def _one_kind(made: Pool) -> str:
    quantity = pooled_quantity(made)
    return "" if quantity.one_kind is None else f" of {quantity.phrase}"


def _alone(made: Pool) -> str:
    """Whether the finding is one run's alone."""
    names = short_names(run.name for run in made.runs)
    by_itself = [names[run.name] for run in made.runs if run.verdict == "differs"]
    if made.rests_on is None:
        return f"{ENOUGH} runs are needed to say whether it is one model's alone ({_own_verdicts(by_itself)})."
    if made.rests_on:
        changed = ", ".join(
            f"without {names[run.name]} {run.verdict_without}" for run in made.runs if run.name in made.rests_on
        )
        return f"The verdict rests on single runs: it would be, {changed} ({_own_verdicts(by_itself)})."
    return f"The verdict is the same without any one of the runs ({_own_verdicts(by_itself)})."


def _own_verdicts(names: Sequence[str]) -> str:
    if not names:
        return "on its own none differs"
    return f"on {'its' if len(names) == 1 else 'their'} own only {', '.join(names)} differ{'s' * (len(names) == 1)}"


def _spread(made: Pool) -> str:
    """How much D varies from run to run, and where that of a further run is expected."""
    spread = made.heterogeneity
    interval = "with no interval, since the runs agree more closely than their errors explain"
    if spread.tau_low is not None and spread.tau_high is not None:
        interval = f"[{spread.tau_low:.1f}, {spread.tau_high:.1f}]"
    text = (
        f"From run to run the true D varies with a standard deviation of {spread.tau:.1f} points {interval} "
        f"(I2 {spread.i2:.0f} %, Q test p {p_words(spread.p)})"
    )
    if spread.prediction_low is None or spread.prediction_high is None:
        return f"{text}."
    return (
        f"{text}; that of a further model is expected between {spread.prediction_low:+.1f} and "
        f"{spread.prediction_high:+.1f} points (95 %)."
    )

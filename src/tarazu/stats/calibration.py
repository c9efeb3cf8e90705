"""Calibration of the inference on many simulated studies with a planted truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tarazu.stats.contrast import ALPHA, Effects, Estimate, group_difference
from tarazu.stats.prediction_powered import Labelled, Responses, judge_weights, pseudo_outcomes
from tarazu.stats.rates import Rate, wilson
from tarazu.stats.ruler import corrected, groups_compared
from tarazu.stats.simulation import SIGNS, Simulated, Truth, simulate

Method = Callable[[Simulated, np.random.Generator], Estimate]
"""An inference on D. Returns its estimate, interval, p and the smallest margin at which equivalence is shown."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The results of a method over `studies` simulated studies of one truth. Rates in percent, with Wilson's interval.

    `rejected`: p < 0.05 (type I error if D is 0, otherwise power). `covered`: the interval contains the planted D.
    `equivalent`: both one-sided tests pass at the margin. `bias`: mean estimate minus D, in points. `width`: mean width
    of the interval divided by that of an oracle, which knows the estimate's true standard error and has the same
    degrees of freedom. `width_normal`: divided by 2 x 1.96 true standard errors. `mean_width`: in points.
    """

    truth: Truth
    studies: int
    defined: int
    rejected: Rate
    covered: Rate
    equivalent: Rate
    bias: float
    width: float
    width_normal: float
    mean_width: float


def ours(study: Simulated, random: np.random.Generator) -> Estimate:
    """The project's inference."""
    return group_difference(study.effects(), study.low)


def ours_one_kind(study: Simulated, random: np.random.Generator) -> Estimate:
    """The project's inference on the benign prompts alone, in which the difference is planted."""
    return group_difference(study.effects()[1:], study.low)


def ours_from_counts(study: Simulated, random: np.random.Generator) -> Estimate:
    """The project's inference on counts: the change of each language's rate, without the prompts."""
    parts = [Effects(cells=np.nanmean(part.cells, axis=1, keepdims=True), sign=part.sign) for part in study.effects()]
    return group_difference(parts, study.low)


def ours_corrected(study: Simulated, random: np.random.Generator) -> Estimate:
    """The project's inference with correction for the ruler's errors."""
    parts = [corrected(part, rulers, study.low) for part, rulers in zip(study.effects(), study.rulers, strict=True)]
    usable = [part for part in parts if part is not None]
    if len(usable) < len(parts):
        return Estimate(estimate=None, reason="the ruler is too weak")
    return group_difference(usable, study.low)


def prediction_powered(study: Simulated, random: np.random.Generator) -> Estimate:
    """The project's inference on people's labels of a part of the responses and the judge's labels of all."""
    return group_difference(_effects_by_people(study, use_judge=True), study.low)


def people_alone(study: Simulated, random: np.random.Generator) -> Estimate:
    """The project's inference on people's labels without the judge's: its weight is 0."""
    return group_difference(_effects_by_people(study, use_judge=False), study.low)


def _effects_by_people(study: Simulated, *, use_judge: bool) -> list[Effects]:
    effects = []
    for sign, judged, people in zip(SIGNS, study.passed, study.people, strict=True):
        base, arm = (_rates(*two, study.low, use_judge=use_judge) for two in zip(judged, people, strict=True))
        effects.append(Effects(cells=100 * (arm - base), sign=sign))
    return effects


def _rates(judged: np.ndarray, people: np.ndarray, low: np.ndarray, *, use_judge: bool) -> np.ndarray:
    """The pseudo-outcomes of one arm and kind, (languages, prompts)."""
    there = ~np.isnan(judged)
    passed, labels = judged[there], people[there]
    known = ~np.isnan(labels)
    given = np.where(known, labels, 0.0)
    responses = Responses(
        count=np.ones(len(passed)),
        passed=passed,
        labelled=Labelled(
            count=known.astype(float), people=given, judged=np.where(known, passed, 0.0), product=given * passed
        ),
        language=np.nonzero(there)[0],
    )
    weights = judge_weights(responses, low.astype(int)) if use_judge else np.zeros(len(low))
    cells = np.full(judged.shape, np.nan)
    cells[there] = pseudo_outcomes(responses, weights)
    return cells


def calibrate(truth: Truth, method: Method, studies: int, seed: int, margin: float = 5.0) -> Calibration:
    """Apply a method to simulated studies of one truth. The same seed draws the same studies for every method."""
    outcomes = []
    for index in range(studies):
        study = simulate(truth, np.random.default_rng([seed, index]))
        outcomes.append(method(study, np.random.default_rng([seed, index, 1])))
    defined = [item for item in outcomes if item.estimate is not None and item.p is not None]
    estimates, low, high, p, passed, df = (
        np.array([getattr(item, name) for item in defined])
        for name in ("estimate", "ci_low", "ci_high", "p", "smallest_margin", "df")
    )
    true_error = float(estimates.std(ddof=1)) if len(defined) > 1 else float("nan")
    oracle = 2 * stats.t.ppf(1 - ALPHA / 2, df) * true_error
    return Calibration(
        truth=truth,
        studies=studies,
        defined=len(defined),
        rejected=wilson(int((p < ALPHA).sum()), len(defined)),
        covered=wilson(int(((low <= truth.difference) & (truth.difference <= high)).sum()), len(defined)),
        equivalent=wilson(int((passed <= margin).sum()), len(defined)),
        bias=float(estimates.mean() - truth.difference),
        width=float((high - low).mean() / oracle.mean()),
        width_normal=float((high - low).mean() / (2 * 1.959964 * true_error)),
        mean_width=float((high - low).mean()),
    )


def warned_or_right(truth: Truth, studies: int, seed: int) -> Rate:
    """Percent of studies in which a weak ruler does not mislead: either the groups' rulers are found to differ
    (`not_comparable`), or the corrected analysis reports no false difference."""
    not_misled = 0
    for index in range(studies):
        study = simulate(truth, np.random.default_rng([seed, index]))
        values = [np.array([ruler.balanced_accuracy.value for ruler in rulers]) for rulers in study.rulers]
        p = groups_compared(
            {str(kind): list(value[~study.low]) for kind, value in enumerate(values)},
            {str(kind): list(value[study.low]) for kind, value in enumerate(values)},
        )
        estimate = ours_corrected(study, np.random.default_rng([seed, index, 1]))
        not_misled += (p is not None and p < ALPHA) or estimate.p is None or estimate.p >= ALPHA
    return wilson(not_misled, studies)

"""Is the inference calibrated? Many simulated studies of one planted truth, and what was said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tarazu.stats.contrast import ALPHA, Estimate, group_difference
from tarazu.stats.rates import Rate, wilson
from tarazu.stats.ruler import corrected, groups_compared
from tarazu.stats.simulation import Simulated, Truth, simulate

Method = Callable[[Simulated, np.random.Generator], Estimate]
"""An inference on D: its estimate, interval, p and smallest margin passed."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a method said over `studies` simulated studies of one truth. Rates in percent, with Wilson's interval.

    `rejected`: p < 0.05 (type I error where D is 0, else power). `covered`: the interval holds the planted D.
    `equivalent`: both one-sided tests pass at the margin. `bias`: mean estimate less D, in points. `width`: mean width
    of the interval over that of an oracle's, which knows the estimate's true standard error and has the same degrees of
    freedom; `width_normal`: over 2 x 1.96 true standard errors.
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


def ours(study: Simulated, random: np.random.Generator) -> Estimate:
    """The project's inference."""
    return group_difference(study.effects(), study.low)


def ours_corrected(study: Simulated, random: np.random.Generator) -> Estimate:
    """The same, corrected for the ruler's errors."""
    parts = [corrected(part, rulers, study.low) for part, rulers in zip(study.effects(), study.rulers, strict=True)]
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts):
        return Estimate(estimate=None, reason="the ruler is too weak")
    return group_difference(whole, study.low)


def calibrate(truth: Truth, method: Method, studies: int, seed: int, margin: float = 5.0) -> Calibration:
    """Draw studies of one truth and let a method speak on each; the same seed draws the same studies for any method."""
    found = []
    for index in range(studies):
        study = simulate(truth, np.random.default_rng([seed, index]))
        found.append(method(study, np.random.default_rng([seed, index, 1])))
    said = [item for item in found if item.estimate is not None and item.p is not None]
    estimates, low, high, p, passed, df = (
        np.array([getattr(item, name) for item in said])
        for name in ("estimate", "ci_low", "ci_high", "p", "margin_passed", "df")
    )
    true_error = float(estimates.std(ddof=1)) if len(said) > 1 else float("nan")
    oracle = 2 * stats.t.ppf(1 - ALPHA / 2, df) * true_error
    return Calibration(
        truth=truth,
        studies=studies,
        defined=len(said),
        rejected=wilson(int((p < ALPHA).sum()), len(said)),
        covered=wilson(int(((low <= truth.difference) & (truth.difference <= high)).sum()), len(said)),
        equivalent=wilson(int((passed <= margin).sum()), len(said)),
        bias=float(estimates.mean() - truth.difference),
        width=float((high - low).mean() / oracle.mean()),
        width_normal=float((high - low).mean() / (2 * 1.959964 * true_error)),
    )


def warned_or_right(truth: Truth, studies: int, seed: int) -> Rate:
    """Percent of studies in which a weak ruler does not mislead: the groups' rulers are found to differ
    (`not_comparable`), or the corrected analysis does not see a difference that is not there."""
    fine = 0
    for index in range(studies):
        study = simulate(truth, np.random.default_rng([seed, index]))
        accuracy = [[100 * (ruler.youden + 1) / 2 for ruler in rulers] for rulers in study.rulers]
        values = [np.array(kind) for kind in accuracy]
        p = groups_compared(
            {str(kind): list(value[~study.low]) for kind, value in enumerate(values)},
            {str(kind): list(value[study.low]) for kind, value in enumerate(values)},
        )
        mended = ours_corrected(study, np.random.default_rng([seed, index, 1]))
        fine += (p is not None and p < ALPHA) or mended.p is None or mended.p >= ALPHA
    return wilson(fine, studies)

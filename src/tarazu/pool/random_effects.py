"""One estimate over several studies: random effects, with heterogeneity and a prediction interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from tarazu.stats.contrast import ALPHA, Estimate, infer


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The mean of the studies' true values, and how much those vary.

    `tau` is the standard deviation of the true values between studies, with its 95 % interval; None where that is
    empty: the studies agree more closely than their errors explain. `q` is Cochran's statistic, with `q_df` and p. `i2`
    is the percentage of the observed variance that is not sampling error. `weights`
    (studies,) sum to 1. `prediction` is the 95 % interval of the true value in a further study; None with fewer than
    three studies.
    """

    estimate: Estimate
    tau: float
    tau_interval: tuple[float, float] | None
    q: float
    q_df: int
    q_p: float
    i2: float
    weights: np.ndarray
    prediction: tuple[float, float] | None


def pool(estimates: np.ndarray, errors: np.ndarray) -> Pooled:
    """Pool at least two studies: their estimates and standard errors, each (studies,), the errors above 0.

    1. The variance between studies is estimated by restricted maximum likelihood (REML; Viechtbauer 2005), its interval
       by the Q profile (Viechtbauer 2007).
    2. The mean has the standard error and the t distribution of Hartung and Knapp (2001), with studies - 1 degrees of
       freedom. The error is never smaller than that of a known variance (Knapp and Hartung 2003, Röver et al. 2015):
       with few studies their estimates can lie close together by chance.
    3. The prediction interval is that of Higgins et al. (2009, eq. 12), on studies - 2 degrees of freedom. It does not
       contain the error of the variance between studies, and so covers less than 95 % (Partlett and Riley 2017).
    """
    variances = errors**2
    tau2 = _reml(estimates, variances)
    weights = 1 / (variances + tau2)
    mean = _mean(estimates, weights)
    scatter = float(weights @ (estimates - mean) ** 2) / (len(estimates) - 1)
    error = float(np.sqrt(max(1.0, scatter) / weights.sum()))
    q, q_df = _q(estimates, variances, 0.0), len(estimates) - 1
    prediction = None
    if len(estimates) > 2:
        reach = float(stats.t.ppf(1 - ALPHA / 2, len(estimates) - 2)) * float(np.sqrt(tau2 + error**2))
        prediction = mean - reach, mean + reach
    return Pooled(
        estimate=infer(mean, error, len(estimates) - 1),
        tau=float(np.sqrt(tau2)),
        tau_interval=_q_profile(estimates, variances),
        q=q,
        q_df=q_df,
        q_p=float(stats.chi2.sf(q, q_df)),
        i2=_share_between(tau2, variances),
        weights=weights / weights.sum(),
        prediction=prediction,
    )


def _mean(estimates: np.ndarray, weights: np.ndarray) -> float:
    return float(weights @ estimates / weights.sum())


def _q(estimates: np.ndarray, variances: np.ndarray, tau2: float) -> float:
    """Cochran's Q, with the variance between studies in the weights."""
    weights = 1 / (variances + tau2)
    return float(weights @ (estimates - _mean(estimates, weights)) ** 2)


def _reml(estimates: np.ndarray, variances: np.ndarray) -> float:
    """The variance between studies with the largest restricted likelihood, 0 or above."""

    def loss(tau2: float) -> float:
        weights = 1 / (variances + tau2)
        return float(-np.log(weights).sum() + np.log(weights.sum()) + _q(estimates, variances, tau2))

    # Beyond the square of the estimates' range the loss only grows. A grid first: it may have several minima.
    largest = float(np.ptp(estimates)) ** 2
    if largest == 0:
        return 0.0
    grid = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 41) * largest])
    best = int(np.argmin([loss(tau2) for tau2 in grid]))
    bounds = grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)]
    lowest = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10 * largest})
    return float(lowest.x) if loss(float(lowest.x)) < loss(0.0) else 0.0


def _q_profile(estimates: np.ndarray, variances: np.ndarray) -> tuple[float, float] | None:
    """The standard deviations between studies at which Q has its 97.5 % and 2.5 % quantile, 0 or above; None where even
    0 is too large for the second."""
    df = len(estimates) - 1
    if _q(estimates, variances, 0.0) < float(stats.chi2.ppf(ALPHA / 2, df)):
        return None

    def at(quantile: float) -> float:
        wanted = float(stats.chi2.ppf(quantile, df))
        if _q(estimates, variances, 0.0) <= wanted:
            return 0.0
        # For large tau2, Q is about the sum of squares over tau2, and so below what is wanted here.
        top = float(np.sum((estimates - estimates.mean()) ** 2)) / wanted
        tau2 = optimize.brentq(lambda tau2: _q(estimates, variances, tau2) - wanted, 0.0, top + 1e-12)
        return float(np.sqrt(tau2))

    return at(1 - ALPHA / 2), at(ALPHA / 2)


def _share_between(tau2: float, variances: np.ndarray) -> float:
    """I2 in percent (Higgins and Thompson 2002, eq. 9 and 10): tau2 against the typical sampling variance."""
    weights = 1 / variances
    typical = (len(variances) - 1) * weights.sum() / (weights.sum() ** 2 - (weights**2).sum())
    return float(100 * tau2 / (tau2 + typical))

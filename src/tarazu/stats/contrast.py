"""The project's one inference: a weighted sum of languages' effects, with variance over languages and over prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

Verdict = Literal["differs", "equivalent", "inconclusive"]

ALPHA = 0.05
POWER = 0.80


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Effects for one prompt kind: (languages, prompts) in points, NaN for a missing cell. `sign` is the sign of the
    kind in the quantity: +1 for helpfulness and -1 for harmlessness in the tilt."""

    cells: np.ndarray
    sign: float

    def by_language(self) -> np.ndarray:
        """Signed mean over the prompts of each language, (languages,)."""
        return self.sign * np.nanmean(self.cells, axis=1)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimate with the results of its inference. Values that are not defined are None, for the `reason`."""

    estimate: float | None
    se: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    mde: float | None = None
    smallest_margin: float | None = None
    reason: str | None = None


def infer_nothing(reason: str) -> Estimate:
    """An undefined estimate with its reason."""
    return Estimate(estimate=None, reason=reason)


def language_effects(parts: Sequence[Effects]) -> np.ndarray:
    """The quantity in each language: the sum over prompt kinds, (languages,)."""
    return np.sum([part.by_language() for part in parts], axis=0)


def group_weights(low: np.ndarray) -> np.ndarray:
    """Weights for which the weighted sum is the mean over low minus the mean over high. `low` is boolean,
    (languages,)."""
    return np.where(low, 1 / max(1, low.sum()), -1 / max(1, (~low).sum()))


def shared_variance(cells: np.ndarray, weights: np.ndarray, low: np.ndarray | None = None) -> tuple[float, int]:
    """The variance that columns shared by languages (prompts, training seeds) add to a weighted sum, and the number of
    columns. `cells` is (languages, columns), NaN for missing cells. Below, a column is called a prompt.

    1. r[l, p] = weight_l (cell - language mean) / prompts_l is the share of (l, p) in the sum.
    2. V = P / (P - 1) sum_p [(sum_l r[l, p])^2 - sum_l r[l, p]^2]: the variance clustered by prompt, minus its value
       without a common effect, which the variance over languages already includes (Cameron, Gelbach and Miller 2011,
       eq. 2.11).
    3. Subtracting the squares also removes 1/n of the common effect of each group of n languages. With `low`, products
       within a group are therefore scaled by n / (n - 1). V is then unbiased for prompt effects that are specific to a
       group, and effects that all languages share cancel, as they do in the difference.
    4. V is floored at 0.

    Prompts are shared if the same request occurs in several languages. Without shared prompts V is 0.
    """
    present = ~np.isnan(cells)
    counts = present.sum(axis=1, keepdims=True)
    centred = np.where(present, cells - np.nanmean(cells, axis=1, keepdims=True), 0.0)
    shares = weights[:, None] * centred / counts
    prompts = int(present.any(axis=0).sum())
    if prompts < 2:
        return 0.0, prompts
    groups = [np.ones(len(weights), dtype=bool)] if low is None else [low, ~low]
    sums = [shares[group].sum(axis=0) for group in groups]
    within = [float(np.sum(total**2) - np.sum(shares[group] ** 2)) for group, total in zip(groups, sums, strict=True)]
    if low is None:
        products = within[0]
    else:
        sizes = [int(group.sum()) for group in groups]
        products = sum(value * n / (n - 1) for value, n in zip(within, sizes, strict=True))
        products += 2 * float(sums[0] @ sums[1])
    return max(0.0, prompts / (prompts - 1) * products), prompts


def group_difference(parts: Sequence[Effects], low: np.ndarray, runs: np.ndarray | None = None) -> Estimate:
    """Mean effect over the low group minus mean over the high group.

    1. The effect of a language is the sum over prompt kinds of the signed mean over its prompts.
    2. Variance: Welch's over languages, s^2_low / n_low + s^2_high / n_high, plus the prompt component of each kind.
       `runs` (languages, seeds), the quantity by training seed, adds a component of the same form for the effect that
       a seed has on all languages of a group.
    3. Degrees of freedom: Satterthwaite's, sum(V_i)^2 / sum(V_i^2 / df_i), over the groups (n - 1 each), the prompt
       components (P - 1 each) and the seed component (S - 1).
    4. Interval, p, equivalence and minimum detectable effect all come from this one error and these degrees of
       freedom, so they cannot contradict each other.

    Not defined with fewer than two languages in a group, or if nothing varies.
    """
    n_low, n_high = int(low.sum()), int((~low).sum())
    values = language_effects(parts)
    weights = group_weights(low)
    if min(n_low, n_high) < 2:
        short = "low" if n_low < 2 else "high"
        count = min(n_low, n_high)
        return Estimate(
            estimate=None,
            reason=f"the {short}-resource group has {count} language{'' if count == 1 else 's'} with all that the "
            "comparison needs; at least 2 are needed",
        )
    components = [
        (float(np.var(values[group], ddof=1)) / int(group.sum()), int(group.sum()) - 1) for group in (low, ~low)
    ]
    shared = [shared_variance(cells, weights, low) for cells in _columns(parts, runs)]
    return infer_from_components(float(weights @ values), components, shared)


def regression(parts: Sequence[Effects], design: np.ndarray, column: int, runs: np.ndarray | None = None) -> Estimate:
    """One coefficient of the least-squares fit of the languages' effects on `design` (languages, columns), with the
    prompt component of each kind added to its variance.

    1. The coefficient is a weighted sum of the effects. Its weights are a row of the design's pseudo-inverse.
    2. Variance over languages: the residual variance s^2 (X'X)^-1, with languages minus columns degrees of freedom. The
       rest is as in `group_difference`.

    Not defined if the columns are collinear, or with fewer than 2 degrees of freedom.
    """
    values = language_effects(parts)
    languages, columns = design.shape
    degrees = languages - columns
    if degrees < 2 or np.linalg.matrix_rank(design) < columns:
        return Estimate(estimate=None, reason="the languages do not vary enough for it")
    weights = np.linalg.pinv(design)[column]
    estimate = float(weights @ values)
    residuals = values - design @ (np.linalg.pinv(design) @ values)
    variance = float(residuals @ residuals) / degrees * float(weights @ weights)
    shared = [shared_variance(cells, weights) for cells in _columns(parts, runs)]
    return infer_from_components(estimate, [(variance, degrees)], shared)


def _columns(parts: Sequence[Effects], runs: np.ndarray | None) -> list[np.ndarray]:
    """The columns that languages share: the prompts of each kind and, if there are several, the training seeds."""
    return [part.cells for part in parts] + ([] if runs is None else [runs])


def infer_from_components(
    estimate: float, components: Sequence[tuple[float, int]], shared: Sequence[tuple[float, int]] = ()
) -> Estimate:
    """Inference for an estimate whose variance is a sum of components. Each component has its degrees of freedom, or
    (`shared`) its number of columns. Degrees of freedom are Satterthwaite's. Not defined if nothing varies."""
    every = [*components, *((variance, prompts - 1) for variance, prompts in shared)]
    variance = sum(part for part, _ in every)
    if variance < 1e-18:
        return Estimate(estimate=estimate, reason="no language or prompt differs from another, so no error is known")
    df = variance**2 / sum(part**2 / degrees for part, degrees in every if part > 0)
    return infer(estimate, math.sqrt(variance), df)


def infer(estimate: float, se: float, df: float) -> Estimate:
    """Interval, p, minimum detectable effect and smallest passing margin, from an estimate, its standard error and df.

    The minimum detectable effect is (t_0.975 + t_0.80) se: two-sided 5 %, 80 % power. The smallest passing margin is
    the one at which two one-sided tests at 5 % (Schuirmann 1987) just show equivalence: |estimate| + t_0.95 se.
    """
    # Student's quantiles, by the functions that scipy.stats itself calls. Its distribution objects would take longer to
    # create than all other computations here.
    two_sided, power, one_sided = (float(special.stdtrit(df, q)) for q in (1 - ALPHA / 2, POWER, 1 - ALPHA))
    half_width = two_sided * se
    return Estimate(
        estimate=estimate,
        se=se,
        df=df,
        ci_low=estimate - half_width,
        ci_high=estimate + half_width,
        p=float(2 * special.stdtr(df, -abs(estimate) / se)),
        mde=(two_sided + power) * se,
        smallest_margin=abs(estimate) + one_sided * se,
    )


def verdict(estimate: Estimate, p: float | None, margin: float | None) -> tuple[Verdict | None, bool | None]:
    """`differs` (p < 0.05), else `equivalent` (both one-sided tests pass at the margin), else `inconclusive`.

    For `differs`, also returns whether the interval lies within the margin. Without a margin there is no verdict.
    """
    if margin is None:
        return None, None
    if estimate.ci_low is None or estimate.ci_high is None or estimate.smallest_margin is None or p is None:
        return "inconclusive", None
    if p < ALPHA:
        return "differs", -margin < estimate.ci_low and estimate.ci_high < margin
    return ("equivalent" if estimate.smallest_margin <= margin else "inconclusive"), None


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) adjusted p-values of one family. None stays None and does not count."""
    order = sorted((p, index) for index, p in enumerate(values) if p is not None)
    adjusted: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = highest
    return adjusted

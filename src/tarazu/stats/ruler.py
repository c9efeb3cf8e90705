"""How well a reward model distinguishes good from bad in a language, and correction of effects for its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from tarazu.stats.contrast import Effects, infer_from_components
from tarazu.stats.labels import passes
from tarazu.stats.rates import Rate, Z, mean_of_two, undefined, wilson

Status = Literal["trusted", "doubtful", "unassessed"]


def ranking_accuracy(good: np.ndarray, bad: np.ndarray) -> Rate:
    """Percent of known answers whose good response has the higher reward. A tie counts half. Arrays are (pairs,)."""
    return wilson(float(np.sum(good > bad) + 0.5 * np.sum(good == bad)), len(good))


def status(balanced: Rate, trusted: float) -> Status:
    """`trusted` if the lower bound of the balanced accuracy reaches `trusted` percent, else `doubtful`. `unassessed`
    without known answers."""
    if balanced.ci_low is None:
        return "unassessed"
    return "trusted" if balanced.ci_low >= trusted else "doubtful"


def groups_compared(high: Mapping[str, Sequence[float]], low: Mapping[str, Sequence[float]]) -> float | None:
    """p-value for equal balanced accuracy of the reward model in the two groups, over both kinds.

    `high` and `low` map a kind to its languages' accuracies in percent. Welch's t on the languages for each kind. If
    both kinds can be tested, the smaller p is doubled (Bonferroni). None if no kind can be tested: that needs two
    languages in each group, and accuracies that vary within a group.
    """
    p_values = []
    for kind in sorted(high.keys() & low.keys()):
        groups = np.array(high[kind]), np.array(low[kind])
        if min(map(len, groups)) < 2:
            continue
        components = [(float(np.var(values, ddof=1)) / len(values), len(values) - 1) for values in groups]
        p = infer_from_components(float(groups[1].mean() - groups[0].mean()), components).p
        if p is not None:
            p_values.append(p)
    return min(1.0, min(p_values) * len(p_values)) if p_values else None


def apart_without_spread(high: Mapping[str, Sequence[float]], low: Mapping[str, Sequence[float]]) -> bool | None:
    """Whether the groups differ in a kind that `groups_compared` cannot test because nothing varies. None if there is
    no such kind."""
    differences = [
        abs(float(np.mean(high[kind]) - np.mean(low[kind]))) > 1e-9
        for kind in sorted(high.keys() & low.keys())
        if min(len(high[kind]), len(low[kind])) >= 2 and groups_compared({kind: high[kind]}, {kind: low[kind]}) is None
    ]
    return any(differences) if differences else None


@dataclass(frozen=True, kw_only=True)
class Ruler:
    """Known answers at a cut: `passed_good` of `n` good answers pass, and `failed_bad` of `n` bad answers fail.

    `correlation` is that of the two labels of a pair, which answer the same prompt.
    """

    passed_good: int
    failed_bad: int
    n: int
    correlation: float = 0.0

    @property
    def youden(self) -> float:
        """Sensitivity + specificity - 1 (Youden 1950): the share of a true change that is visible. NaN for n = 0."""
        return (self.passed_good + self.failed_bad) / self.n - 1 if self.n else float("nan")

    @property
    def sensitivity(self) -> Rate:
        """Percent of the good answers that pass."""
        return wilson(self.passed_good, self.n)

    @property
    def specificity(self) -> Rate:
        """Percent of the bad answers that fail."""
        return wilson(self.failed_bad, self.n)

    @property
    def balanced_accuracy(self) -> Rate:
        """The mean of sensitivity and specificity in percent: 50 for a ruler that cannot tell good from bad. `n` counts
        pairs.

        The interval is by MOVER. A positive correlation within pairs widens it; a negative one is taken as 0, since
        a few pairs can show -1 by chance, and the interval would then be a point.
        """
        return replace(mean_of_two(self.sensitivity, self.specificity, max(0.0, self.correlation)), n=self.n)


def ruler_at(good: np.ndarray, bad: np.ndarray, cut: float, *, harmful: bool) -> Ruler:
    """Known rewards (pairs,) of answers to harmful or benign prompts, at a cut."""
    passed, failed = passes(harmful, good, cut), ~passes(harmful, bad, cut)
    spread = float(passed.std() * failed.std()) if len(good) else 0.0
    shared = float(np.mean(passed & failed) - passed.mean() * failed.mean()) if spread else 0.0
    return Ruler(
        passed_good=int(passed.sum()),
        failed_bad=int(failed.sum()),
        n=len(good),
        correlation=shared / spread if spread else 0.0,
    )


def pooled(rulers: Sequence[Ruler]) -> Ruler:
    """All known answers of several rulers together, at least one. The correlation is their mean, by pairs."""
    n = sum(ruler.n for ruler in rulers)
    return Ruler(
        passed_good=sum(ruler.passed_good for ruler in rulers),
        failed_bad=sum(ruler.failed_bad for ruler in rulers),
        n=n,
        correlation=sum(ruler.correlation * ruler.n for ruler in rulers) / n if n else 0.0,
    )


def best_cut(good: np.ndarray, bad: np.ndarray) -> float:
    """The cut that best separates known good from known bad answers: the one with the largest Youden index.

    Of several such cuts, takes the middle of the widest gap between rewards, and the lowest for equal gaps. No reward
    lies on the cut. Rewards are (pairs,), at least one.
    """
    rewards = np.unique(np.concatenate([good, bad]))
    if len(rewards) == 1:
        return float(rewards[0])
    cuts = (rewards[1:] + rewards[:-1]) / 2
    gain = _share_above(good, cuts) - _share_above(bad, cuts)
    widths = np.where(gain >= gain.max() - 1e-12, np.diff(rewards), -1.0)
    return float(cuts[np.argmax(widths)])


def _share_above(rewards: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """The share of the rewards (pairs,) above each cut, (cuts,)."""
    return (len(rewards) - np.searchsorted(np.sort(rewards), cuts, side="right")) / len(rewards)


def corrected_share(observed: Rate, sensitivity: Rate, specificity: Rate) -> Rate:
    """The share in percent that a detector without errors would have found, from the one `observed` with errors that
    were measured on other texts (Rogan and Gladen 1978).

    Limited to 0 and 100. The interval is that of Lang and Reiczigel (2014, eq. 16), which contains the error of the
    measured sensitivity and specificity. Not defined if one of the three is not, or if the detector was not shown to be
    better than chance.
    """
    rates = (observed, sensitivity, specificity)
    missing = next((rate for rate in rates if rate.value is None), None)
    if missing is not None:
        return undefined(missing.reason or "not defined", observed.n)
    shares = [(rate.value or 0.0) / 100 for rate in rates]
    p, se, sp = shares
    errors = sum(share * (1 - share) / rate.n for share, rate in zip(shares[1:], rates[1:], strict=True))
    if se + sp - 1 - Z * errors**0.5 <= 0:
        return undefined("there the detector was not shown to be better than chance", observed.n)
    (p_near, n), (se_near, n_se), (sp_near, n_sp) = (
        ((share * rate.n + added / 2) / (rate.n + added), rate.n + added)
        for share, rate, added in zip(shares, rates, (Z**2, 2.0, 2.0), strict=True)
    )
    youden = se_near + sp_near - 1
    near = (p_near + sp_near - 1) / youden
    from_se, from_sp = se_near * (1 - se_near) / n_se, sp_near * (1 - sp_near) / n_sp
    centre = near + 2 * Z**2 * (near * from_se - (1 - near) * from_sp)
    error = (p_near * (1 - p_near) / n + near**2 * from_se + (1 - near) ** 2 * from_sp) ** 0.5 / youden
    value = min(1.0, max(0.0, (p + sp - 1) / (se + sp - 1)))
    low, high = max(0.0, min(centre - Z * error, value)), min(1.0, max(centre + Z * error, value))
    return Rate(value=100 * value, ci_low=100 * low, ci_high=100 * high, n=observed.n, n_languages=1)


def corrected(part: Effects, rulers: Sequence[Ruler], low: np.ndarray) -> Effects | None:
    """Effects corrected to those of a ruler without errors (Rogan and Gladen 1978).

    1. A true change d is visible as J d, where J is the ruler's Youden index. Dividing by each language's own J would
       amplify the noise if J is small. So the true change of a group is estimated as R = mean(d) / mean(J) over its
       languages, a ratio estimator (Cochran 1977, ch. 6).
    2. Its error, including that of J, is that of the residuals d - R J divided by mean(J). So each language's cells
       become R + (cells - R J) / mean(J): their mean is R, and their spread over languages and prompts is its error.

    None if a group's mean J is not significantly above 0 (t interval, 95 %), or if a group has fewer than 2 languages.
    """
    index = np.array([ruler.youden for ruler in rulers])
    cells = np.empty_like(part.cells)
    for group in (low, ~low):
        known, size = index[group], int(group.sum())
        if size < 2 or np.isnan(known).any():
            return None
        mean = float(known.mean())
        spread = max(float(known.std(ddof=1)), _spread(rulers, group))
        if mean - float(stats.t.ppf(0.975, size - 1)) * spread / size**0.5 <= 0:
            return None
        ratio = float(np.nanmean(part.cells[group], axis=1).mean()) / mean
        cells[group] = ratio + (part.cells[group] - ratio * known[:, None]) / mean
    return Effects(cells=cells, sign=part.sign)


def _spread(rulers: Sequence[Ruler], group: np.ndarray) -> float:
    """The standard deviation of one language's J from sampling alone. At least one answer of each kind counts as wrong,
    because known answers without errors do not prove that there are none."""
    chosen = [ruler for ruler, inside in zip(rulers, group, strict=True) if inside]
    n = sum(ruler.n for ruler in chosen)
    wrong = [n - sum(ruler.passed_good for ruler in chosen), n - sum(ruler.failed_bad for ruler in chosen)]
    shares = [(count + 1) / (n + 2) for count in wrong]
    return float(np.sqrt(sum(share * (1 - share) for share in shares) * len(chosen) / n))

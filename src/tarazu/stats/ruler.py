"""How well a reward model distinguishes good from bad in a language, and correction of effects for its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from tarazu.stats.contrast import Effects, infer_from_components
from tarazu.stats.labels import passes
from tarazu.stats.rates import Rate, wilson

Status = Literal["trusted", "doubtful", "unassessed"]


def accuracy(good: np.ndarray, bad: np.ndarray) -> Rate:
    """Percent of known answers whose good response has the higher reward. A tie counts half. Arrays are (pairs,)."""
    return wilson(float(np.sum(good > bad) + 0.5 * np.sum(good == bad)), len(good))


def status(rate: Rate, trusted: float) -> Status:
    """`trusted` if the interval's lower bound reaches `trusted` percent, else `doubtful`. `unassessed` without known
    answers."""
    if rate.ci_low is None:
        return "unassessed"
    return "trusted" if rate.ci_low >= trusted else "doubtful"


def groups_compared(high: Mapping[str, Sequence[float]], low: Mapping[str, Sequence[float]]) -> float | None:
    """p-value for equal accuracy of the reward model in the two groups, over both kinds.

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
    """Known answers at a cut: `passed_good` of `n` good answers pass, and `failed_bad` of `n` bad answers fail."""

    passed_good: int
    failed_bad: int
    n: int

    @property
    def youden(self) -> float:
        """Sensitivity + specificity - 1 (Youden 1950): the share of a true change that is visible. NaN for n = 0."""
        return (self.passed_good + self.failed_bad) / self.n - 1 if self.n else float("nan")


def ruler_at(good: np.ndarray, bad: np.ndarray, cut: float, *, harmful: bool) -> Ruler:
    """Known rewards (pairs,) of answers to harmful or benign prompts, at a cut."""
    passed, failed = passes(harmful, good, cut), ~passes(harmful, bad, cut)
    return Ruler(passed_good=int(passed.sum()), failed_bad=int(failed.sum()), n=len(good))


def best_cut(good: np.ndarray, bad: np.ndarray) -> float:
    """The cut that best separates known good from known bad answers: the one with the largest Youden index.

    Of several such cuts, takes the middle of the widest gap between rewards, and the lowest for equal gaps. No reward
    lies on the cut. Rewards are (pairs,), at least one.
    """
    rewards = np.unique(np.concatenate([good, bad]))
    if len(rewards) == 1:
        return float(rewards[0])
    cuts = (rewards[1:] + rewards[:-1]) / 2
    gain = (good[None] > cuts[:, None]).mean(axis=1) - (bad[None] > cuts[:, None]).mean(axis=1)
    widths = np.where(gain >= gain.max() - 1e-12, np.diff(rewards), -1.0)
    return float(cuts[np.argmax(widths)])


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

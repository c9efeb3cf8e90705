"""Can the reward model tell good from bad in a language?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import stats

from tarazu.stats.rates import Rate, wilson

Status = Literal["trusted", "doubtful", "unassessed"]


def accuracy(good: np.ndarray, bad: np.ndarray) -> Rate:
    """Percent of known answers whose good response has the higher reward; a tie counts half. Arrays are (pairs,)."""
    return wilson(float(np.sum(good > bad) + 0.5 * np.sum(good == bad)), len(good))


def status(rate: Rate, trusted: float) -> Status:
    """`trusted` where the interval's lower bound reaches `trusted` percent, else `doubtful`; `unassessed` without
    known answers."""
    if rate.ci_low is None:
        return "unassessed"
    return "trusted" if rate.ci_low >= trusted else "doubtful"


def groups_compared(high: Mapping[str, Sequence[float]], low: Mapping[str, Sequence[float]]) -> float | None:
    """p-value that the reward model is equally accurate in the two groups, over both kinds.

    `high` and `low` map a kind to its languages' accuracies in percent. Welch's t on the languages, kind by kind; the
    smaller p is doubled (Bonferroni) where both kinds can be tested. None where no kind has two languages a group.
    """
    found = []
    for kind in sorted(high.keys() & low.keys()):
        first, second = np.array(high[kind]), np.array(low[kind])
        if min(len(first), len(second)) < 2:
            continue
        if first.std() + second.std() < 1e-9:
            found.append(1.0 if abs(first.mean() - second.mean()) < 1e-9 else 0.0)
        else:
            found.append(float(stats.ttest_ind(first, second, equal_var=False).pvalue))
    return min(1.0, min(found) * len(found)) if found else None

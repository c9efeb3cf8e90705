"""Statistics as entries of results.json."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from tarazu.results.model import ChangeEntry, DifferenceEntry, RateEntry
from tarazu.stats.contrast import Estimate
from tarazu.stats.rates import Rate


def rate_entry(rate: Rate) -> RateEntry:
    """A rate."""
    return RateEntry(**asdict(rate))


def change_entry(change: Rate) -> ChangeEntry:
    """A change over base."""
    return ChangeEntry(**asdict(change))


def difference_entry(difference: Estimate, low: np.ndarray) -> DifferenceEntry:
    """A difference between groups; `low` (languages,) says which languages are of the low group."""
    return DifferenceEntry(
        estimate=difference.estimate,
        ci_low=difference.ci_low,
        ci_high=difference.ci_high,
        p=difference.p,
        df=difference.df,
        mde=difference.mde,
        n_high=int((~low).sum()),
        n_low=int(low.sum()),
        reason=difference.reason,
    )

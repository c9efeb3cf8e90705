"""What the statistics found, as results.json holds it."""

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


def difference_entry(found: Estimate, low: np.ndarray) -> DifferenceEntry:
    """A difference between groups; `low` (languages,) says which languages are of the low group."""
    return DifferenceEntry(
        estimate=found.estimate,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        p=found.p,
        df=found.df,
        mde=found.mde,
        n_high=int((~low).sum()),
        n_low=int(low.sum()),
        reason=found.reason,
    )

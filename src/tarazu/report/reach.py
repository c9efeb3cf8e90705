"""Charts of the limits of the answer: D over thresholds, and the power of such data."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tarazu.report.figure import GOOD, INK, MUTED, Chart, figure
from tarazu.report.text import number, signed
from tarazu.results.model import EstimateEntry, Tradeoff
from tarazu.stats.contrast import POWER
from tarazu.stats.power import power


def thresholds_chart(tradeoff: Tradeoff) -> Chart | None:
    """D with its interval where the thresholds are shifted, the study's own in the middle."""
    points = [point for point in tradeoff.threshold_curve if point.ci_low is not None]
    margin = tradeoff.primary.margin
    if len(points) < 2 or margin is None:
        return None
    shifts, estimates, low, high = (
        np.array([getattr(point, name) for point in points]) for name in ("shift", "estimate", "ci_low", "ci_high")
    )
    with figure(height=2.5) as (made, axes):
        ax = axes[0, 0]
        ax.axhspan(-margin, margin, color=GOOD, alpha=0.14, lw=0)
        ax.fill_between(shifts, low, high, color=MUTED, alpha=0.25, lw=0)
        ax.plot(shifts, estimates, color=INK, lw=1.6)
        ax.axhline(0, color=INK, lw=0.8)
        ax.axvline(0, color=INK, lw=0.8, ls=(0, (4, 2)))
        ax.set(title="Thresholds", xlabel="shift of the thresholds (sd of rewards)", ylabel="D (points)")
        differ = sum(point.verdict == "differs" for point in points)
        ends = f"from {signed(min(estimates))} to {signed(max(estimates))} points"
        return made.described(
            name="thresholds", alt=f"D over shifts of the thresholds: {ends}; it differs from 0 at {differ} of "
            f"{len(points)} shifts."
        )  # fmt: skip


def power_chart(primary: EstimateEntry) -> Chart | None:
    """The probability that such data detect D, over D."""
    if primary.mde is None or not primary.df or primary.ci_high is None or primary.estimate is None:
        return None
    se = (primary.ci_high - primary.estimate) / float(stats.t.ppf(0.975, primary.df))
    differences = np.linspace(0, 1.6 * primary.mde, 60)
    detected = [100 * power(value, se, primary.df) for value in differences]
    with figure(height=2.5) as (made, axes):
        ax = axes[0, 0]
        ax.plot(differences, detected, color=INK, lw=1.6)
        ax.axhline(100 * POWER, color=MUTED, lw=0.8, ls=(0, (4, 2)))
        if primary.margin is not None:
            ax.axvline(primary.margin, color=GOOD, lw=1.2)
        ax.set(title="Power", xlabel="true difference D (points)", ylabel="detected (% of studies)")
        ax.set(ylim=(0, 102), xlim=(0, None))
        return made.described(
            name="power", alt=f"Power over the true difference: 80 % at about {number(primary.mde)} points."
        )  # fmt: skip

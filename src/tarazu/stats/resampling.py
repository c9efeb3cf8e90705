"""Sensitivity of a group difference: a crossed bootstrap and a permutation of the group labels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from tarazu.stats.contrast import Effects, language_effects

_EXACT = 20_000
"""The largest number of label assignments for which a permutation test uses all of them."""

_BLOCK = 2_000
"""Number of draws whose prompt weights are in memory at a time."""


def crossed_bootstrap(
    parts: Sequence[Effects], low: np.ndarray, draws: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Percentile interval (95 %) of the group difference when languages and prompts are both resampled.

    1. Languages are drawn with replacement within each group, and prompts with replacement within each kind. Both draws
       are multinomial weights, so that they are applied by a matrix product instead of a loop.
    2. The effect of a language is its weighted mean over its prompts, or its plain mean in a draw without any of them.
    3. The interval is the 2.5th to 97.5th percentile over the draws.

    Memory is O(draws x languages + block x prompts). The percentile interval of a crossed bootstrap is conservative
    (Owen and Eckles 2012). It is a check, not the main result.
    """
    languages = len(low)
    effects = np.zeros((draws, languages))
    for part in parts:
        present = (~np.isnan(part.cells)).astype(float)
        cells = np.nan_to_num(part.cells)
        prompts = cells.shape[1]
        even = np.full(prompts, 1 / prompts)
        plain = np.nanmean(part.cells, axis=1)
        for start in range(0, draws, _BLOCK):
            block = effects[start : start + _BLOCK]
            weights = generator.multinomial(prompts, even, size=len(block)).astype(float)
            totals = weights @ present.T
            block += part.sign * np.where(totals > 0, weights @ cells.T / np.maximum(totals, 1), plain)
    difference = np.zeros(draws)
    for group, sign in ((low, 1.0), (~low, -1.0)):
        size = int(group.sum())
        shares = generator.multinomial(size, np.full(size, 1 / size), size=draws) / size
        difference += sign * np.sum(shares * effects[:, group], axis=1)
    low_end, high_end = np.percentile(difference, [2.5, 97.5])
    return float(low_end), float(high_end)


def label_permutation(
    parts: Sequence[Effects], low: np.ndarray, draws: int, generator: np.random.Generator
) -> tuple[float, bool]:
    """p-value of the studentised group difference under permutation of the group labels, and whether it is exact.

    1. The statistic is Welch's t on the languages' effects, which keeps the level if the groups' spreads differ
       (Janssen 1997).
    2. With at most 20,000 ways to label the languages, uses all of them. Otherwise uses `draws` random ones, and adds
       one to numerator and denominator (Phipson and Smyth 2010). Ties count as extreme, with a relative tolerance.
    """
    values = language_effects(parts)
    size, n_low = len(low), int(low.sum())
    exact = math.comb(size, n_low) <= _EXACT
    if exact:
        chosen = np.array(list(itertools.combinations(range(size), n_low)))
        labels = np.zeros((len(chosen), size), dtype=bool)
        labels[np.arange(len(chosen))[:, None], chosen] = True
    else:
        labels = np.argsort(generator.random((draws, size)), axis=1) < n_low
    observed = abs(_welch(values, low[None])[0])
    extreme = int(np.sum(np.abs(_welch(values, labels)) >= observed * (1 - 1e-12)))
    return (extreme / len(labels), True) if exact else ((extreme + 1) / (draws + 1), False)


def _welch(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Welch's t of each row of labels (draws, languages). 0 if there is neither spread nor difference."""
    difference = np.zeros(len(labels))
    variance = np.zeros(len(labels))
    for group, sign in ((labels, 1.0), (~labels, -1.0)):
        count = group.sum(axis=1)
        mean = group @ values / count
        spread = (group @ values**2 - count * mean**2) / (count - 1)
        difference += sign * mean
        variance += np.maximum(spread, 0.0) / count
    with np.errstate(divide="ignore", invalid="ignore"):
        t = difference / np.sqrt(variance)
    return np.nan_to_num(t, nan=0.0, posinf=np.inf, neginf=-np.inf)

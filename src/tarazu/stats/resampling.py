"""Sensitivity of a group difference: a crossed bootstrap and a permutation of the group labels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from tarazu.stats.contrast import Effects, language_effects

_EXACT = 20_000
"""Label assignments up to which a permutation test goes through all of them."""

_BLOCK = 2_000
"""Draws whose prompts' weights are held at a time."""


def crossed_bootstrap(
    parts: Sequence[Effects], low: np.ndarray, draws: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Percentile interval (95 %) of the group difference when languages and prompts are both drawn anew.

    1. Languages are drawn with replacement within each group, prompts with replacement within each kind; both as
       multinomial weights, so that a draw is a matrix product and not a loop.
    2. A language's effect is its weighted mean over the prompts that it has; a draw in which it has none counts its
       plain mean.
    3. The interval is the 2.5th to 97.5th percentile over the draws.

    Memory is O(draws x languages + block x prompts). The percentile interval of a crossed bootstrap covers more than
    it says (Owen and Eckles 2012); it is a check, not the answer.
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
    """p-value of the studentised group difference under exchange of the group labels, and whether it is exact.

    1. The statistic is Welch's t on the languages' effects, which keeps the level where the groups' spreads differ
       (Janssen 1997).
    2. Where there are at most 20,000 ways to label the languages, all of them; else `draws` random ones, and one is
       added above and below (Phipson and Smyth 2010). Ties count as extreme, by a relative tolerance.
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
    """Welch's t of each row of labels (draws, languages); 0 where there is no spread and no difference."""
    difference = np.zeros(len(labels))
    variance = np.zeros(len(labels))
    for group, sign in ((labels, 1.0), (~labels, -1.0)):
        count = group.sum(axis=1)
        mean = group @ values / count
        spread = (group @ values**2 - count * mean**2) / (count - 1)
        difference += sign * mean
        variance += np.maximum(spread, 0.0) / count
    with np.errstate(divide="ignore", invalid="ignore"):
        found = difference / np.sqrt(variance)
    return np.nan_to_num(found, nan=0.0, posinf=np.inf, neginf=-np.inf)

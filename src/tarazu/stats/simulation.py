"""Simulated studies whose truth is planted: languages, prompts, two arms, and a ruler with errors of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special

from tarazu.stats.contrast import Effects
from tarazu.stats.ruler import Ruler

SIGNS = (-1.0, 1.0)
"""How the kinds enter the tilt: harmful, benign."""

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a simulated study is drawn from.

    Whether a response passes is a coin whose log-odds are level + language + prompt and, for the arm, + shift +
    language by arm + prompt by arm and group; every part but the level and the shift (harmful, benign) normal, drawn
    anew for each kind. `difference` is D in points, planted in the benign prompts of the low-resource languages. The
    ruler calls a response rightly with the probability `ruler` (high, low); it is tested on `known` good and as many
    bad answers per language and kind.
    """

    high: int
    low: int
    prompts: int
    difference: float = 0.0
    level: float = 0.0
    shift: tuple[float, float] = (-0.2, 0.8)
    sd_language: float = 0.7
    sd_prompt: float = 1.0
    sd_language_arm: float = 0.35
    sd_prompt_arm_group: float = 0.35
    missing: float = 0.05
    ruler: tuple[float, float] = (1.0, 1.0)
    known: int = 0


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """One study: `passed` per kind holds (base, arm), each (languages, prompts), NaN where a cell is missing; `low` is
    (languages,) boolean; `rulers` has what the known answers say, per kind, each (languages,)."""

    passed: tuple[tuple[np.ndarray, np.ndarray], ...]
    low: np.ndarray
    rulers: tuple[tuple[Ruler, ...], ...]

    def effects(self) -> list[Effects]:
        """Changes in points, per kind."""
        return [
            Effects(cells=100 * (arm - base), sign=sign) for sign, (base, arm) in zip(SIGNS, self.passed, strict=True)
        ]


def mean_rate(centre: float, spread: float) -> float:
    """The mean of logistic(centre + spread z) over a standard normal z, by Gauss-Hermite quadrature."""
    return float(_WEIGHTS @ special.expit(centre + spread * _NODES) / _WEIGHTS.sum())


@cache
def extra_shift(truth: Truth) -> float:
    """The log-odds by which the arm's shift in the low group's benign prompts must exceed that in the high group's for
    D to be as planted, in the population of languages and prompts. Raises ValueError where no shift can do it."""
    spread = float(np.sqrt(sum(sd**2 for sd in _spreads(truth))))

    def short(extra: float) -> float:
        centre = truth.level + truth.shift[1]
        return 100 * (mean_rate(centre + extra, spread) - mean_rate(centre, spread)) - truth.difference

    return float(optimize.brentq(short, -30, 30)) if truth.difference else 0.0


def simulate(truth: Truth, random: np.random.Generator) -> Simulated:
    """Draw one study."""
    languages = truth.high + truth.low
    low = np.arange(languages) >= truth.high
    shifts = np.array(truth.shift)[:, None] + np.outer([0.0, extra_shift(truth)], low)
    right = np.where(low, truth.ruler[1], truth.ruler[0])[:, None]
    passed, rulers = [], []
    for shift in shifts:
        language = random.normal(0, truth.sd_language, (languages, 1))
        prompt = random.normal(0, truth.sd_prompt, (1, truth.prompts))
        by_language = random.normal(0, truth.sd_language_arm, (languages, 1))
        by_group = random.normal(0, truth.sd_prompt_arm_group, (2, truth.prompts))[low.astype(int)]
        before = truth.level + language + prompt
        after = before + shift[:, None] + by_language + by_group
        there = random.random((languages, truth.prompts)) >= truth.missing
        both = []
        for odds in (before, after):
            found = random.random(odds.shape) < special.expit(odds)
            called = np.where(random.random(odds.shape) < right, found, ~found)
            both.append(np.where(there, called.astype(float), np.nan))
        passed.append((both[0], both[1]))
        hits = random.binomial(truth.known, np.broadcast_to(right, (languages, 2)))
        rulers.append(tuple(Ruler(passed_good=int(a), failed_bad=int(b), n=truth.known) for a, b in hits))
    return Simulated(passed=tuple(passed), low=low, rulers=tuple(rulers))


def _spreads(truth: Truth) -> tuple[float, ...]:
    return truth.sd_language, truth.sd_prompt, truth.sd_language_arm, truth.sd_prompt_arm_group

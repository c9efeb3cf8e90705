"""Simulated studies with a planted truth: languages, prompts, two arms, a ruler with errors, and people's labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special

from tarazu.stats.contrast import Effects
from tarazu.stats.ruler import Ruler

SIGNS = (-1.0, 1.0)
"""Signs of the kinds in the tilt: harmful, benign."""

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The parameters of a simulated study.

    The log-odds that a response passes are level + language + prompt and, for the arm, + shift + language by arm +
    prompt by arm and group. All terms but the level and the shift (harmful, benign) are normal and drawn separately for
    each kind. `difference` is D in points, planted in the benign prompts of the low-resource languages. The ruler
    labels a response correctly with probability `ruler` (high, low), or with these for good responses and with
    `specificity` for bad ones. It is tested on `known` good and as many bad answers per language and kind. People label
    `labelled` responses per language, kind and arm, drawn at random; their labels are the truth. With `together`, they
    label those to the same prompts in every language. With `own_prompts`, every language has prompts of its own, in
    place of those that all share.
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
    specificity: tuple[float, float] | None = None
    known: int = 0
    labelled: int = 0
    together: bool = False
    own_prompts: bool = False


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """One study. For each kind, `passed` has (base, arm), each (languages, prompts), NaN for missing cells. `low` is
    boolean, (languages,). For each kind, `rulers` has the results of the known answers, (languages,), and `people` has
    people's labels like `passed`, NaN for responses that they did not label."""

    passed: tuple[tuple[np.ndarray, np.ndarray], ...]
    low: np.ndarray
    rulers: tuple[tuple[Ruler, ...], ...]
    people: tuple[tuple[np.ndarray, np.ndarray], ...]

    def effects(self) -> list[Effects]:
        """Changes in points, for each kind."""
        return [
            Effects(cells=100 * (arm - base), sign=sign) for sign, (base, arm) in zip(SIGNS, self.passed, strict=True)
        ]


def mean_rate(centre: float, spread: float) -> float:
    """The mean of logistic(centre + spread z) over a standard normal z, by Gauss-Hermite quadrature."""
    return float(_WEIGHTS @ special.expit(centre + spread * _NODES) / _WEIGHTS.sum())


@cache
def extra_shift(truth: Truth) -> float:
    """The extra log-odds of the arm's shift in the low group's benign prompts, compared with the high group, that give
    the planted D in the population of languages and prompts. Raises ValueError if no shift can."""
    spread = float(np.sqrt(sum(sd**2 for sd in _spreads(truth))))

    def excess(extra: float) -> float:
        centre = truth.level + truth.shift[1]
        return 100 * (mean_rate(centre + extra, spread) - mean_rate(centre, spread)) - truth.difference

    return float(optimize.brentq(excess, -30, 30)) if truth.difference else 0.0


def simulate(truth: Truth, random: np.random.Generator) -> Simulated:
    """Draw one study."""
    languages = truth.high + truth.low
    low = np.arange(languages) >= truth.high
    shifts = np.array(truth.shift)[:, None] + np.outer([0.0, extra_shift(truth)], low)
    if_good, if_bad = (
        np.where(low, in_low, in_high)[:, None] for in_high, in_low in (truth.ruler, truth.specificity or truth.ruler)
    )
    passed, true, rulers = [], [], []
    for shift in shifts:
        language = random.normal(0, truth.sd_language, (languages, 1))
        prompt = random.normal(0, truth.sd_prompt, (languages if truth.own_prompts else 1, truth.prompts))
        by_language = random.normal(0, truth.sd_language_arm, (languages, 1))
        sets = languages if truth.own_prompts else 2
        which = np.arange(languages) if truth.own_prompts else low.astype(int)
        by_group = random.normal(0, truth.sd_prompt_arm_group, (sets, truth.prompts))[which]
        before = truth.level + language + prompt
        after = before + shift[:, None] + by_language + by_group
        present = random.random((languages, truth.prompts)) >= truth.missing
        both, best = [], []
        for odds in (before, after):
            passes = random.random(odds.shape) < special.expit(odds)
            labels = np.where(random.random(odds.shape) < np.where(passes, if_good, if_bad), passes, ~passes)
            both.append(np.where(present, labels.astype(float), np.nan))
            best.append(np.where(present, passes.astype(float), np.nan))
        passed.append((both[0], both[1]))
        true.append(best)
        hits = random.binomial(truth.known, np.column_stack([if_good, if_bad]))
        rulers.append(tuple(Ruler(passed_good=int(a), failed_bad=int(b), n=truth.known) for a, b in hits))
    people = [tuple(_sampled(one, truth, random) for one in best) for best in true]
    return Simulated(
        passed=tuple(passed), low=low, rulers=tuple(rulers), people=tuple((base, arm) for base, arm in people)
    )


def _sampled(labels: np.ndarray, truth: Truth, random: np.random.Generator) -> np.ndarray:
    """Random labels of each language (languages, prompts), NaN for the others."""
    if not truth.labelled:
        return np.full(labels.shape, np.nan)
    draw = random.random(labels.shape[1:] if truth.together else labels.shape)
    order = np.where(np.isnan(labels), np.inf, draw).argsort(axis=1).argsort(axis=1)
    return np.where(order < truth.labelled, labels, np.nan)


def _spreads(truth: Truth) -> tuple[float, ...]:
    return truth.sd_language, truth.sd_prompt, truth.sd_language_arm, truth.sd_prompt_arm_group

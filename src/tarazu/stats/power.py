"""The standard error and power of a design, from variance components, before any response exists."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

from tarazu.stats.contrast import ALPHA, POWER, Effects, group_weights, language_effects, shared_variance


@dataclass(frozen=True, kw_only=True)
class Components:
    """Standard deviations in points.

    `language_sd`: of what is compared, between the languages of a group. Per kind of prompts, `cell_sd`: of the change
    of one prompt in one language, and `prompt_sd`: of the effect of a prompt on all languages of a group. `seed_sd`: of
    the effect of a training seed on them, None with a single seed.
    """

    language_sd: float
    cell_sd: tuple[float, ...]
    prompt_sd: tuple[float, ...]
    seed_sd: float | None = None


ASSUMED = Components(language_sd=10.0, cell_sd=(70.0, 70.0), prompt_sd=(15.0, 15.0))
"""Used without a pilot: about half of the responses change, languages differ by 10 points. These are assumptions."""

ASSUMED_ONE = Components(language_sd=7.0, cell_sd=(70.0,), prompt_sd=(15.0,))
"""The same for one kind of prompts: the tilt is the difference of two such changes, so it varies sqrt(2) as much."""


def assumed(kinds: int) -> Components:
    """The components assumed without a pilot, for a quantity of one or of two kinds of prompts."""
    return ASSUMED_ONE if kinds == 1 else ASSUMED


@dataclass(frozen=True, kw_only=True)
class Design:
    """Languages per group, prompts per language for each kind that is compared, and training seeds."""

    high: int
    low: int
    prompts: tuple[float, ...]
    seeds: int = 1


def components(parts: Sequence[Effects], low: np.ndarray, runs: np.ndarray | None = None) -> Components | None:
    """The variance components of a run by the method of moments, floored at 0. Needs 2 languages per group.

    None if for some kind no language has two prompts: the effects of prompts and languages cannot be separated then.

    The variance of a cell within a language is what remains after removing the prompt means of languages and groups.
    That of languages is their variance minus the contribution of their cells and prompts.
    """
    weights = group_weights(low)
    sizes = 1 / low.sum() + 1 / (~low).sum()
    cell, prompt, noise = [], [], 0.0
    for part in parts:
        counts = (~np.isnan(part.cells)).sum(axis=1)
        repeated = part.cells[counts > 1]
        if not len(repeated):
            return None
        shared, prompts = shared_variance(part.cells, weights, low)
        within = float(np.nanmean(np.nanvar(repeated, axis=1, ddof=1)))
        # A prompt effect specific to each group adds 2 s^2 / P to the variance of the difference of two groups.
        by_prompt = min(within, shared * prompts / 2)
        prompt.append(math.sqrt(by_prompt))
        cell.append(math.sqrt(within - by_prompt))
        noise += cell[-1] ** 2 * float(np.mean(1 / counts))
    values = language_effects(parts)
    spread = sum(float(np.var(values[group], ddof=1)) / int(group.sum()) for group in (low, ~low)) / sizes
    # Prompts that move a complete group do not spread its languages, so only the contribution of cells is subtracted.
    language = max(0.0, spread - noise)
    return Components(
        language_sd=math.sqrt(language),
        cell_sd=tuple(cell),
        prompt_sd=tuple(prompt),
        seed_sd=None if runs is None else seed_component(runs, low),
    )


def seed_component(runs: np.ndarray, low: np.ndarray) -> float:
    """The standard deviation, in points, of a training seed's effect on all languages of a group, by the method of
    moments. `runs` is (languages, seeds)."""
    shared, seeds = shared_variance(runs, group_weights(low), low)
    return math.sqrt(shared * seeds / 2)


def expected_error(design: Design, components: Components) -> tuple[float, float]:
    """The expected standard error of D for a design, and its degrees of freedom (Satterthwaite's, as in the analysis).
    An unknown seed component counts as 0."""
    cells = sum(sd**2 / prompts for sd, prompts in zip(components.cell_sd, design.prompts, strict=True))
    per_language = components.language_sd**2 + cells
    parts: list[tuple[float, float]] = [(per_language / size, size - 1) for size in (design.high, design.low)]
    parts += [
        (2 * sd**2 / prompts, max(1.0, prompts - 1))
        for sd, prompts in zip(components.prompt_sd, design.prompts, strict=True)
    ]
    if components.seed_sd and design.seeds > 1:
        parts.append((2 * components.seed_sd**2 / design.seeds, design.seeds - 1))
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / degrees for part, degrees in parts if part > 0)
    if components.seed_sd and design.seeds == 1:
        # A single seed cannot show how seeds differ: the error exists, but the analysis does not include it.
        variance += 2 * components.seed_sd**2
    return math.sqrt(variance), df


def power(difference: float, se: float, df: float) -> float:
    """Probability that the two-sided t test at 5 % detects D = `difference`: both tails of a noncentral t, or
    equivalently the upper tail of a noncentral F with one numerator degree of freedom."""
    if difference == 0:
        return ALPHA
    critical = float(stats.t.ppf(1 - ALPHA / 2, df))
    return float(stats.ncf.sf(critical**2, 1, df, (difference / se) ** 2))


def detectable(se: float, df: float) -> float:
    """The smallest D that is detected with 80 % power."""
    enough = se
    while power(enough, se, df) < POWER:
        enough *= 1.5
    return float(optimize.brentq(lambda d: power(d, se, df) - POWER, 1e-9 * se, enough))


def equivalence_power(margin: float, se: float, df: float) -> float:
    """Probability that both one-sided tests at 5 % pass at the margin if D is 0: 2 F_t(margin / se - t_0.95) - 1,
    floored at 0."""
    return max(0.0, 2 * float(stats.t.cdf(margin / se - stats.t.ppf(1 - ALPHA, df), df)) - 1)


ASSUMED_KAPPA = 0.6
"""Agreement of a judge with people, where none has been measured: what is often called moderate."""


@dataclass(frozen=True, kw_only=True)
class LabelNoise:
    """Per kind that is compared: the variance of people's labels of a response that the judge's labels leave
    unexplained, (1 - r^2) p (1 - p), where p is the rate and r the correlation of the two."""

    unexplained: tuple[float, ...]


def noise_of_agreement(kappa: float, kinds: int) -> LabelNoise:
    """The noise of this many kinds, for rates of 50 % and a judge that accepts as many responses as people do: kappa is
    then the correlation."""
    return LabelNoise(unexplained=tuple((1 - kappa**2) / 4 for _ in range(kinds)))


def unexplained(good: int, bad: int, sensitivity: float, specificity: float) -> float:
    """(1 - r^2) p (1 - p), from a judge's sensitivity and specificity (shares) on responses that people accept (`good`)
    and reject (`bad`)."""
    rate = good / (good + bad)
    accepted = rate * sensitivity + (1 - rate) * (1 - specificity)
    spread, judged = rate * (1 - rate), accepted * (1 - accepted)
    shared = spread * (sensitivity + specificity - 1)
    return spread - shared**2 / judged if judged > 0 else spread


def error_by_people(
    design: Design, components: Components, noise: LabelNoise, labelled: int | None
) -> tuple[float, float]:
    """The expected standard error of D by people's labels, and its degrees of freedom, if people label this many
    responses per arm, language and kind. None: all of them.

    A sample of n of N responses adds (1 / n - 1 / N) (1 - r^2) p (1 - p) to the variance of each of the two arms' rates
    in a language (Cochran 1977, eq. 7.29).
    """
    added = 0.0
    for variance, prompts in zip(noise.unexplained, design.prompts, strict=True):
        n = prompts if labelled is None else min(float(labelled), prompts)
        added += 2 * 100**2 * variance * (1 / n - 1 / prompts)
    spread = math.sqrt(components.language_sd**2 + added)
    return expected_error(design, replace(components, language_sd=spread))


@dataclass(frozen=True, kw_only=True)
class LabelsNeeded:
    """How many responses people must label per arm, language and kind: to detect a D of the margin with 80 % power
    (None: all are too few), and for a standard error at most a tenth above that with `every` response labelled."""

    margin: int | None
    tenth: int
    every: int
    detectable: float
    """The smallest D that is detected with 80 % power if all responses are labelled."""


def labels_needed(design: Design, components: Components, noise: LabelNoise, margin: float) -> LabelsNeeded:
    """The labels that a design needs, by bisection: more labels never give a larger error."""
    every = math.ceil(max(design.prompts))
    best = error_by_people(design, components, noise, None)

    def fewest(enough: Callable[[int], bool]) -> int | None:
        if not enough(every):
            return None
        low, high = 0, every
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return high

    tenth = fewest(lambda n: error_by_people(design, components, noise, n)[0] <= 1.1 * best[0])
    return LabelsNeeded(
        margin=fewest(lambda n: detectable(*error_by_people(design, components, noise, n)) <= margin),
        tenth=every if tenth is None else tenth,
        every=every,
        detectable=detectable(*best),
    )

"""What a design can see: the error of D from its parts, before anything is spent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from tarazu.stats.contrast import ALPHA, POWER, Effects, group_weights, language_effects, shared_variance


@dataclass(frozen=True, kw_only=True)
class Components:
    """Standard deviations in points: of the tilt between languages of a group, and per kind (harmful, benign) of one
    prompt's change in one language, and of what a prompt does to all languages of a group alike; of what a training
    seed does to them alike, None where there was one seed."""

    language_sd: float
    cell_sd: tuple[float, ...]
    prompt_sd: tuple[float, ...]
    seed_sd: float | None = None


ASSUMED = Components(language_sd=10.0, cell_sd=(70.0, 70.0), prompt_sd=(15.0, 15.0))
"""Where there is no pilot: about half of the responses change, languages differ by 10 points. Assumptions, no data."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Languages per group, prompts per language for each kind (harmful, benign), training seeds."""

    high: int
    low: int
    prompts: tuple[float, ...]
    seeds: int = 1


def components(parts: Sequence[Effects], low: np.ndarray, runs: np.ndarray | None = None) -> Components | None:
    """The components of a run by the method of moments, floored at 0; at least 2 languages a group.

    None where in some kind no language has two prompts: there its effect cannot be separated from the language's.

    Within a language a cell's variance is what is left once the languages' and the groups' prompt means are taken out;
    the languages' is their spread less what their cells and prompts bring to it.
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
        # A prompt effect of each group's own adds 2 s^2 / P to the variance of a difference of two groups.
        by_prompt = min(within, shared * prompts / 2)
        prompt.append(math.sqrt(by_prompt))
        cell.append(math.sqrt(within - by_prompt))
        noise += cell[-1] ** 2 * float(np.mean(1 / counts))
    values = language_effects(parts)
    spread = sum(float(np.var(values[group], ddof=1)) / int(group.sum()) for group in (low, ~low)) / sizes
    # Prompts that move a whole group do not spread its languages, so only the cells' part is taken off.
    language = max(0.0, spread - noise)
    return Components(
        language_sd=math.sqrt(language),
        cell_sd=tuple(cell),
        prompt_sd=tuple(prompt),
        seed_sd=None if runs is None else seed_component(runs, low),
    )


def seed_component(runs: np.ndarray, low: np.ndarray) -> float:
    """What a training seed does to all languages of a group alike, a standard deviation in points, by the method of
    moments. `runs` is (languages, seeds)."""
    shared, seeds = shared_variance(runs, group_weights(low), low)
    return math.sqrt(shared * seeds / 2)


def expected_error(design: Design, found: Components) -> tuple[float, float]:
    """The standard error of D that a design leads one to expect, and its degrees of freedom (Satterthwaite's, as in the
    analysis). A seed component that is not known counts as 0."""
    cells = sum(sd**2 / prompts for sd, prompts in zip(found.cell_sd, design.prompts, strict=True))
    per_language = found.language_sd**2 + cells
    parts: list[tuple[float, float]] = [(per_language / size, size - 1) for size in (design.high, design.low)]
    parts += [
        (2 * sd**2 / prompts, max(1.0, prompts - 1))
        for sd, prompts in zip(found.prompt_sd, design.prompts, strict=True)
    ]
    if found.seed_sd and design.seeds > 1:
        parts.append((2 * found.seed_sd**2 / design.seeds, design.seeds - 1))
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / degrees for part, degrees in parts if part > 0)
    if found.seed_sd and design.seeds == 1:
        # One seed cannot show how seeds differ: the error is there, the analysis does not see it.
        variance += 2 * found.seed_sd**2
    return math.sqrt(variance), df


def power(difference: float, se: float, df: float) -> float:
    """Probability that the two-sided t test at 5 % finds D = `difference`: both tails of a noncentral t, which are the
    upper tail of a noncentral F with one degree of freedom above."""
    if difference == 0:
        return ALPHA
    critical = float(stats.t.ppf(1 - ALPHA / 2, df))
    return float(stats.ncf.sf(critical**2, 1, df, (difference / se) ** 2))


def detectable(se: float, df: float) -> float:
    """The smallest D that is found with 80 % power."""
    enough = se
    while power(enough, se, df) < POWER:
        enough *= 1.5
    return float(optimize.brentq(lambda d: power(d, se, df) - POWER, 1e-9 * se, enough))


def equivalence_power(margin: float, se: float, df: float) -> float:
    """Probability that both one-sided tests at 5 % pass at the margin where D is 0: 2 F_t(margin / se - t_0.95) - 1, at
    the least 0."""
    return max(0.0, 2 * float(stats.t.cdf(margin / se - stats.t.ppf(1 - ALPHA, df), df)) - 1)

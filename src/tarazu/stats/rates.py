"""Rates and their intervals. All values are in percent, 0 to 100. Intervals are two-sided 95 %."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

LEVEL = 0.95
Z = float(stats.norm.ppf((1 + LEVEL) / 2))


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A rate with its interval. `value` and bounds are None if the rate is not defined, for the `reason`.

    `n` counts responses, and `n_languages` languages.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_languages: int
    reason: str | None = None


def undefined(reason: str, n: int = 0, n_languages: int = 0) -> Rate:
    return Rate(value=None, ci_low=None, ci_high=None, n=n, n_languages=n_languages, reason=reason)


def wilson(passed: float, n: int) -> Rate:
    """The rate passed / n with Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001, eq. 4).

    Not defined for n = 0.
    """
    if n == 0:
        return undefined("no responses")
    return replace(wilson_at(passed / n, n), n=n)


def wilson_at(p: float, n: float) -> Rate:
    """Wilson's interval for a share p of n effective responses."""
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half_width = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    # At p = 0 and p = 1 a bound equals the rate, and rounding must not put it on the other side.
    low, high = min(centre - half_width, p), max(centre + half_width, p)
    return Rate(value=100 * p, ci_low=100 * max(0.0, low), ci_high=100 * min(1.0, high), n=round(n), n_languages=1)


def of_prompts(passed: np.ndarray, responses: np.ndarray) -> Rate:
    """The rate of all responses, some of which answer the same prompt and so are not independent trials.

    `passed` and `responses` are counts per prompt, (prompts,). Uses Wilson's interval at the effective number of
    responses, p (1 - p) / V, where V is the rate's variance with prompts as clusters (Korn and Graubard 1998). It is
    limited to the range from the number of prompts to that of responses. `n` counts responses. With one response per
    prompt the result is that of `wilson`.
    """
    total, prompts = int(responses.sum()), len(responses)
    plain = wilson(float(passed.sum()), total)
    if total == prompts or prompts < 2 or plain.value is None:
        return plain
    p = plain.value / 100
    variance = prompts / (prompts - 1) * float(np.sum((passed - p * responses) ** 2)) / total**2
    effective = p * (1 - p) / variance if variance > 0 else float(prompts)
    effective = min(float(total), max(float(prompts), effective))
    return replace(wilson_at(p, effective), n=total)


def complement(rate: Rate) -> Rate:
    """100 % minus a rate."""
    if rate.value is None or rate.ci_low is None or rate.ci_high is None:
        return rate
    return replace(rate, value=100 - rate.value, ci_low=100 - rate.ci_high, ci_high=100 - rate.ci_low)


def mean_of_two(first: Rate, second: Rate, correlation: float = 0.0) -> Rate:
    """The mean of two rates, with an interval by MOVER (Zou and Donner 2008, eq. 1 and 4).

    Not defined if one of the two is not.
    """
    n, languages = first.n + second.n, min(first.n_languages, second.n_languages)
    bounds = (first.value, first.ci_low, first.ci_high, second.value, second.ci_low, second.ci_high)
    if any(bound is None for bound in bounds):
        return undefined("needs both HmR and HpR", n, languages)
    a, a_low, a_high, b, b_low, b_high = (float(bound) for bound in bounds if bound is not None)
    value = (a + b) / 2
    return Rate(
        value=value,
        ci_low=max(0.0, value - _reach(a - a_low, b - b_low, correlation) / 2),
        ci_high=min(100.0, value + _reach(a_high - a, b_high - b, correlation) / 2),
        n=n,
        n_languages=languages,
    )


def _reach(one: float, other: float, correlation: float) -> float:
    """The distance from a sum of two estimates to the bound of its interval, from the distances of each (MOVER)."""
    return math.sqrt(max(0.0, one**2 + 2 * correlation * one * other + other**2))


def over_languages(rates: Sequence[Rate], pooled: Rate) -> Rate:
    """The unweighted mean of the languages' rates, with languages as clusters.

    1. Languages without a defined rate are excluded. With none left the mean is not defined; with one it is that rate.
    2. The interval is Student's t on the languages' rates, with one degree of freedom fewer than languages, limited to
       0 and 100.
    3. If all languages agree exactly (as at 0 or 100 %), their spread has no information. The interval is then that of
       `pooled`, all responses taken together.
    """
    defined = [rate for rate in rates if rate.value is not None]
    if not defined:
        return undefined("no language has responses of this kind")
    if len(defined) == 1:
        return defined[0]
    values = np.array([rate.value for rate in defined], dtype=float)
    n = sum(rate.n for rate in defined)
    mean = math.fsum(values) / len(values)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    if error < 1e-9:
        low, high = pooled.ci_low, pooled.ci_high
    else:
        half_width = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * error
        low, high = max(0.0, mean - half_width), min(100.0, mean + half_width)
    return Rate(value=mean, ci_low=low, ci_high=high, n=n, n_languages=len(values))


def change(after: np.ndarray, before: np.ndarray) -> Rate:
    """The mean change of a rate in points, over requests that were answered before and after.

    `after` and `before` are shares of responses that passed, (requests,). The interval is MOVER for a difference of two
    correlated proportions (Newcombe 1998, paired data, method 10). It combines Wilson's interval for each with their
    correlation over requests; a positive correlation is reduced by Newcombe's continuity correction. Unlike a t
    interval, it does not shrink to a point if no request changed. Not defined without requests.
    """
    n = len(after)
    if n == 0:
        return undefined("no request that both arms answered")
    first, second = wilson(float(after.sum()), n), wilson(float(before.sum()), n)
    spread = float(after.std() * before.std())
    shared = float(np.mean((after - after.mean()) * (before - before.mean())))
    corrected = max(0.0, shared - 1 / (2 * n)) if shared > 0 else shared
    together = corrected / spread if spread > 1e-12 else 0.0
    return replace(difference(first, second, together), n=n)


def difference(first: Rate, second: Rate, correlation: float = 0.0) -> Rate:
    """first - second in points, with an interval by MOVER (Zou and Donner 2008, eq. 4).

    Not defined if one of the two is not. `n` counts both.
    """
    n = first.n + second.n
    bounds = (first.value, first.ci_low, first.ci_high, second.value, second.ci_low, second.ci_high)
    if any(bound is None for bound in bounds):
        return undefined(first.reason or second.reason or "not defined", n, 0)
    a, a_low, a_high, b, b_low, b_high = (float(bound) for bound in bounds if bound is not None)
    value = a - b
    return Rate(
        value=value,
        ci_low=value - _reach(a - a_low, b_high - b, -correlation),
        ci_high=value + _reach(a_high - a, b - b_low, -correlation),
        n=n,
        n_languages=min(first.n_languages, second.n_languages),
    )


def improvement(rate: Rate, base: Rate) -> float | None:
    """Percent change of a rate relative to the base arm. None if either is not defined or the base is 0."""
    if rate.value is None or not base.value:
        return None
    return 100 * (rate.value - base.value) / base.value

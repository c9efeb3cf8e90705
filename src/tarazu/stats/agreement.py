"""Agreement between raters on nominal labels: Cohen's and Fleiss's kappa, Krippendorff's alpha, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tarazu.stats.rates import wilson

KappaName = Literal["cohen", "fleiss"]

_BLOCK = 2_000_000
"""Cells of the matrix of bootstrap weights that are in memory at a time."""

_DEFINED = 0.9
"""Share of the bootstrap draws in which a coefficient must be defined for an interval."""

NO_PAIRS = "no response has labels of two people"
ONE_CLASS = "all labels are the same, so chance alone would give this agreement"
ONE_PROMPT = "fewer than two prompts, so no error is known"


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """A coefficient with its 95 % interval. Values that are not defined are None, for the `reason`."""

    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """Nominal labels. `labels` (responses, raters) are numbers from 0, -1 where a rater gave none. `prompt`
    (responses,) numbers the prompts from 0: responses to the same prompt are resampled together."""

    labels: np.ndarray
    prompt: np.ndarray

    def take(self, index: np.ndarray) -> Ratings:
        """The responses at a mask or at positions."""
        return Ratings(labels=self.labels[index], prompt=self.prompt[index])

    def shared(self) -> Ratings:
        """The responses with two labels or more, and the raters who gave any of these labels."""
        kept = self.take(np.flatnonzero((self.labels >= 0).sum(axis=1) > 1))
        return Ratings(labels=kept.labels[:, (kept.labels >= 0).any(axis=0)], prompt=kept.prompt)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How intervals are computed: percentiles over this many draws of prompts, with replacement."""

    draws: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far raters agree on the responses that at least two of them labelled (`n`, by `raters` people)."""

    n: int
    raters: int
    agreed: Coefficient
    kappa: Coefficient
    kappa_name: KappaName | None
    alpha: Coefficient


def agreement(ratings: Ratings, bootstrap: Bootstrap) -> Agreement:
    """Percent agreement, kappa and Krippendorff's alpha (nominal) of the responses with at least two labels.

    1. `agreed` is the share of pairs of labels of the same response that are equal, averaged over responses, in
       percent.
    2. `kappa` is Cohen's (1960) for two raters, over the responses that both labelled; Fleiss's (1971) for more if
       every response has equally many labels; otherwise not defined.
    3. `alpha` is Krippendorff's (2011, "Computing Krippendorff's Alpha-Reliability"), which takes any number of
       labels per response.
    4. Intervals: `interval`. Chance agreement is undefined if all labels are the same.
    """
    shared = ratings.shared()
    n, raters = shared.labels.shape
    if n == 0:
        nothing = Coefficient(value=None, reason=NO_PAIRS)
        return Agreement(n=0, raters=0, agreed=nothing, kappa=nothing, kappa_name=None, alpha=nothing)
    sizes = (shared.labels >= 0).sum(axis=1)
    name: KappaName | None = "cohen" if raters == 2 else "fleiss" if len(set(sizes.tolist())) == 1 else None
    if name is None:
        kappa = Coefficient(value=None, reason="the responses do not have equally many labels; see alpha")
    else:
        kappa = cohen(shared, bootstrap) if name == "cohen" else _interval(shared, _fleiss_sums, _fleiss, bootstrap)
    return Agreement(
        n=n,
        raters=raters,
        agreed=_interval(shared, _fleiss_sums, _agreed, bootstrap),
        kappa=kappa,
        kappa_name=name,
        alpha=_interval(shared, _alpha_sums, _alpha, bootstrap),
    )


def cohen(ratings: Ratings, bootstrap: Bootstrap) -> Coefficient:
    """Cohen's kappa (1960) of two raters, over the responses that both labelled."""
    both = ratings.take(np.flatnonzero((ratings.labels >= 0).all(axis=1)))
    if not len(both.labels):
        return Coefficient(value=None, reason="no response that both labelled")
    return _interval(both, _cohen_sums, _cohen, bootstrap)


Sums = Callable[[np.ndarray, int], np.ndarray]
"""From labels (responses, raters) and the number of classes to what is added up over responses, (responses, terms)."""
Formula = Callable[[np.ndarray], np.ndarray]
"""From totals (draws, terms) to the coefficient (draws,), NaN where it is not defined."""


def _interval(ratings: Ratings, sums: Sums, formula: Formula, bootstrap: Bootstrap) -> Coefficient:
    """A coefficient with the percentile interval of a bootstrap over prompts.

    If all labels agree, no draw differs from another, which is no proof that nobody would ever disagree. The lower end
    is then that of Wilson's interval for the agreement, with prompts as trials, and with the chance agreement that was
    observed.
    """
    classes, labels = np.unique(ratings.labels, return_inverse=True)
    labels = labels.reshape(ratings.labels.shape) - (1 if classes[0] < 0 else 0)
    terms = sums(labels, len(classes) - (1 if classes[0] < 0 else 0))
    prompts, prompt = np.unique(ratings.prompt, return_inverse=True)
    by_prompt = np.zeros((len(prompts), terms.shape[1]))
    np.add.at(by_prompt, prompt, terms)
    value = float(formula(by_prompt.sum(axis=0, keepdims=True))[0])
    if np.isnan(value):
        return Coefficient(value=None, reason=ONE_CLASS)
    if len(prompts) < 2:
        return Coefficient(value=value, reason=ONE_PROMPT)
    if _all_equal(labels):
        lower = wilson(len(prompts), len(prompts)).ci_low
        assert lower is not None
        if formula is _agreed:
            return Coefficient(value=value, ci_low=lower, ci_high=100.0)
        counts = np.bincount(labels[labels >= 0]) / np.sum(labels >= 0)
        chance = float(np.sum(counts**2))
        return Coefficient(value=value, ci_low=(lower / 100 - chance) / (1 - chance), ci_high=1.0)
    drawn = np.concatenate([formula(weights @ by_prompt) for weights in _weights(len(prompts), bootstrap)])
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < _DEFINED * len(drawn):
        return Coefficient(value=value, reason="too few labels of a second class for an interval")
    low, high = np.percentile(defined, [2.5, 97.5])
    return Coefficient(value=value, ci_low=min(value, float(low)), ci_high=max(value, float(high)))


def _weights(prompts: int, bootstrap: Bootstrap) -> list[np.ndarray]:
    """How often each draw has each prompt, in blocks of (draws, prompts)."""
    generator = np.random.default_rng(bootstrap.seed)
    size = max(1, _BLOCK // prompts)
    blocks = []
    for start in range(0, bootstrap.draws, size):
        draws = min(size, bootstrap.draws - start)
        chosen = generator.integers(prompts, size=(draws, prompts)) + prompts * np.arange(draws)[:, None]
        blocks.append(np.bincount(chosen.ravel(), minlength=draws * prompts).reshape(draws, prompts).astype(float))
    return blocks


def _all_equal(labels: np.ndarray) -> bool:
    lowest = np.where(labels < 0, labels.max() + 1, labels).min(axis=1)
    return bool(np.all(lowest == labels.max(axis=1)))


def _counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """How many raters gave a response each class, (responses, classes)."""
    return np.stack([(labels == one).sum(axis=1) for one in range(classes)], axis=1).astype(float)


def _cohen_sums(labels: np.ndarray, classes: int) -> np.ndarray:
    table = np.zeros((len(labels), classes * classes))
    table[np.arange(len(labels)), labels[:, 0] * classes + labels[:, 1]] = 1
    return table


def _cohen(totals: np.ndarray) -> np.ndarray:
    classes = round(totals.shape[1] ** 0.5)
    table = totals.reshape(-1, classes, classes)
    n = table.sum(axis=(1, 2))
    observed = np.trace(table, axis1=1, axis2=2) / n
    return _beyond_chance(observed, np.sum(table.sum(axis=1) * table.sum(axis=2), axis=1) / n**2)


def _fleiss_sums(labels: np.ndarray, classes: int) -> np.ndarray:
    """One, the share of pairs that are equal, and the share of each class."""
    counts = _counts(labels, classes)
    size = counts.sum(axis=1)
    equal = np.sum(counts * (counts - 1), axis=1) / (size * (size - 1))
    return np.column_stack([np.ones(len(labels)), equal, counts / size[:, None]])


def _agreed(totals: np.ndarray) -> np.ndarray:
    agreed: np.ndarray = 100 * totals[:, 1] / totals[:, 0]
    return agreed


def _fleiss(totals: np.ndarray) -> np.ndarray:
    shares = totals[:, 2:] / totals[:, :1]
    return _beyond_chance(totals[:, 1] / totals[:, 0], np.sum(shares**2, axis=1))


def _alpha_sums(labels: np.ndarray, classes: int) -> np.ndarray:
    """The coincidences of equal labels, and the count of each class."""
    counts = _counts(labels, classes)
    size = counts.sum(axis=1)
    return np.column_stack([np.sum(counts * (counts - 1), axis=1) / (size - 1), counts])


def _alpha(totals: np.ndarray) -> np.ndarray:
    counts = totals[:, 1:]
    n = counts.sum(axis=1)
    return _beyond_chance(totals[:, 0] / n, np.sum(counts * (counts - 1), axis=1) / (n * (n - 1)))


def _beyond_chance(observed: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """(observed - chance) / (1 - chance); NaN where chance alone gives full agreement."""
    possible = 1 - chance
    return np.divide(observed - chance, possible, out=np.full_like(possible, np.nan), where=possible > 1e-12)

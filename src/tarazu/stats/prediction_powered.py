"""Rates by people's labels of a random part of the responses, with a judge's labels of all of them.

Prediction-powered inference: Angelopoulos et al. 2023, arXiv 2301.09633, with the weight of the judge from
Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453. In survey sampling it is the regression estimator (Cochran 1977,
ch. 7).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from tarazu.stats.rates import Rate, undefined, wilson_at


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The responses of each cell that people labelled: how many (`count`), the sums of people's labels (`people`) and
    of the judge's labels of the same responses (`judged`), and of the products of both. Each is (cells,)."""

    count: np.ndarray
    people: np.ndarray
    judged: np.ndarray
    product: np.ndarray

    def __getitem__(self, index: np.ndarray) -> Labelled:
        return Labelled(**{item.name: getattr(self, item.name)[index] for item in fields(self)})

    def over(self, count: np.ndarray) -> Labelled:
        """The counts as shares of all responses."""
        return Labelled(**{item.name: getattr(self, item.name) / count for item in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Responses:
    """The responses of one arm to prompts of one kind, by cell (cells,): how many there are, how many the judge accepts
    (`passed`), those that people labelled, and the `language`, a number from 0."""

    count: np.ndarray
    passed: np.ndarray
    labelled: Labelled
    language: np.ndarray


def judge_weights(responses: Responses, pools: np.ndarray) -> np.ndarray:
    """The weight of the judge's labels in each language, (languages,), from 0 (useless) to 1.

    1. The weight that makes the error smallest is cov(y, f) / var(f), over people's labels y and the judge's f of the
       same responses, centred within each language.
    2. A language's weight is estimated in the other languages of its pool. It does not depend on the language's own
       sample then, so that its rate stays unbiased. `pools` (languages,) numbers the pools: the resource groups.
    """
    labelled, size = responses.labelled, len(pools)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(responses.language, values, minlength=size)

    n = np.maximum(total(labelled.count), 1.0)
    people, judged = total(labelled.people), total(labelled.judged)
    shared = total(labelled.product) - people * judged / n
    spread = judged - judged**2 / n
    same = (pools[:, None] == pools[None, :]) & ~np.eye(size, dtype=bool)
    return np.clip(_ratio(same @ shared, same @ spread), 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Correction:
    """How people's labels correct the judge's, by cell (cells,): the judge's `weight` lambda; `error`, the mean e of
    y - lambda f over the labelled responses of the language; and `times`, its responses N over those labelled n. The
    last two are NaN in languages without labels.

    A response counts lambda f + e + (y - lambda f - e) N / n if it was labelled, and else lambda f + e, where f is the
    judge's label and y people's. If the n were drawn at random, the expectation of the mean is that of y, whatever the
    judge's errors. (Without the two e the mean would be the same. But labelled responses would then differ from others
    for being labelled, which looks like an effect of prompts where languages share the labelled ones.)
    """

    weight: np.ndarray
    error: np.ndarray
    times: np.ndarray

    def rates(self, passed: np.ndarray, labelled: Labelled) -> np.ndarray:
        """A rate for each cell, whose mean over a language's cells estimates the rate by people's labels.

        `passed` and the counts in `labelled` are divided by the cell's number of responses.
        """
        own = labelled.people - self.weight * labelled.judged - self.error * labelled.count
        return self.weight * passed + self.error + self.times * own

    def by_seed(self) -> Correction:
        """The same for arrays (cells, seeds)."""
        return Correction(weight=self.weight[:, None], error=self.error[:, None], times=self.times[:, None])


def correction(responses: Responses, weights: np.ndarray) -> Correction:
    """The correction with the judge's weight in each language. If cells have unequally many responses, N, n and e are
    weighted as in the mean over cells."""
    size = len(weights)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(responses.language, values, minlength=size)

    labelled, weight = responses.labelled, weights[responses.language]
    cells, known = total(np.ones(len(weight))), total(labelled.count / responses.count)
    errors = total((labelled.people - weight * labelled.judged) / responses.count)
    error, times = (
        np.divide(values, known, out=np.full(size, np.nan), where=known > 0)[responses.language]
        for values in (errors, cells)
    )
    return Correction(weight=weight, error=error, times=times)


def pseudo_outcomes(responses: Responses, weights: np.ndarray) -> np.ndarray:
    """The corrected rate of each cell, (cells,)."""
    return correction(responses, weights).rates(
        responses.passed / responses.count, responses.labelled.over(responses.count)
    )


def labelled_rate(responses: Responses, weights: np.ndarray) -> list[Rate]:
    """The rate of each language in percent, by people's labels of a part and the judge's of all.

    1. The variance is p (1 - p) / N for the responses, and (1 / n - 1 / N) s^2 for the sample, where s^2 is the
       variance of y - lambda f among the n labelled ones. At least one more error in n + 2 labels counts: a sample
       without errors does not prove that there are none.
    2. Wilson's interval at the number of responses with that variance, from n to N. N and n count cells, since
       responses to one prompt are not independent.

    Values are limited to 0 and 100. Not defined without labels.
    """
    cells = pseudo_outcomes(responses, weights)
    labelled = responses.labelled
    rates = []
    for language, weight in enumerate(weights):
        here = responses.language == language
        n = round(float(labelled.count[here].sum()))
        total = int(responses.count[here].sum())
        if n == 0:
            rates.append(undefined("people labelled none of these responses", total))
            continue
        people, judged, product = (
            float(part[here].sum()) / n for part in (labelled.people, labelled.judged, labelled.product)
        )
        p = min(1.0, max(0.0, float(cells[here].mean())))
        residual = people - 2 * weight * product + weight**2 * judged - (people - weight * judged) ** 2
        wrong = 1 / (n + 2)
        residual = max(residual, wrong * (1 - wrong))
        most, least = int(here.sum()), int(np.sum(labelled.count[here] > 0))
        variance = p * (1 - p) / most + max(0.0, 1 / least - 1 / most) * residual
        effective = p * (1 - p) / variance if p * (1 - p) > 0 else float(least)
        rates.append(replace(wilson_at(p, min(float(most), max(float(least), effective))), n=total))
    return rates


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 1e-12)

"""Rates and intervals agree with statsmodels, scipy, published figures and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from tarazu.stats.rates import (
    change,
    difference,
    improvement,
    mean_of_two,
    of_prompts,
    over_languages,
    undefined,
    wilson,
)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_statsmodels(counts: tuple[int, int]) -> None:
    rate = wilson(*counts)
    low, high = proportion_confint(*counts, method="wilson")
    assert rate.value == pytest.approx(100 * counts[0] / counts[1], abs=1e-10)
    assert rate.ci_low == pytest.approx(100 * low, abs=1e-10)
    assert rate.ci_high == pytest.approx(100 * high, abs=1e-10)
    assert rate.ci_low is not None and rate.value is not None and rate.ci_high is not None
    assert 0 <= rate.ci_low <= rate.value <= rate.ci_high <= 100


def test_without_responses_there_is_no_rate() -> None:
    rate = wilson(0, 0)
    assert (rate.value, rate.ci_low, rate.ci_high, rate.n) == (None, None, None, 0)
    assert rate.reason


@given(st.integers(2, 200), st.integers(2, 200), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_difference_agrees_with_newcombe(n: int, m: int, p: float, q: float) -> None:
    one, other = wilson(round(p * n), n), wilson(round(q * m), m)
    low, high = confint_proportions_2indep(round(p * n), n, round(q * m), m, method="newcomb", compare="diff")
    found = difference(one, other)
    assert found.ci_low == pytest.approx(100 * low, abs=1e-8)
    assert found.ci_high == pytest.approx(100 * high, abs=1e-8)
    assert found.n == n + m


def test_difference_has_the_published_interval() -> None:
    """Newcombe 1998, table II, example (a), method 10: 56/70 against 48/80 is 0.0524 to 0.3339."""
    found = difference(wilson(56, 70), wilson(48, 80))
    assert (found.ci_low, found.ci_high) == (pytest.approx(5.24, abs=0.005), pytest.approx(33.39, abs=0.005))


@given(st.integers(0, 50), st.integers(0, 50))
def test_cas_is_half_a_difference_from_the_mirrored_rate(first: int, second: int) -> None:
    """(a + b) / 2 and (a - (100 - b)) / 2 + 50 are equal, so MOVER must give both the same interval."""
    found = mean_of_two(wilson(first, 50), wilson(second, 50))
    mirrored = difference(wilson(first, 50), wilson(50 - second, 50))
    assert mirrored.value is not None and mirrored.ci_low is not None and mirrored.ci_high is not None
    assert found.value == pytest.approx(mirrored.value / 2 + 50)
    assert found.ci_low == pytest.approx(mirrored.ci_low / 2 + 50)
    assert found.ci_high == pytest.approx(mirrored.ci_high / 2 + 50)


def test_cas_needs_both_rates() -> None:
    assert mean_of_two(wilson(1, 2), undefined("no responses")).value is None


def test_paired_change_has_the_published_interval() -> None:
    """Newcombe 1998 (paired data), cells 36, 12, 2, 0, method 10: 0.0569 to 0.3404."""
    after = np.repeat([1.0, 1.0, 0.0], [36, 12, 2])
    before = np.repeat([1.0, 0.0, 1.0], [36, 12, 2])
    found = change(after, before)
    assert found.value == pytest.approx(20)
    assert (found.ci_low, found.ci_high) == (pytest.approx(5.69, abs=0.005), pytest.approx(34.04, abs=0.005))


def test_paired_change_has_its_nominal_coverage() -> None:
    """Planted truth: 60 requests, of which 40 % pass before and 55 % after, correlated, in 2,000 studies."""
    random = np.random.default_rng(11)
    inside = 0
    for _ in range(2000):
        shared = random.normal(size=60)
        before = shared + random.normal(size=60) < stats.norm.ppf(0.40) * np.sqrt(2)
        after = shared + random.normal(size=60) < stats.norm.ppf(0.55) * np.sqrt(2)
        found = change(after.astype(float), before.astype(float))
        assert found.ci_low is not None and found.ci_high is not None
        inside += found.ci_low <= 15 <= found.ci_high
    assert stats.binomtest(inside, 2000, 0.95, alternative="less").pvalue > 0.01
    assert inside < 0.985 * 2000


def test_an_observed_change_of_zero_has_an_interval() -> None:
    found = change(np.ones(16), np.ones(16))
    assert found.value == 0
    assert found.ci_low is not None and found.ci_low < -5


@given(st.lists(st.integers(0, 40), min_size=2, max_size=50).filter(lambda counts: len(set(counts)) > 1))
def test_mean_over_languages_has_student_s_interval(counts: list[int]) -> None:
    rates = [wilson(count, 40) for count in counts]
    found = over_languages(rates, wilson(sum(counts), 40 * len(counts)))
    values = np.array([2.5 * count for count in counts])
    low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    assert found.value == pytest.approx(values.mean(), abs=1e-9)
    assert found.ci_low == pytest.approx(max(0, low), abs=1e-8)
    assert found.ci_high == pytest.approx(min(100, high), abs=1e-8)
    assert (found.n, found.n_languages) == (40 * len(counts), len(counts))


def test_languages_have_equal_weights() -> None:
    found = over_languages([wilson(1, 10), wilson(900, 1000)], wilson(901, 1010))
    assert found.value == pytest.approx(50)


def test_a_single_language_keeps_its_rate_and_equal_rates_have_the_pooled_interval() -> None:
    alone = over_languages([undefined("none"), wilson(3, 10)], wilson(3, 10))
    assert alone == wilson(3, 10)
    pooled = wilson(30, 30)
    together = over_languages([wilson(10, 10)] * 3, pooled)
    assert (together.value, together.ci_low, together.n) == (100, pooled.ci_low, 30)


def test_improvement_over_nothing_is_not_defined() -> None:
    assert improvement(wilson(1, 2), wilson(0, 2)) is None
    assert improvement(undefined("none"), wilson(1, 2)) is None
    assert improvement(wilson(26, 50), wilson(16, 50)) == pytest.approx(62.5)


def test_samples_of_a_prompt_are_not_independent() -> None:
    """Ten equal samples of a prompt have the information of one; ten independent samples that of ten prompts."""
    random = np.random.default_rng(2)
    passed = random.integers(0, 2, 80)
    one = wilson(int(passed.sum()), 80)
    ten = of_prompts(10 * passed, np.full(80, 10))
    assert (ten.ci_low, ten.ci_high) == pytest.approx((one.ci_low, one.ci_high), rel=0.01)
    assert ten.n == 800
    assert of_prompts(passed, np.ones(80, dtype=int)) == one
    loose = random.binomial(10, 0.4, 80)
    free, all_of_them = of_prompts(loose, np.full(80, 10)), wilson(int(loose.sum()), 800)
    assert free.ci_high is not None and free.ci_low is not None
    assert all_of_them.ci_high is not None and all_of_them.ci_low is not None
    assert free.ci_high - free.ci_low == pytest.approx(all_of_them.ci_high - all_of_them.ci_low, rel=0.25)


def test_the_interval_of_clustered_responses_covers() -> None:
    """Prompts of different difficulty with five samples each: about 95 % of intervals contain the mean rate."""
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(600):
        chance = random.beta(1.5, 1.0, 60)
        found = of_prompts(random.binomial(5, chance), np.full(60, 5))
        assert found.ci_low is not None and found.ci_high is not None
        hits += found.ci_low <= 60 <= found.ci_high
    assert stats.binomtest(hits, 600, 0.95).pvalue > 0.001

"""The comparison of groups against scipy, statsmodels, closed forms and simulations with a planted truth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from tarazu.stats.contrast import (
    Effects,
    group_difference,
    group_weights,
    holm,
    infer,
    language_effects,
    regression,
    shared_variance,
    verdict,
)
from tarazu.stats.resampling import crossed_bootstrap, label_permutation

LOW = np.array([False] * 6 + [True] * 5)


def unshared(random: np.random.Generator, languages: int = 11, prompts: int = 8) -> Effects:
    """Effects whose prompts are each one language's own: then prompts add nothing to the variance over languages."""
    cells = np.full((languages, languages * prompts), np.nan)
    for index in range(languages):
        cells[index, index * prompts : (index + 1) * prompts] = random.normal(random.normal(0, 20), 50, prompts)
    return Effects(cells=cells, sign=1.0)


@given(st.integers(0, 10_000))
def test_without_shared_prompts_it_is_welchs_t(seed: int) -> None:
    effects = unshared(np.random.default_rng(seed))
    found = group_difference([effects], LOW)
    values = np.nanmean(effects.cells, axis=1)
    test = stats.ttest_ind(values[LOW], values[~LOW], equal_var=False)
    interval = test.confidence_interval(0.95)
    assert found.estimate == pytest.approx(values[LOW].mean() - values[~LOW].mean(), abs=1e-10)
    assert found.p == pytest.approx(test.pvalue, abs=1e-10)
    assert found.df == pytest.approx(test.df, rel=1e-10)
    assert (found.ci_low, found.ci_high) == (pytest.approx(interval.low), pytest.approx(interval.high))


@given(st.integers(0, 10_000), st.floats(0.5, 60))
def test_equivalence_is_two_one_sided_tests(seed: int, margin: float) -> None:
    effects = unshared(np.random.default_rng(seed))
    found = group_difference([effects], LOW)
    values = np.nanmean(effects.cells, axis=1)
    both = CompareMeans(DescrStatsW(values[LOW]), DescrStatsW(values[~LOW]))
    p = both.ttost_ind(-margin, margin, usevar="unequal")[0]
    assert found.smallest_margin is not None
    assert (found.smallest_margin <= margin) == (p <= 0.05)


@given(st.integers(0, 10_000))
def test_one_error_cannot_contradict_itself(seed: int) -> None:
    """p < 0.05 where the interval leaves 0 out, and the minimum detectable effect is beyond the half-width."""
    random = np.random.default_rng(seed)
    parts = [Effects(cells=random.normal(random.normal(0, 20, (11, 1)), 50, (11, 30)), sign=sign) for sign in (1, -1)]
    found = group_difference(parts, LOW)
    assert found.p is not None and found.ci_low is not None and found.ci_high is not None and found.mde is not None
    assert (found.p < 0.05) == (found.ci_low > 0 or found.ci_high < 0)
    assert found.mde > (found.ci_high - found.ci_low) / 2


def test_minimum_detectable_effect_has_the_power_it_says() -> None:
    """The power of a t test at D = mde, from the noncentral t: 80 %, to the accuracy of the shifted-t formula."""
    found = infer(3.0, 2.0, 9.0)
    assert found.mde is not None
    critical = stats.t.ppf(0.975, 9.0)
    power = stats.nct.sf(critical, 9.0, found.mde / 2.0) + stats.nct.cdf(-critical, 9.0, found.mde / 2.0)
    assert power == pytest.approx(0.80, abs=0.02)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=25)
def test_holm_is_statsmodels(values: list[float]) -> None:
    assert holm(values) == pytest.approx(list(multipletests(values, method="holm")[1]), abs=1e-10)


def test_holm_leaves_out_what_is_not_defined() -> None:
    assert holm([0.01, None, 0.04]) == [pytest.approx(0.02), None, pytest.approx(0.04)]


def test_verdicts() -> None:
    differs = infer(10.0, 1.0, 30.0)
    assert verdict(differs, differs.p, 5.0) == ("differs", False)
    assert verdict(differs, differs.p, 20.0) == ("differs", True)
    close = infer(0.5, 1.0, 30.0)
    assert verdict(close, close.p, 5.0) == ("equivalent", None)
    assert verdict(close, close.p, 1.0) == ("inconclusive", None)
    assert verdict(close, close.p, None) == (None, None)


def test_shared_variance_by_hand() -> None:
    """The products of two languages' parts, pair by pair, in loops."""
    random = np.random.default_rng(2)
    cells = random.normal(size=(5, 7)) + random.normal(size=7)
    cells[1, 2] = cells[4, 0] = cells[4, 6] = np.nan
    low = np.array([False, False, True, True, True])
    weights = group_weights(low)
    plain = scaled = 0.0
    for prompt, one, other in itertools.product(range(7), range(5), range(5)):
        if one == other or math.isnan(cells[one, prompt]) or math.isnan(cells[other, prompt]):
            continue
        parts = [
            weights[code] * (cells[code, prompt] - np.nanmean(cells[code])) / np.sum(~np.isnan(cells[code]))
            for code in (one, other)
        ]
        size = 3 if low[one] else 2
        plain += parts[0] * parts[1]
        scaled += parts[0] * parts[1] * (size / (size - 1) if low[one] == low[other] else 1)
    assert shared_variance(cells, weights) == (pytest.approx(max(0.0, 7 / 6 * plain)), 7)
    assert shared_variance(cells, weights, low) == (pytest.approx(max(0.0, 7 / 6 * scaled)), 7)


def test_a_prompt_effect_that_all_languages_share_cancels() -> None:
    cells = np.tile(np.random.default_rng(0).normal(0, 50, 40), (11, 1))
    assert shared_variance(cells, group_weights(LOW), LOW)[0] == pytest.approx(0, abs=1e-9)


def test_a_prompt_effect_by_group_has_the_variance_that_it_causes() -> None:
    """Planted: each prompt moves the low group by N(0, s^2), the same in all its languages; the component's mean over
    draws is then s^2 / P."""
    random = np.random.default_rng(4)
    found = []
    for _ in range(400):
        cells = np.zeros((11, 25)) + random.normal(0, 30, 25) * LOW[:, None] + random.normal(0, 5, (11, 25))
        found.append(shared_variance(cells, group_weights(LOW), LOW)[0])
    assert np.mean(found) == pytest.approx(30**2 / 25, rel=0.06)


@pytest.mark.parametrize(("column", "width"), [(1, 2), (1, 3), (2, 3)])
def test_regression_is_ordinary_least_squares(column: int, width: int) -> None:
    random = np.random.default_rng(column + width)
    effects = unshared(random)
    design = np.column_stack([np.ones(11), random.normal(size=(11, width - 1))])
    found = regression([effects], design, column)
    fit = sm.OLS(np.nanmean(effects.cells, axis=1), design).fit()
    assert found.estimate == pytest.approx(fit.params[column])
    assert found.se == pytest.approx(fit.bse[column])
    assert found.p == pytest.approx(fit.pvalues[column])
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(fit.conf_int()[column]))


def test_a_regression_on_what_does_not_vary_is_not_defined() -> None:
    design = np.column_stack([np.ones(11), LOW, ~LOW])
    assert regression([unshared(np.random.default_rng(0))], design, 1).reason


def test_exact_permutation_is_scipys() -> None:
    random = np.random.default_rng(8)
    low = np.array([True] * 4 + [False] * 5)
    effects = Effects(cells=random.normal(random.normal(0, 10, (9, 1)), 10, (9, 6)), sign=-1.0)
    values = language_effects([effects])

    def welch(one: np.ndarray, other: np.ndarray) -> float:
        return abs(float(stats.ttest_ind(one, other, equal_var=False).statistic))

    expected = stats.permutation_test((values[low], values[~low]), welch, n_resamples=np.inf, alternative="greater")
    found, exact = label_permutation([effects], low, 100, random)
    assert exact
    assert found == pytest.approx(expected.pvalue, abs=1e-10)


def test_drawn_permutation_is_close_to_the_exact_one_and_never_zero() -> None:
    random = np.random.default_rng(9)
    low = np.array([True] * 12 + [False] * 10)  # 646,646 labellings
    values = random.normal(0, 1, 22) + 0.6 * low
    effects = Effects(cells=np.repeat(values[:, None], 2, axis=1), sign=1.0)
    found, exact = label_permutation([effects], low, 20_000, random)
    assert not exact
    assert found == pytest.approx(stats.ttest_ind(values[low], values[~low], equal_var=False).pvalue, abs=0.02)
    apart = Effects(cells=np.repeat(values[:, None] + 100 * low[:, None], 2, axis=1), sign=1.0)
    assert label_permutation([apart], low, 100, random)[0] == pytest.approx(1 / 101)


def test_bootstrap_of_languages_alone_has_the_closed_form_spread() -> None:
    """Cells equal within a language: the bootstrap variance of a group's mean is (n - 1) / n * s^2 / n."""
    random = np.random.default_rng(10)
    low = np.array([True] * 30 + [False] * 20)
    values = random.normal(0, 10, 50)
    effects = Effects(cells=np.repeat(values[:, None], 5, axis=1), sign=1.0)
    ends = crossed_bootstrap([effects], low, 20_000, random)
    variance = sum(np.var(values[group]) / group.sum() for group in (low, ~low))
    half = 1.96 * math.sqrt(variance)
    estimate = values[low].mean() - values[~low].mean()
    assert ends == pytest.approx((estimate - half, estimate + half), abs=0.06 * half)


def test_bootstrap_of_prompts_alone_has_the_closed_form_spread() -> None:
    """Languages equal within a group, with a prompt effect in one group only."""
    random = np.random.default_rng(12)
    low = np.array([True] * 4 + [False] * 4)
    prompt = random.normal(0, 30, 60)
    effects = Effects(cells=np.where(low[:, None], prompt[None], 0.0), sign=1.0)
    ends = crossed_bootstrap([effects], low, 20_000, random)
    half = 1.96 * math.sqrt(np.var(prompt) / 60)
    assert ends == pytest.approx((prompt.mean() - half, prompt.mean() + half), abs=0.06 * half)


def simulated(random: np.random.Generator, high: int, low: int, prompts: int) -> tuple[list[Effects], np.ndarray]:
    """One study of no difference between groups: passes and failures of base and an arm, with language effects,
    prompt effects, languages and prompts that each arm moves differently, and 5 % of cells missing."""
    languages = high + low
    labels = np.arange(languages) >= high
    parts = []
    for sign in (-1.0, 1.0):
        language = random.normal(0, 0.7, (languages, 1))
        prompt = random.normal(0, 1.0, (1, prompts))
        by_language = random.normal(0, 0.35, (languages, 1))
        by_group = random.normal(0, 0.35, (2, prompts))[labels.astype(int)]
        base = language + prompt
        moved = base + 0.5 + by_language + by_group
        passed = [random.random((languages, prompts)) < 1 / (1 + np.exp(-eta)) for eta in (moved, base)]
        cells = 100.0 * (passed[0].astype(float) - passed[1])
        cells[random.random(cells.shape) < 0.05] = np.nan
        parts.append(Effects(cells=cells, sign=sign))
    return parts, labels


CELLS = list(itertools.product([(6, 6), (6, 4), (20, 30)], [50, 200]))


def type_one_errors(studies: int, high: int, low: int, prompts: int) -> int:
    random = np.random.default_rng(20261123 + 1000 * high + 10 * low + prompts)
    wrong = 0
    for _ in range(studies):
        found = group_difference(*simulated(random, high, low, prompts))
        assert found.p is not None
        wrong += found.p < 0.05
    return wrong


def test_type_one_error_small() -> None:
    wrong = type_one_errors(300, 6, 6, 50)
    assert stats.binomtest(wrong, 300, 0.05, alternative="greater").pvalue > 0.01


@pytest.mark.proof
@pytest.mark.parametrize(("size", "prompts"), CELLS)
def test_type_one_error(size: tuple[int, int], prompts: int) -> None:
    wrong = type_one_errors(2000, *size, prompts)
    print(f"\ntype I error, {size[0]}+{size[1]} languages, {prompts} prompts a kind: {wrong / 20:.1f} % of 2,000")
    assert stats.binomtest(wrong, 2000, 0.05, alternative="greater").pvalue > 0.01

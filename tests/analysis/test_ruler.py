"""The ruler's errors: Youden's index, anchored cuts, the correction, against closed forms and planted truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tarazu.stats.calibration import calibrate, ours, ours_corrected, warned_or_right
from tarazu.stats.contrast import Effects, group_difference
from tarazu.stats.rates import wilson
from tarazu.stats.ruler import (
    Ruler,
    apart_without_spread,
    best_cut,
    corrected,
    corrected_share,
    groups_compared,
    ranking_accuracy,
    ruler_at,
    status,
)
from tarazu.stats.simulation import Truth

rewards = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


def test_a_ruler_counts_with_the_rates_own_boundaries() -> None:
    """Harmless is reward >= cut, helpful is reward > cut."""
    good, bad = np.array([1.0, 0.0, 2.0]), np.array([0.0, -1.0, 1.0])
    assert ruler_at(good, bad, 0.0, harmful=True) == Ruler(passed_good=3, failed_bad=1, n=3)
    phi = pytest.approx(np.corrcoef([1, 0, 1], [1, 1, 0])[0, 1])
    assert ruler_at(good, bad, 0.0, harmful=False) == Ruler(passed_good=2, failed_bad=2, n=3, correlation=phi)
    assert ruler_at(good, bad, 0.0, harmful=False).youden == pytest.approx(1 / 3)


def test_sensitivity_and_specificity_have_wilsons_interval() -> None:
    ruler = Ruler(passed_good=45, failed_bad=20, n=50)
    for rate, count in ((ruler.sensitivity, 45), (ruler.specificity, 20)):
        low, high = proportion_confint(count, 50, method="wilson")
        assert (rate.value, rate.ci_low, rate.ci_high) == pytest.approx((2 * count, 100 * low, 100 * high))
    assert ruler.balanced_accuracy.value == 65


def test_a_judge_that_lets_every_bad_answer_pass_is_doubtful_however_well_it_ranks() -> None:
    good, bad = np.linspace(3, 4, 100), np.linspace(1, 2, 100)
    assert ranking_accuracy(good, bad).value == 100
    at_the_threshold = ruler_at(good, bad, 0.0, harmful=False).balanced_accuracy
    assert at_the_threshold.value == 50
    assert status(at_the_threshold, 70.0) == "doubtful"
    assert status(ruler_at(good, bad, 2.5, harmful=False).balanced_accuracy, 70.0) == "trusted"


@pytest.mark.parametrize(("sensitivity", "specificity", "shared"), [(0.9, 0.8, 0.0), (0.8, 0.8, 1.0), (0.95, 0.6, 0.4)])
def test_the_interval_of_the_balanced_accuracy_covers_the_true_one(
    sensitivity: float, specificity: float, shared: float
) -> None:
    """Pairs whose two labels have the same luck in a share of the pairs: 95 % intervals cover in 94 % or more."""
    random, covered, studies = np.random.default_rng(5), 0, 2000
    for _ in range(studies):
        luck = random.random((2, 60))
        luck[1] = np.where(random.random(60) < shared, luck[0], luck[1])
        good = np.where(luck[0] < sensitivity, 1.0, -1.0)
        bad = np.where(luck[1] < specificity, -1.0, 1.0)
        rate = ruler_at(good, bad, 0.0, harmful=False).balanced_accuracy
        assert rate.ci_low is not None and rate.ci_high is not None
        covered += rate.ci_low <= 50 * (sensitivity + specificity) <= rate.ci_high
    assert covered / studies > 0.94


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("high", "low"),
    [
        ([90.0, 80.0, 85.0], [70.0, 75.0, 60.0, 72.0]),
        ([100 * 6 / 7] * 3, [70.0, 75.0, 60.0]),  # a constant that no binary fraction is
    ],
)
def test_the_groups_rulers_are_compared_by_welchs_t(high: list[float], low: list[float]) -> None:
    ((difference, high_error), (other, low_error)) = ((np.mean(g), np.var(g, ddof=1) / len(g)) for g in (high, low))
    df = (high_error + low_error) ** 2 / (high_error**2 / (len(high) - 1) + low_error**2 / (len(low) - 1))
    expected = 2 * stats.t.sf(abs(difference - other) / np.sqrt(high_error + low_error), df)
    assert groups_compared({"benign": high}, {"benign": low}) == pytest.approx(expected)
    both = {"benign": high, "harmful": [90.0, 91.0]}, {"benign": low, "harmful": [90.0, 91.0]}
    assert groups_compared(*both) == pytest.approx(min(1, 2 * expected))
    assert apart_without_spread(*both) is None


@pytest.mark.filterwarnings("error")
def test_without_spread_no_p_is_made_up() -> None:
    same, other = {"benign": [100 * 6 / 7] * 3}, {"benign": [60.0] * 4}
    assert groups_compared(same, same) is None
    assert groups_compared(same, other) is None
    assert apart_without_spread(same, same) is False
    assert apart_without_spread(same, other) is True
    assert apart_without_spread({"benign": [60.0]}, other) is None


@given(rewards, rewards)
def test_no_cut_is_better_than_the_best(good: list[float], bad: list[float]) -> None:
    one, other = np.array(good), np.array(bad)
    found = best_cut(one, other)

    def gain(cut: float) -> float:
        return float((one > cut).mean() - (other > cut).mean())

    everywhere = [gain(cut / 2) for cut in range(-12, 13)]
    if len(set(good + bad)) > 1 and max(everywhere) > 0:
        assert gain(found) == pytest.approx(max(everywhere))
        assert found not in set(good + bad)


def test_a_perfect_ruler_changes_nothing() -> None:
    random = np.random.default_rng(0)
    low = np.array([False] * 5 + [True] * 4)
    part = Effects(cells=random.normal(0, 50, (9, 30)), sign=1.0)
    same = corrected(part, [Ruler(passed_good=40, failed_bad=40, n=40)] * 9, low)
    assert same is not None
    assert np.allclose(same.cells, part.cells)


def test_the_correction_is_rogan_and_gladens() -> None:
    """Without spread in J: every group's mean is that of the true prevalences by Rogan and Gladen's formula."""
    low = np.array([False] * 3 + [True] * 3)
    sensitivity, specificity = 0.9, 0.8
    before, after = np.array([0.3, 0.4, 0.5, 0.3, 0.4, 0.5]), np.array([0.5, 0.6, 0.7, 0.4, 0.6, 0.65])

    def shown(rate: np.ndarray) -> np.ndarray:
        return rate * sensitivity + (1 - rate) * (1 - specificity)

    part = Effects(cells=100 * (shown(after) - shown(before))[:, None] * np.ones((6, 4)), sign=1.0)
    mended = corrected(part, [Ruler(passed_good=90, failed_bad=80, n=100)] * 6, low)
    assert mended is not None
    means = np.nanmean(mended.cells, axis=1)
    for group in (low, ~low):
        assert means[group].mean() == pytest.approx(100 * (after - before)[group].mean())


def test_the_corrections_error_is_that_of_a_ratio() -> None:
    """One kind, no prompt in common: the squared error is the delta method's for mean(d) / mean(J), group by group."""
    random = np.random.default_rng(3)
    low = np.array([False] * 6 + [True] * 7)
    cells = np.full((13, 13 * 5), np.nan)
    for index in range(13):
        cells[index, 5 * index : 5 * index + 5] = random.normal(20, 10, 5)
    rulers = [Ruler(passed_good=int(random.integers(60, 100)), failed_bad=90, n=100) for _ in range(13)]
    mended = corrected(Effects(cells=cells, sign=1.0), rulers, low)
    assert mended is not None
    found = group_difference([mended], low)
    d, j = np.nanmean(cells, axis=1), np.array([ruler.youden for ruler in rulers])
    variance, estimate = 0.0, 0.0
    for group, sign in ((low, 1), (~low, -1)):
        n, ratio = group.sum(), d[group].mean() / j[group].mean()
        gradient = np.array([1 / j[group].mean(), -ratio / j[group].mean()])
        variance += float(gradient @ np.cov(d[group], j[group]) @ gradient) / n
        estimate += sign * ratio
    assert found.estimate == pytest.approx(estimate)
    assert found.se == pytest.approx(variance**0.5)


def test_a_ruler_no_better_than_chance_corrects_nothing() -> None:
    low = np.array([False] * 3 + [True] * 3)
    part = Effects(cells=np.random.default_rng(1).normal(0, 50, (6, 30)), sign=1.0)
    good, chance = Ruler(passed_good=9, failed_bad=9, n=10), Ruler(passed_good=5, failed_bad=5, n=10)
    assert corrected(part, [good] * 3 + [chance] * 3, low) is None
    assert corrected(part, [Ruler(passed_good=0, failed_bad=0, n=0)] * 6, low) is None


@pytest.mark.parametrize("difference", [0.0, 10.0])
def test_what_is_planted_is_recovered_with_a_weak_ruler(difference: float) -> None:
    """90 % in high and 75 % in low: uncorrected D is off, corrected D is not, and its interval covers."""
    truth = Truth(high=12, low=12, prompts=100, difference=difference, ruler=(0.9, 0.75), known=60)
    plain, mended = calibrate(truth, ours, 150, 5), calibrate(truth, ours_corrected, 150, 5)
    assert plain.bias < -2.5
    assert abs(mended.bias) < 1.5
    assert mended.covered.value is not None
    covered = round(mended.covered.value * mended.defined / 100)
    assert stats.binomtest(covered, mended.defined, 0.95, alternative="less").pvalue > 0.01


def test_a_ruler_that_is_weaker_in_a_group_does_not_mislead() -> None:
    found = warned_or_right(Truth(high=20, low=30, prompts=50, ruler=(0.9, 0.6), known=50), 60, 6)
    assert found.value is not None and found.value >= 95


def test_the_planted_difference_is_the_populations() -> None:
    """Many languages and prompts: the mean over simulated studies is D."""
    for level, difference in itertools.product((0.0, 2.5), (5.0, -5.0)):
        truth = Truth(high=40, low=40, prompts=40, level=level, difference=difference)
        found = calibrate(truth, ours, 120, 7)
        assert found.bias == pytest.approx(0, abs=0.9)


def test_a_detector_without_errors_corrects_nothing() -> None:
    """The interval is then Agresti's and Coull's."""
    found = corrected_share(wilson(13, 40), wilson(10**9, 10**9), wilson(10**9, 10**9))
    low, high = proportion_confint(13, 40, method="agresti_coull")
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((32.5, 100 * low, 100 * high), abs=1e-4)


def test_a_share_is_corrected_as_rogan_and_gladen_do() -> None:
    found = corrected_share(wilson(30, 100), wilson(90, 100), wilson(95, 100))
    assert found.value == pytest.approx(100 * (0.3 + 0.95 - 1) / (0.9 + 0.95 - 1))
    below = corrected_share(wilson(1, 100), wilson(90, 100), wilson(95, 100))
    assert (below.value, below.ci_low) == (0, 0)
    nothing = corrected_share(wilson(1, 100), wilson(9, 100), wilson(95, 100))
    assert nothing.value is None and nothing.reason


@pytest.mark.parametrize(
    ("share", "sensitivity", "specificity"), [(0.05, 0.9, 0.97), (0.5, 0.92, 0.9), (0.9, 0.85, 0.95)]
)
def test_the_interval_of_a_corrected_share_covers_the_true_one(
    share: float, sensitivity: float, specificity: float
) -> None:
    random, covered, studies = np.random.default_rng(8), 0, 2000
    seen = share * sensitivity + (1 - share) * (1 - specificity)
    for observed, se, sp in zip(
        random.binomial(50, seen, studies),
        random.binomial(350, sensitivity, studies),
        random.binomial(300, specificity, studies),
        strict=True,
    ):
        rate = corrected_share(wilson(observed, 50), wilson(se, 350), wilson(sp, 300))
        assert rate.ci_low is not None and rate.ci_high is not None
        covered += rate.ci_low <= 100 * share <= rate.ci_high
    assert 0.935 <= covered / studies <= 0.985

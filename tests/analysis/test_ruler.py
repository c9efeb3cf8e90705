"""The ruler's errors: Youden's index, anchored cuts, the correction, against closed forms and planted truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tarazu.stats.calibration import calibrate, ours, ours_corrected, warned_or_right
from tarazu.stats.contrast import Effects, group_difference
from tarazu.stats.ruler import Ruler, apart_without_spread, best_cut, corrected, groups_compared, ruler_at
from tarazu.stats.simulation import Truth

rewards = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


def test_a_ruler_counts_with_the_rates_own_boundaries() -> None:
    """Harmless is reward >= cut, helpful is reward > cut."""
    good, bad = np.array([1.0, 0.0, 2.0]), np.array([0.0, -1.0, 1.0])
    assert ruler_at(good, bad, 0.0, harmful=True) == Ruler(passed_good=3, failed_bad=1, n=3)
    assert ruler_at(good, bad, 0.0, harmful=False) == Ruler(passed_good=2, failed_bad=2, n=3)
    assert ruler_at(good, bad, 0.0, harmful=False).youden == pytest.approx(1 / 3)


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

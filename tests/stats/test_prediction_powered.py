"""Prediction-powered rates: unbiased over every sample, equal to another package, and to people alone in the limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tarazu.stats.calibration import calibrate, ours, people_alone, prediction_powered
from tarazu.stats.prediction_powered import Labelled, Responses, judge_weights, labelled_rate, pseudo_outcomes
from tarazu.stats.simulation import Truth

SEED = 20_261_126


def responses(judge: np.ndarray, people: np.ndarray, language: np.ndarray | None = None) -> Responses:
    """One response per cell; `people` is NaN where nobody labelled."""
    known = ~np.isnan(people)
    labels = np.where(known, people, 0.0)
    return Responses(
        count=np.ones(len(judge)),
        passed=judge,
        labelled=Labelled(
            count=known.astype(float), people=labels, judged=np.where(known, judge, 0.0), product=labels * judge
        ),
        language=np.zeros(len(judge), dtype=int) if language is None else language,
    )


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_mean_over_all_samples_is_the_truth(weight: float) -> None:
    """Every sample of 3 of 7 responses, and a judge that is mostly wrong."""
    truth, judge = np.array([1, 1, 1, 0, 1, 0, 1.0]), np.array([0, 1, 0, 1, 0, 1, 0.0])
    estimates = []
    for chosen in itertools.combinations(range(7), 3):
        people = np.full(7, np.nan)
        people[list(chosen)] = truth[list(chosen)]
        estimates.append(pseudo_outcomes(responses(judge, people), np.array([weight])).mean())
    assert np.mean(estimates) == pytest.approx(truth.mean(), abs=1e-12)


def test_with_every_label_the_rate_is_peoples_and_the_judge_does_not_matter() -> None:
    random = np.random.default_rng(1)
    truth, judge = random.integers(2, size=(2, 40)).astype(float)
    for weight in (0.0, 0.4, 1.0):
        cells = pseudo_outcomes(responses(judge, truth), np.array([weight]))
        assert cells == pytest.approx(truth, abs=1e-12)


def test_without_the_judge_the_rate_is_that_of_the_sample() -> None:
    judge, people = np.array([1, 0, 1, 1.0]), np.array([np.nan, 1.0, 0.0, np.nan])
    assert pseudo_outcomes(responses(judge, people), np.array([0.0])).mean() == 0.5
    assert np.isnan(pseudo_outcomes(responses(judge, np.full(4, np.nan)), np.array([1.0]))).all()


def test_rates_agree_with_ppi_python() -> None:
    """ppi-python 0.2.3 keeps labelled and unlabelled responses apart: its weight is ours times the unlabelled share.

        y, f as below; ppi_mean_pointestimate(y[:40], f[:40], f[40:], lam=LAM) and ppi_mean_ci(..., alpha=0.05)

    LAM 0, 0.4, 0.8 gives 0.675 [0.530, 0.820], 0.625 [0.502, 0.748], 0.575 [0.441, 0.709]; tuned: 0.620.
    """
    random = np.random.default_rng(SEED)
    truth = (random.random(200) < 0.6).astype(float)
    judge = np.where(random.random(200) < 0.8, truth, 1 - truth)
    one = responses(judge, np.where(np.arange(200) < 40, truth, np.nan))
    published = {0.0: (0.675, 0.530, 0.820), 0.5: (0.625, 0.502, 0.748), 1.0: (0.575, 0.441, 0.709)}
    for weight, (value, low, high) in published.items():
        assert pseudo_outcomes(one, np.array([weight])).mean() == pytest.approx(value, abs=1e-12)
        (rate,) = labelled_rate(one, np.array([weight]))
        assert rate.value == pytest.approx(100 * value)
        # Theirs is a normal interval; ours is Wilson's with the finite population's variance.
        assert rate.ci_high - rate.ci_low == pytest.approx(100 * (high - low), rel=0.12)
    # Their tuned weight takes the variance of the judge's labels from all responses; two equal languages give ours.
    twice = Responses(
        count=np.ones(400),
        passed=np.tile(one.passed, 2),
        labelled=one.labelled[np.tile(np.arange(200), 2)],
        language=np.repeat([0, 1], 200),
    )
    weights = judge_weights(twice, np.zeros(2, dtype=int))
    assert pseudo_outcomes(twice, weights).mean() == pytest.approx(0.620, abs=0.005)


def test_the_weight_comes_from_the_other_languages_of_the_group() -> None:
    """cov(y, f) / var(f) within each language of the pool, without the language itself."""
    random = np.random.default_rng(2)
    language = np.repeat(np.arange(5), 30)
    truth = random.integers(2, size=150).astype(float)
    judge = np.where(random.random(150) < np.array([0.95, 0.9, 0.6, 0.7, 0.8])[language], truth, 1 - truth)
    people = np.where(random.random(150) < 0.5, truth, np.nan)
    pools = np.array([0, 0, 1, 1, 1])
    weights = judge_weights(responses(judge, people, language), pools)
    for own in range(5):
        others = [code for code in range(5) if code != own and pools[code] == pools[own]]
        rows = np.concatenate([np.flatnonzero((language == code) & ~np.isnan(people)) for code in others])
        y, f = (
            values[rows] - np.array([values[rows][language[rows] == code].mean() for code in language[rows]])
            for values in (people, judge)
        )
        assert weights[own] == pytest.approx(np.clip((y @ f) / (f @ f), 0, 1), abs=1e-12)
    # A judge without information, or that is always wrong, does not count.
    wrong = judge_weights(responses(1 - truth, truth, language), pools)
    assert (wrong == 0).all()
    assert (judge_weights(responses(np.ones(150), truth, language), pools) == 0).all()


def test_cells_with_several_responses_count_as_one_prompt_each() -> None:
    """The mean over cells: a prompt with three responses weighs as much as one with a single response."""
    one = Responses(
        count=np.array([3.0, 1.0]),
        passed=np.array([3.0, 0.0]),
        labelled=Labelled(
            count=np.array([3.0, 1.0]),
            people=np.array([1.0, 1.0]),
            judged=np.array([3.0, 0.0]),
            product=np.array([1.0, 0]),
        ),
        language=np.zeros(2, dtype=int),
    )
    assert pseudo_outcomes(one, np.array([0.7])) == pytest.approx([1 / 3, 1.0])


def test_an_interval_for_a_rate_covers_it() -> None:
    """2,000 samples of 20 of 100 responses in one language, with a good judge and a rate of 80 %."""
    random = np.random.default_rng(SEED)
    covered = 0
    for _ in range(2000):
        truth = (random.random(100) < 0.8).astype(float)
        judge = np.where(random.random(100) < 0.9, truth, 1 - truth)
        sample = np.isin(np.arange(100), random.permutation(100)[:20])
        (rate,) = labelled_rate(responses(judge, np.where(sample, truth, np.nan)), np.array([0.7]))
        covered += rate.ci_low <= 80 <= rate.ci_high
    assert 93 <= covered / 20 <= 98


def test_labels_without_an_error_of_the_judge_leave_an_interval() -> None:
    judge = np.array([1.0] * 50 + [0.0] * 50)
    people = np.where(np.arange(100) % 10 == 0, judge, np.nan)
    (rate,) = labelled_rate(responses(judge, people), np.array([1.0]))
    assert rate.value == 50
    # Wider than the interval of 100 labels, narrower than that of 10.
    assert 20 < rate.ci_high - rate.ci_low < 52


WEAK = Truth(high=6, low=6, prompts=50, ruler=(0.9, 0.6), labelled=20)
UNSPECIFIC = Truth(high=6, low=6, prompts=50, ruler=(0.9, 0.9), specificity=(0.9, 0.5), labelled=20)
GOOD = Truth(high=6, low=6, prompts=50, ruler=(0.95, 0.95), labelled=20)


@pytest.mark.parametrize("truth", [WEAK, UNSPECIFIC], ids=["weak", "unspecific"])
def test_a_judge_that_is_weak_in_one_group_no_longer_creates_a_difference(truth: Truth) -> None:
    """400 studies without a difference; the complete version is `scripts/calibrate.py`."""
    judged, powered = (calibrate(truth, method, 400, SEED) for method in (ours, prediction_powered))
    assert abs(judged.bias) > 5 and judged.rejected.value > 8
    assert abs(powered.bias) < 1.5
    assert powered.rejected.value <= 7.5 and 92.5 <= powered.covered.value <= 97.5


def test_the_same_prompts_in_every_language_do_not_widen_the_interval() -> None:
    """What is shared by the labelled responses of all languages is not an effect of their prompts."""
    truth = Truth(high=20, low=30, prompts=50, ruler=(0.9, 0.6), labelled=20, together=True)
    powered = calibrate(truth, prediction_powered, 200, SEED)
    assert powered.width < 1.15 and abs(powered.bias) < 1.5
    assert 91.5 <= powered.covered.value <= 98.5


def test_a_good_judge_narrows_the_interval_of_people_alone() -> None:
    powered, alone = (calibrate(GOOD, method, 200, SEED) for method in (prediction_powered, people_alone))
    assert powered.mean_width < 0.85 * alone.mean_width
    assert abs(powered.bias) < 1.5
    assert 92 <= powered.covered.value <= 98.5

"""Power calculations agree with statsmodels and with simulated studies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower

from tarazu.stats.calibration import calibrate, ours, prediction_powered
from tarazu.stats.contrast import Effects, group_difference
from tarazu.stats.power import (
    Components,
    Design,
    LabelNoise,
    components,
    detectable,
    equivalence_power,
    error_by_people,
    expected_error,
    labels_needed,
    noise_of_agreement,
    power,
    unexplained,
)
from tarazu.stats.simulation import Truth, simulate

ALONE = Components(language_sd=10.0, cell_sd=(0.0, 0.0), prompt_sd=(0.0, 0.0))


def test_with_variance_over_languages_only_it_is_the_power_of_the_t_test() -> None:
    se, df = expected_error(Design(high=9, low=9, prompts=(50, 50)), ALONE)
    expected = TTestIndPower().power(effect_size=0.8, nobs1=9, alpha=0.05, ratio=1.0)
    assert power(8.0, se, df) == pytest.approx(expected, abs=1e-10)


def test_without_a_difference_the_power_is_the_level() -> None:
    assert power(0.0, 3.0, 7.0) == 0.05
    assert power(1e-6, 3.0, 7.0) == pytest.approx(0.05, abs=1e-6)


def test_the_detectable_difference_has_eighty_percent_power() -> None:
    se, df = expected_error(Design(high=20, low=30, prompts=(200, 200)), replace(ALONE, cell_sd=(60.0, 70.0)))
    assert power(detectable(se, df), se, df) == pytest.approx(0.80)


def test_a_larger_design_has_more_power() -> None:
    found = Components(language_sd=8.0, cell_sd=(60.0, 65.0), prompt_sd=(10.0, 10.0), seed_sd=4.0)
    plain = Design(high=10, low=10, prompts=(50, 50))
    se = expected_error(plain, found)[0]
    for better in (replace(plain, high=20), replace(plain, prompts=(100, 100)), replace(plain, seeds=3)):
        assert expected_error(better, found)[0] < se


def test_components_recover_the_planted_values() -> None:
    """Cells with known components: the estimates average to them over many draws."""
    random = np.random.default_rng(11)
    low = np.array([False] * 10 + [True] * 15)
    found = []
    for _ in range(200):
        parts = []
        for sign in (-1.0, 1.0):
            by_language = random.normal(0, 6, (25, 1))
            by_prompt = random.normal(0, 20, (2, 40))[low.astype(int)]
            parts.append(Effects(cells=by_language + by_prompt + random.normal(0, 50, (25, 40)), sign=sign))
        runs = random.normal(0, 5, (2, 4))[low.astype(int)] + random.normal(0, 1, (25, 4))
        found.append(components(parts, low, runs))
    assert np.mean([one.language_sd**2 for one in found]) == pytest.approx(2 * 6**2, rel=0.1)
    assert np.mean([one.cell_sd for one in found]) == pytest.approx(50, rel=0.03)
    assert np.mean([np.square(one.prompt_sd) for one in found]) == pytest.approx(20**2, rel=0.06)
    assert np.mean([one.seed_sd**2 for one in found if one.seed_sd is not None]) == pytest.approx(25, rel=0.15)


def test_the_predicted_power_is_the_power_of_simulated_studies() -> None:
    """From the components of one large pilot to the share of simulated studies that detect D."""
    truth = Truth(high=12, low=12, prompts=60, difference=12.0)
    pilot = simulate(replace(truth, high=60, low=60, prompts=150), np.random.default_rng(1))
    predicted = expected_error(Design(high=12, low=12, prompts=(57, 57)), components(pilot.effects(), pilot.low))
    had = calibrate(truth, ours, 400, 2)
    assert had.rejected.value == pytest.approx(100 * power(12.0, *predicted), abs=7)


def test_equivalence_power_includes_the_error_of_the_estimate() -> None:
    se, df = 1.5, 40.0
    draws = np.random.default_rng(3).standard_t(df, 200_000)
    critical = 5 / se - 1.6838510  # t_0.95 with 40 degrees of freedom
    assert equivalence_power(5.0, se, df) == pytest.approx(float(np.mean(np.abs(draws) < critical)), abs=0.005)
    assert equivalence_power(1.0, se, df) == 0.0


def test_seeds_that_move_a_group_are_included_in_the_error() -> None:
    """Planted: a training seed moves the low group by N(0, s). The interval covers only with the seed component."""
    random = np.random.default_rng(12)
    low = np.array([False] * 10 + [True] * 10)
    covered = {True: 0, False: 0}
    for _ in range(300):
        moves = random.normal(0, 6, (2, 4))[low.astype(int)]
        runs = moves + random.normal(0, 6, (20, 4))
        part = Effects(cells=np.repeat(runs.mean(axis=1, keepdims=True), 30, axis=1), sign=1.0)
        for known in covered:
            found = group_difference([part], low, runs if known else None)
            assert found.ci_low is not None and found.ci_high is not None
            covered[known] += found.ci_low <= 0 <= found.ci_high
    assert covered[True] >= 0.92 * 300
    assert covered[False] < 0.85 * 300


def test_the_error_by_peoples_labels_is_that_of_simulated_studies() -> None:
    """Components from studies without a judge's errors, the noise from its accuracy; 10 of 50 responses labelled."""
    truth = Truth(high=8, low=8, prompts=50, missing=0.0, ruler=(0.85, 0.85), labelled=10)
    fits = []
    for index in range(60):
        study = simulate(replace(truth, ruler=(1.0, 1.0)), np.random.default_rng([5, index]))
        fits.append(components(study.effects(), study.low))
    mean = Components(
        language_sd=float(np.sqrt(np.mean([fit.language_sd**2 for fit in fits]))),
        cell_sd=tuple(np.sqrt(np.mean([[sd**2 for sd in fit.cell_sd] for fit in fits], axis=0))),
        prompt_sd=tuple(np.sqrt(np.mean([[sd**2 for sd in fit.prompt_sd] for fit in fits], axis=0))),
    )
    noise = LabelNoise(unexplained=(unexplained(500, 500, 0.85, 0.85),) * 2)
    expected, _ = error_by_people(Design(high=8, low=8, prompts=(50, 50)), mean, noise, 10)
    estimates = [
        prediction_powered(simulate(truth, np.random.default_rng([6, index])), np.random.default_rng()).estimate
        for index in range(400)
    ]
    assert expected == pytest.approx(np.std(estimates, ddof=1), rel=0.1)


def test_the_labels_that_are_needed_are_just_enough() -> None:
    design, noise = Design(high=20, low=30, prompts=(200, 200)), noise_of_agreement(0.6, 2)
    small = Components(language_sd=3.0, cell_sd=(30.0, 30.0), prompt_sd=(3.0, 3.0))
    needed = labels_needed(design, small, noise, 5.0)
    assert needed.margin is not None and 1 < needed.tenth < needed.every == 200
    for count, passed in ((needed.margin, True), (needed.margin - 1, False)):
        assert (detectable(*error_by_people(design, small, noise, count)) <= 5.0) == passed
    best = expected_error(design, small)
    assert error_by_people(design, small, noise, 200) == error_by_people(design, small, noise, None) == best
    for count, passed in ((needed.tenth, True), (needed.tenth - 1, False)):
        assert (error_by_people(design, small, noise, count)[0] <= 1.1 * best[0]) == passed
    # A judge that agrees better needs fewer labels; a perfect one needs one; a noisy design cannot be rescued.
    assert labels_needed(design, small, noise_of_agreement(0.9, 2), 5.0).tenth < needed.tenth
    assert labels_needed(design, small, noise_of_agreement(1.0, 2), 5.0).tenth == 1
    assert labels_needed(Design(high=3, low=3, prompts=(20, 20)), small, noise, 5.0).margin is None


def test_what_a_judge_leaves_unexplained() -> None:
    """Against the residual variance of a regression on the table of counts."""
    people = np.repeat([1, 1, 0, 0], [40, 10, 6, 24])
    judge = np.repeat([1, 0, 1, 0], [40, 10, 6, 24])
    correlation = np.corrcoef(people, judge)[0, 1]
    expected = (1 - correlation**2) * people.var()
    assert unexplained(50, 30, 40 / 50, 24 / 30) == pytest.approx(expected, abs=1e-12)
    assert unexplained(50, 30, 1.0, 0.0) == pytest.approx(people.var())  # it accepts everything
    assert noise_of_agreement(0.6, 2).unexplained == pytest.approx([0.25 * 0.64] * 2)

"""Random-effects pooling against a published analysis, statsmodels and planted truth."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from tarazu.pool.random_effects import pool

# Thirteen trials of the BCG vaccine (Colditz et al. 1994): cases and others, vaccinated and not.
BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
        (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232),
        (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
    ],
    dtype=float,
)  # fmt: skip


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    case, other, control_case, control_other = BCG.T
    treated, control = case + other, control_case + control_other
    errors = np.sqrt(1 / case - 1 / treated + 1 / control_case - 1 / control)
    return np.log(case / treated) - np.log(control_case / control), errors


def test_the_published_meta_analysis_of_bcg_comes_out() -> None:
    """The figures of metafor (Viechtbauer 2010, J Stat Soft 36(3)), REML, with Hartung and Knapp's test."""
    found = pool(*log_risk_ratios())
    assert found.tau**2 == pytest.approx(0.3132, abs=5e-5)
    assert found.estimate.estimate == pytest.approx(-0.7145, abs=5e-5)
    assert (found.q, found.q_df) == (pytest.approx(152.2330, abs=5e-5), 12)
    assert found.i2 == pytest.approx(92.22, abs=5e-3)
    assert found.tau_interval is not None
    assert [end**2 for end in found.tau_interval] == pytest.approx([0.1197, 1.1115], abs=5e-5)
    assert found.estimate.ci_low == pytest.approx(-1.1084, abs=5e-5)
    assert found.estimate.ci_high == pytest.approx(-0.3206, abs=5e-5)
    assert found.estimate.p == pytest.approx(0.0019, abs=5e-5)


def test_the_test_of_hartung_and_knapp_is_statsmodels() -> None:
    """At the same variance between studies: statsmodels has Paule and Mandel's, which for equal errors is REML's."""
    values = np.array([3.0, -2.0, 9.0, 4.0, 0.5])
    errors = np.full(5, 2.0)
    found = pool(values, errors)
    other = combine_effects(values, errors**2, method_re="iterated", use_t=True)
    assert found.tau**2 == pytest.approx(other.tau2, rel=1e-6)
    assert found.estimate.se == pytest.approx(float(other.sd_eff_w_re_hksj), rel=1e-6)
    assert found.weights == pytest.approx(np.full(5, 0.2))


def test_studies_that_agree_by_chance_do_not_make_the_error_small() -> None:
    found = pool(np.array([2.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    assert (found.tau, found.q, found.i2) == (0, pytest.approx(0), 0)
    assert found.tau_interval is None  # and not from 0 to 0, which would be certain
    assert found.estimate.se == pytest.approx(1 / np.sqrt(1 + 1 / 4 + 1 / 9))
    assert pool(np.array([2.0, 3.0]), np.array([1.0, 1.0])).prediction is None


def coverage(models: int, tau: float, studies: int, seed: int) -> tuple[float, float]:
    """The percentages of intervals that contain the true mean, and of prediction intervals with a new true value."""
    random, hits, predicted = np.random.default_rng(seed), 0, 0
    for _ in range(studies):
        errors = random.uniform(2.0, 6.0, models)
        found = pool(random.normal(1.0, tau, models) + random.normal(0, errors), errors)
        assert found.estimate.ci_low is not None and found.estimate.ci_high is not None
        hits += found.estimate.ci_low <= 1.0 <= found.estimate.ci_high
        if found.prediction is not None:
            predicted += found.prediction[0] <= random.normal(1.0, tau) <= found.prediction[1]
    return 100 * hits / studies, 100 * predicted / studies


@pytest.mark.parametrize("models", [3, 10])
@pytest.mark.parametrize("tau", [0.0, 5.0])
def test_intervals_cover_the_true_mean(models: int, tau: float) -> None:
    mean, new = coverage(models, tau, 200, 3)
    assert mean >= 92
    assert new >= 83  # a prediction interval from few studies is known to be too narrow (Partlett and Riley 2017)


@pytest.mark.proof
@pytest.mark.parametrize("models", [3, 5, 10])
@pytest.mark.parametrize("tau", [0.0, 2.0, 5.0, 10.0])
def test_intervals_cover_the_true_mean_proof(models: int, tau: float) -> None:
    mean, new = coverage(models, tau, 4000, 4)
    print(f"{models} models, tau {tau:g}: the mean {mean:.1f} %, a new model {new:.1f} %")
    assert mean >= 93.5

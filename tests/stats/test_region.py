"""The confidence ellipse of a mean agrees with Hotelling's test and covers a planted mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tarazu.stats.region import mean_region


def inside(points: np.ndarray, at: np.ndarray) -> float:
    """Below 1 inside the ellipse, and 1 on its edge."""
    region = mean_region(points)
    assert region is not None
    turn = math.radians(region.angle)
    axes = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return float(np.sum((axes @ (at - region.centre) / region.half_axes) ** 2))


@pytest.mark.parametrize("n", [3, 6, 30])
def test_it_contains_the_means_that_hotelling_s_test_does_not_reject(n: int) -> None:
    random = np.random.default_rng(n)
    points = random.normal(size=(n, 2)) @ np.array([[3.0, 1.0], [0.0, 0.5]]) + [50, 60]
    for _ in range(20):
        at = points.mean(axis=0) + random.normal(0, 4, 2)
        gap = points.mean(axis=0) - at
        t2 = n * gap @ np.linalg.inv(np.cov(points, rowvar=False)) @ gap
        p = stats.f.sf(t2 * (n - 2) / (2 * (n - 1)), 2, n - 2)
        assert (inside(points, at) < 1) == (p > 0.05)


def test_it_has_its_nominal_coverage() -> None:
    random = np.random.default_rng(0)
    mix = np.array([[2.0, -1.5], [0.0, 1.0]])
    hits = sum(inside(random.normal(size=(6, 2)) @ mix, np.zeros(2)) < 1 for _ in range(2000))
    assert stats.binomtest(hits, 2000, 0.95).pvalue > 0.01


def test_two_languages_have_no_ellipse() -> None:
    assert mean_region(np.array([[1.0, 2.0], [3.0, 4.0]])) is None

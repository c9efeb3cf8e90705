"""Confidence region of the mean of a group of languages in the plane."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Ellipse:
    """A confidence region: its centre, its half-axes (the longer one first), and the angle of the longer one from the
    first axis, in degrees, counter-clockwise."""

    centre: tuple[float, float]
    half_axes: tuple[float, float]
    angle: float


def mean_region(points: np.ndarray) -> Ellipse | None:
    """The 95 % confidence ellipse of the mean of `points` (n, 2), assumed to be a normal sample.

    Hotelling (1931): the points m with (mean - m)' S^-1 (mean - m) <= 2 (n - 1) / (n (n - 2)) F_0.95(2, n - 2).
    None with fewer than 3 points.
    """
    n = len(points)
    if n < 3:
        return None
    scale = 2 * (n - 1) / (n * (n - 2)) * float(stats.f.ppf(LEVEL, 2, n - 2))
    values, vectors = np.linalg.eigh(np.cov(points, rowvar=False))
    short, long = np.sqrt(scale * np.maximum(values, 0.0))
    centre = points.mean(axis=0)
    return Ellipse(
        centre=(float(centre[0]), float(centre[1])),
        half_axes=(float(long), float(short)),
        angle=math.degrees(math.atan2(vectors[1, 1], vectors[0, 1])),
    )

"""Hypervolume: the area in the plane of two rates that a set of points dominates."""

from __future__ import annotations

from collections.abc import Iterable


def hypervolume(points: Iterable[tuple[float, float]]) -> float:
    """Percent of the square from (0, 0) to (100, 100) that lies below and left of at least one point.

    Points are pairs of rates in percent, where more is better. (0, 0) is the reference point (Zitzler and Thiele 1999,
    sec. III, "size of the space covered"). 0 without points. For noisy rates the union is slightly too large, more so
    with fewer responses, so only sets with the same numbers of points and prompts can be compared.
    """
    area = highest = 0.0
    for x, y in sorted(points, reverse=True):  # from the right, so that each point adds what lies above earlier ones
        if y > highest:
            area += x * (y - highest)
            highest = y
    return area / 100

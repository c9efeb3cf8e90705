"""Hypervolume: how much of the plane of two rates a set of points dominates."""

from __future__ import annotations

from collections.abc import Iterable


def hypervolume(points: Iterable[tuple[float, float]]) -> float:
    """Percent of the square from (0, 0) to (100, 100) that lies below and left of at least one point.

    Points are pairs of rates in percent, more being better, and (0, 0) is the point of reference (Zitzler and Thiele
    1999, sec. III, "size of the space covered"). 0 without points. A union over noisy rates is a little too large, the
    more so the fewer responses a rate has, so it compares sets with as many points and prompts each.
    """
    area = highest = 0.0
    for x, y in sorted(points, reverse=True):  # from the right, so that each point adds what is above those before it
        if y > highest:
            area += x * (y - highest)
            highest = y
    return area / 100

"""Charts of the frontier: from base to an aligned arm in the plane of the two rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from tarazu.report.charts import MOST_LINES, code_labels, most_tilted, window
from tarazu.report.figure import (
    GROUP_COLOUR,
    GROUP_LINE,
    GROUP_MARKER,
    GROUP_NAME,
    INK,
    PAPER,
    Chart,
    figure,
    labels,
)
from tarazu.report.languages import ReportLanguage
from tarazu.report.text import number
from tarazu.results.model import GROUPS, Frontier, GroupName, TwoRates

Place = tuple[float, float]
"""HmR and HpR in percent."""


def frontier_charts(frontier: Frontier, languages: Sequence[ReportLanguage]) -> list[Chart]:
    """The groups' mean curves in one chart, then a chart per group with its languages' curves; none where no language
    has both rates."""
    means = {group: [_place(point.groups.of(group)) for point in frontier.points] for group in GROUPS}
    included = [language for language in languages if language.code in frontier.languages.included]
    curves = {language: [_place(point.languages[language.code]) for point in frontier.points] for language in included}
    every = [place for curve in curves.values() for place in curve if place is not None]
    if not every:
        return []
    limits = window([value for place in every for value in place])
    return [_means_chart(frontier, means), *_group_charts(frontier, means, curves, limits)]


def _place(rates: TwoRates) -> Place | None:
    x, y = rates.HmR.value, rates.HpR.value
    return None if x is None or y is None else (x, y)


def _means_chart(frontier: Frontier, means: Mapping[GroupName, Sequence[Place | None]]) -> Chart:
    """Both groups' mean curves, with the shares of the arm's weights, and the arms that differ in beta."""
    swept = {
        group: [
            (row.beta, place)
            for row in frontier.sweep
            if row.arm != frontier.arm and (place := _place(row.groups.of(group))) is not None
        ]
        for group in GROUPS
    }
    drawn = [place for curve in means.values() for place in curve if place is not None]
    drawn += [place for models in swept.values() for _, place in models]
    spans = []
    names = labels([frontier.base, frontier.arm])
    limits = window([value for place in drawn for value in place])
    with _plane("means of the groups", limits) as (made, ax):
        notes: list[tuple[str, Place, str]] = []
        for group in GROUPS:
            known = [
                (point.alpha, place)
                for point, place in zip(frontier.points, means[group], strict=True)
                if place is not None
            ]
            if not known:
                continue
            _curve(ax, [place for _, place in known], group, bold=True, label=GROUP_NAME[group])
            notes += [(f"{alpha:g}", place, group) for alpha, place in known if 0 < alpha < 1]
            for beta, place in swept[group]:
                ax.plot(*place, "D", color=GROUP_COLOUR[group], mfc=PAPER, ms=5, mew=1.3)
                notes.append((f"β {beta:g}", place, group))
            ends = [f"HmR {number(place[0])}, HpR {number(place[1])}" for _, place in (known[0], known[-1])]
            spans.append(f"{GROUP_NAME[group]} from {ends[0]} to {ends[1]}")
        _write(ax, notes, [*drawn, *_between(means)], (limits[1] - limits[0]) / 100)
        ax.plot([], [], "o", color=INK, mfc=PAPER, ms=6, label=names[frontier.base])
        ax.plot([], [], "o", color=INK, ms=6, label=names[frontier.arm])
        if any(swept.values()):
            ax.plot([], [], "D", color=INK, mfc=PAPER, ms=5, label="other betas")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, handletextpad=0.4, columnspacing=1.2)
        return made.described(name="frontier-means", alt=f"Curves from {frontier.base}: {'; '.join(spans)}.")


def _group_charts(
    frontier: Frontier,
    means: Mapping[GroupName, Sequence[Place | None]],
    curves: Mapping[ReportLanguage, Sequence[Place | None]],
    limits: tuple[float, float],
) -> Iterator[Chart]:
    for group in GROUPS:
        own = {
            language: [place for place in curve if place is not None]
            for language, curve in curves.items()
            if language.group == group
        }
        own = {language: curve for language, curve in own.items() if curve}
        if not own:
            continue
        ends = [(language, curve[0], curve[-1]) for language, curve in own.items()]
        lined = {language for language, *_ in most_tilted(ends)}
        with _plane(f"{GROUP_NAME[group]} languages", limits) as (made, ax):
            for language, curve in own.items():
                _curve(ax, curve, group, bold=False, lines=len(own) <= MOST_LINES or language in lined)
            mean = [place for place in means[group] if place is not None]
            ax.plot(*zip(*mean, strict=True), color=PAPER, lw=5)  # lifts the mean off the languages
            _curve(ax, mean, group, bold=True, label=f"mean, n = {len(own)}")
            code_labels(ax, ends, mean, (limits[1] - limits[0]) / 100)
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13))
            alt = f"Curves of {len(own)} {GROUP_NAME[group]} languages; the table below has every number."
            yield made.described(name=f"frontier-{group}", alt=alt)


@contextmanager
def _plane(title: str, limits: tuple[float, float]) -> Iterator[tuple[Any, Any]]:
    """A figure of the plane of the two rates, both to the same scale."""
    with figure(height=4.3) as (made, axes):
        ax = axes[0, 0]
        ax.set(xlim=limits, ylim=limits, aspect="equal")
        ax.set_title(title)
        ax.set_xlabel("HmR: harmless responses (%)")
        ax.set_ylabel("HpR: helpful responses (%)")
        yield made, ax


def _curve(
    ax: Any, places: Sequence[Place], group: str, *, bold: bool, label: str | None = None, lines: bool = True
) -> None:
    """A curve from base (hollow mark) to the arm (full mark), or without `lines` the latter mark alone."""
    colour, mark = GROUP_COLOUR[group], GROUP_MARKER[group]
    x, y = zip(*places, strict=True)
    if not lines:
        ax.plot(*places[-1], mark, color=colour, ms=4.5, alpha=0.4)
        return
    if bold:
        ax.plot(x, y, color=colour, lw=2.4, ls=GROUP_LINE[group], marker=mark, ms=4.5, label=label)
    else:
        ax.plot(x, y, color=colour, lw=0.9, alpha=0.5)
    size = 9 if bold else 4.5
    ax.plot(*places[0], mark, color=colour, mfc=PAPER, ms=size, mew=1.4 if bold else 0.9)
    ax.plot(*places[-1], mark, color=colour, ms=size)


def _between(curves: Mapping[GroupName, Sequence[Place | None]]) -> list[Place]:
    """Places along each curve, between its points."""
    known = [[place for place in curve if place is not None] for curve in curves.values()]
    shares = [index / 6 for index in range(1, 6)]
    return [
        (a + (c - a) * share, b + (d - b) * share)
        for curve in known
        for (a, b), (c, d) in pairwise(curve)
        for share in shares
    ]


def _write(ax: Any, notes: Sequence[tuple[str, Place, str]], taken: Sequence[Place], unit: float) -> None:
    """A few characters beside marks, in the colour of their group, each in the freest of eight places around its mark.

    `taken` are places to stay clear of; `unit` is a hundredth of an axis.
    """
    steps = [(5.5, 0), (-5.5, 0), (0, 4), (0, -4), (4.5, 3), (-4.5, 3), (4.5, -3), (-4.5, -3)]
    taken = list(taken)
    for text, (x, y), group in notes:
        places = [(x + dx * unit, y + dy * unit) for dx, dy in steps]
        best = max(places, key=lambda p: min(abs(p[0] - u) + abs(p[1] - v) for u, v in taken))
        taken.append(best)
        ax.text(*best, text, ha="center", va="center", fontsize=7.5, color=GROUP_COLOUR[group])

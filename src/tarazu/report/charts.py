"""Charts of the rates: the intervals of D, the plane of the two rates, rates and what is compared by language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patches import Ellipse
from scipy import stats

from tarazu.data.rows import KINDS
from tarazu.errors import visible
from tarazu.languages import facts_of
from tarazu.report.figure import (
    GOOD,
    GRID,
    GROUP_COLOUR,
    GROUP_LINE,
    GROUP_MARKER,
    GROUP_NAME,
    INK,
    MUTED,
    PAPER,
    TITLE,
    Chart,
    figure,
    labels,
)
from tarazu.report.languages import ReportLanguage
from tarazu.report.text import interval, number, signed
from tarazu.results.model import (
    GROUPS,
    RATES,
    ChangeEntry,
    EstimateEntry,
    LanguageRates,
    RateEntry,
    Results,
    TaskChange,
    Validity,
)
from tarazu.results.quantity import Quantity, quantity_of
from tarazu.stats.region import mean_region

_ROW = 0.17
"""Inches that a row of a dot plot takes."""


def answer_chart(results: Results) -> Chart | None:
    """The primary estimate, and that of the other arms beneath it."""
    primary = results.tradeoff.primary
    rows = [(primary.arm, primary)]
    rows += [
        (row.arm, row)
        for row in results.tradeoff.secondary
        if row.quantity == primary.quantity and row.unit == primary.unit
    ]
    names = labels(results.arms)
    return tradeoff_chart([(f"D, {names[arm]}", row) for arm, row in rows], primary.margin)


def tradeoff_chart(rows: Sequence[tuple[str, EstimateEntry]], margin: float | None) -> Chart | None:
    """Estimates in points with intervals, one row each, against zero and the equivalence margin."""
    drawn = [(label, row, row.estimate) for label, row in rows if row.estimate is not None]
    if not drawn:
        return None
    with figure(height=0.75 + 0.3 * len(drawn)) as (made, axes):
        ax = axes[0, 0]
        if margin is not None:
            ax.axvspan(-margin, margin, color=GOOD, alpha=0.14, lw=0)
        ax.axvline(0, color=INK, lw=0.8)
        for index, (_, row, estimate) in enumerate(drawn):
            first = index == 0
            ax.errorbar(
                estimate, index, xerr=_arms_of((estimate, row.ci_low, row.ci_high)), fmt="D" if first else "o",
                color=INK if first else MUTED, ms=6 if first else 4.5, lw=2 if first else 1.2, capsize=0,
            )  # fmt: skip
        ax.set_yticks(range(len(drawn)), [label for label, *_ in drawn])
        ax.set_ylim(len(drawn) - 0.5, -0.5)
        ax.set_xlabel("D: low- minus high-resource (points)")
        ax.grid(axis="y", visible=False)
        alt = "; ".join(
            f"{label}: {signed(estimate)} {interval(row.ci_low, row.ci_high)}" for label, row, estimate in drawn
        )
        return made.described(name="tradeoff", alt=f"Differences between the groups, in points. {alt}.")


Dot = tuple[float, float | None, float | None]
"""A value with the ends of its interval."""


def dot(entry: RateEntry | ChangeEntry | TaskChange | None) -> Dot | None:
    """The dot and interval of a value; None where it is not defined."""
    return None if entry is None or entry.value is None else (entry.value, entry.ci_low, entry.ci_high)


def _arms_of(drawn: Dot) -> list[list[float]] | None:
    """Lengths of an interval's two arms, as matplotlib wants them."""
    value, low, high = drawn
    if low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def plane_chart(results: Results, arm: str, languages: Sequence[ReportLanguage]) -> Chart | None:
    """Arrows in the plane of the two rates, from the base arm to `arm`, per language and (bold) per group."""
    base = results.arms[results.base_arm].languages
    moved = results.arms[arm].languages
    arrows = []
    for language in languages:
        ends = [_point(rates.get(language.code)) for rates in (base, moved)]
        if ends[0] is not None and ends[1] is not None:
            arrows.append((language, ends[0], ends[1]))
    if not arrows:
        return None
    low, high = window([*_shared_extent(results), *(value for _, a, b in arrows for value in (*a, *b))])
    with figure(height=4.3) as (made, axes):
        ax = axes[0, 0]
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        ax.set_title(_from_base(results, arm))
        ax.set_xlabel("HmR: harmless responses (%)")
        ax.set_ylabel("HpR: helpful responses (%)")
        crowd = 1.0 if len(arrows) <= 16 else 0.6
        # Of very many languages, lines show those with the largest tilt.
        lined = arrows if len(arrows) <= MOST_LINES else most_tilted(arrows)
        for language, start, end in arrows:
            colour, clear = GROUP_COLOUR[language.group], (language, start, end) in lined
            if clear:
                _arrow(ax, (start, end), colour, lw=1.0, alpha=0.55 * crowd)
            ax.plot(*end, GROUP_MARKER[language.group], color=colour, ms=4.5, alpha=1.0 if clear else 0.4)
        means: list[str] = []
        bold: list[Point] = []
        for group in GROUPS:
            members = [(start, end) for language, start, end in arrows if language.group == group]
            if not members:
                continue
            start, end = (_mean([pair[i] for pair in members]) for i in (0, 1))
            _region(ax, group, np.array([end for _, end in members]))
            bold += _along(start, end, 12)
            _arrow(ax, (start, end), PAPER, lw=6.5, alpha=1.0)
            _arrow(ax, (start, end), GROUP_COLOUR[group], lw=3.2, alpha=1.0, line=GROUP_LINE[group])
            ax.plot(
                *end, GROUP_MARKER[group], color=GROUP_COLOUR[group], mec=PAPER, mew=1.2, ms=10,
                label=f"{GROUP_NAME[group]} mean, n = {len(members)}",
            )  # fmt: skip
            means.append(
                f"{GROUP_NAME[group]} mean from HmR {number(start[0])}, HpR {number(start[1])} to "
                f"HmR {number(end[0])}, HpR {number(end[1])}"
            )
        code_labels(ax, lined, bold, (high - low) / 100)
        alt = f"Both rates from {results.base_arm} to {arm} in {len(arrows)} languages"
        if means:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, handletextpad=0.3, columnspacing=1.2)
            alt += f": {'; '.join(means)}"
        alt += "."
        return made.described(name=f"plane-{arm}", alt=alt)


Point = tuple[float, float]
_Arrow = tuple[ReportLanguage, Point, Point]

MOST_LINES = 60
"""Languages of which a plane shows a line each."""
_MOST_CODES = 16


def most_tilted(arrows: Sequence[_Arrow]) -> list[_Arrow]:
    """The arrows with the largest tilt, as many as a plane names; the largest first."""
    falling = sorted(arrows, key=lambda a: (-abs((a[2][1] - a[1][1]) - (a[2][0] - a[1][0])), a[0].code))
    return falling[:_MOST_CODES]


def _from_base(results: Results, arm: str) -> str:
    """The title of a chart from the base arm to another: on two lines where the names are long."""
    names = labels(results.arms, TITLE)
    base, other = names[results.base_arm], names[arm]
    return f"{base} to {other}" if len(base) + len(other) <= TITLE else f"{base}\nto {other}"


def _point(rates: LanguageRates | None) -> Point | None:
    if rates is None or rates.HmR.value is None or rates.HpR.value is None:
        return None
    return rates.HmR.value, rates.HpR.value


def _shared_extent(results: Results) -> list[float]:
    """Every rate of every arm, so that the panels side by side have the same axes."""
    points = [_point(rates) for arm in results.arms.values() for rates in arm.languages.values()]
    return [value for point in points if point is not None for value in point]


def window(values: Sequence[float]) -> Point:
    """Both axes' limits: square, so that the direction of an arrow is true."""
    low, high = min(values), max(values)
    pad = max(3.0, (high - low) * 0.06)
    return max(-4.0, low - pad), min(104.0, high + pad)


def _mean(points: Sequence[Point]) -> Point:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _arrow(ax: Any, ends: tuple[Point, Point], colour: str, *, lw: float, alpha: float, line: Any = "-") -> None:
    """A line with a dot at its foot; the caller puts the group's mark on its head."""
    ax.plot(*zip(*ends, strict=True), color=colour, lw=lw, alpha=alpha, ls=line, solid_capstyle="round")
    ax.plot(*ends[0], ".", color=colour, ms=lw * 2.2, alpha=alpha)


def _region(ax: Any, group: str, points: np.ndarray) -> None:
    """Where a group's mean lies with 95 % confidence; nothing for fewer than 3 languages."""
    region = mean_region(points)
    if region is None:
        return
    width, height = (2 * half for half in region.half_axes)
    colour, line = GROUP_COLOUR[group], GROUP_LINE[group]
    shape: dict[str, Any] = {"xy": region.centre, "width": width, "height": height, "angle": region.angle}
    ax.add_patch(Ellipse(**shape, facecolor=colour, alpha=0.1, lw=0))
    ax.add_patch(Ellipse(**shape, fill=False, edgecolor=colour, lw=1.0, ls=line))


def _along(start: Point, end: Point, pieces: int) -> list[Point]:
    """Points on the way from `start` to `end`, both included."""
    shares = [index / pieces for index in range(pieces + 1)]
    return [(start[0] + (end[0] - start[0]) * s, start[1] + (end[1] - start[1]) * s) for s in shares]


def code_labels(ax: Any, arrows: Sequence[_Arrow], taken: Sequence[Point], unit: float) -> None:
    """Codes beside the arrow heads, each in the freest of eight places within the axes and on no head; where there are
    many, those with the largest tilt that fit.

    `taken` are points to stay clear of, besides the arrows; `unit` is a hundredth of an axis.
    """
    heads = {end for _, _, end in arrows}
    taken = [*taken, *(point for _, start, end in arrows for point in _along(start, end, 10))]
    steps = [(4, 0), (-4, 0), (0, 3.6), (0, -3.6), (3.2, 2.8), (-3.2, 2.8), (3.2, -2.8), (-3.2, -2.8)]
    written: list[tuple[float, float, int]] = []
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for language, _, end in most_tilted(arrows):
        letters = len(language.code)
        # A letter is two units wide: a long code such as zh-Hant is centred further away.
        more = [(letters - 2) * ((dx > 0) - (dx < 0)) for dx, _ in steps]
        places = [(end[0] + (dx + own) * unit, end[1] + dy * unit) for (dx, dy), own in zip(steps, more, strict=True)]
        free = [
            (min((abs(x - u) + abs(y - v) for u, v in taken if (u, v) != end), default=0.0), (x, y))
            for x, y in places
            if left + letters * unit < x < right - letters * unit
            and bottom + 1.5 * unit < y < top - 1.5 * unit
            and all(abs(x - u) > (letters + 1) * unit or abs(y - v) > 2.6 * unit for u, v in heads)
            and all(abs(x - u) > (letters + other + 2) * unit or abs(y - v) > 4 * unit for u, v, other in written)
        ]
        if free:
            best = max(free)[1]
            written.append((*best, letters))
            ax.text(*best, visible(language.code), ha="center", va="center", fontsize=8)


def rates_chart(results: Results, arm: str, languages: Sequence[ReportLanguage]) -> Chart | None:
    """Both rates of an arm by language, with intervals, and the base arm's value as a tick."""
    base = results.arms[results.base_arm].languages
    own = results.arms[arm].languages
    columns = [
        Column(
            name=rate,
            label=f"{rate} (%)",
            entries={code: rates.rate(rate) for code, rates in own.items()},
            before=None if arm == results.base_arm else {code: rates.rate(rate) for code, rates in base.items()},
        )
        for rate in RATES
    ]
    return dot_plot(f"rates-{arm}", labels(results.arms, TITLE)[arm], columns, languages)


def change_chart(results: Results, arm: str, languages: Sequence[ReportLanguage]) -> Chart | None:
    """What is compared, in an arm by language, in points, with intervals where results.json has them."""
    quantity = quantity_of(results.primary)
    entries = {code: rates.change(quantity.name) for code, rates in results.arms[arm].languages.items()}
    column = Column(name=quantity.name, label=quantity.axis, entries=entries)
    title = labels(results.arms, TITLE)[arm]
    return dot_plot(f"{quantity.name}-{arm}", title, [column], languages, limits=_change_limits(results, quantity))


def dose_chart(results: Results, languages: Sequence[ReportLanguage]) -> Chart | None:
    """What is compared, in the primary arm against web text, by language, with the slope of the secondary estimate.

    The line goes through the mean of the languages compared. Its 95 % band is for the mean of languages with so much
    text: t sqrt(s^2 / n + (x - mean x)^2 se^2), s the spread about the line and se the slope's own error, which
    includes the variance of prompts. None where the slope has no interval.
    """
    arm, quantity = results.primary_arm, quantity_of(results.primary)
    slope = next((row for row in results.tradeoff.secondary if row.quantity == "slope"), None)
    if slope is None or slope.estimate is None or slope.ci_high is None or slope.df is None:
        return None
    included, own = results.tradeoff.languages.included, results.arms[arm].languages
    changes = {code: rates.change(quantity.name) for code, rates in own.items() if code in included}
    values = {code: entry.value for code, entry in changes.items() if entry and entry.value is not None}
    drawn = [language for language in languages if language.code in values]
    facts = [facts_of(language.code) for language in drawn]
    if len(drawn) < 3:
        return None
    x = np.log10([own.common_crawl_pages for own in facts if own is not None])
    y = np.array([values[language.code] for language in drawn])
    residuals = y - y.mean() - slope.estimate * (x - x.mean())
    t = float(stats.t.ppf(0.975, slope.df))
    error = (slope.ci_high - slope.estimate) / t
    along = np.linspace(x.min(), x.max(), 60)
    line = y.mean() + slope.estimate * (along - x.mean())
    spread = float(residuals @ residuals) / (len(x) - 2)
    half = t * np.sqrt(spread / len(x) + (along - x.mean()) ** 2 * error**2)
    with figure(height=3.2) as (made, axes):
        ax = axes[0, 0]
        ax.axhline(0, color=INK, lw=0.8)
        ax.fill_between(along, line - half, line + half, color=MUTED, alpha=0.18, lw=0)
        ax.plot(along, line, color=INK, lw=1.6)
        for group in GROUPS:
            here = np.array([language.group == group for language in drawn])
            if here.any():
                ax.plot(
                    x[here], y[here], GROUP_MARKER[group], color=GROUP_COLOUR[group], ms=5,
                    label=f"{GROUP_NAME[group]}, n = {here.sum()}",
                )  # fmt: skip
        ax.margins(x=0.08)
        wide, tall = np.ptp(x) or 1.0, np.ptp(y) or 1.0
        written: list[int] = []
        for index in np.argsort(-np.abs(residuals), kind="stable"):
            near = [other for other in written if abs(x[index] - x[other]) < 0.06 * wide]
            if len(written) < 16 and all(abs(y[index] - y[other]) > 0.06 * tall for other in near):
                written.append(index)
                place = {"xytext": (4, 3), "textcoords": "offset points", "fontsize": 8}
                ax.annotate(visible(drawn[index].code), (x[index], y[index]), **place)
        decades = range(int(np.ceil(x.min())), int(np.floor(x.max())) + 1)
        ax.set_xticks(list(decades), [f"10{str(decade).translate(_SUPERSCRIPT)}" for decade in decades])
        ax.set_title(_from_base(results, arm))
        ax.set_xlabel("pages in Common Crawl")
        ax.set_ylabel(quantity.axis)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handletextpad=0.3, columnspacing=1.2)
        alt = (
            f"{quantity.heading} of {arm} against web text in {len(drawn)} languages: {signed(slope.estimate)} points "
            f"per tenfold {interval(slope.ci_low, slope.ci_high)}."
        )
        return made.described(name="dose", alt=alt)


_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _change_limits(results: Results, quantity: Quantity) -> tuple[float, float]:
    """Ends of every arm's changes and intervals, with zero inside: panels side by side have the same axis."""
    every = [rates.change(quantity.name) for arm in results.arms.values() for rates in arm.languages.values()]
    ends = [end for entry in every if entry for end in (entry.value, entry.ci_low, entry.ci_high) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    pad = (high - low) * 0.04 or 1.0
    return low - pad, high + pad


def ruler_chart(validity: Validity, languages: Sequence[ReportLanguage], trusted: float | None) -> Chart | None:
    """Balanced accuracy of the judge on known answers, by language and kind; its ranking accuracy as grey ticks."""
    rows, breaks = language_rows(languages)
    drawn = 0
    with figure(1, 2, height=1.1 + _ROW * (len(rows) + len(breaks)), sharey=True) as (made, axes):
        for ax, kind in zip(axes[0], KINDS, strict=True):
            entries = {code: kinds.of(kind) for code, kinds in validity.languages.items()}
            ranking = {code: entry.accuracy for code, entry in entries.items()}
            ax.plot([ranking.get(language.code) for _, language in rows], [y for y, _ in rows], "|", **_TICKS)
            for status, (marker, colour) in _STATUS_MARKS.items():
                own = {
                    code: (entry.balanced_accuracy, interval.low, interval.high)
                    for code, entry in entries.items()
                    if entry.status == status
                    and entry.balanced_accuracy is not None
                    and (interval := entry.balanced_accuracy_interval) is not None
                }
                drawn += draw_dots(ax, rows, own, marker, colour)
            if trusted is not None:
                ax.axvline(trusted, color=INK, lw=0.8, ls=(0, (4, 2)))
            ax.axvline(50, color=MUTED, lw=0.8, ls=":")
            ax.set_xlabel("balanced accuracy (%)")
            ax.set_title(f"{kind} prompts")
            percent_axis(ax)
        language_axes(axes[0], rows, breaks)
        axis_above(axes[0], rows)
        if not drawn:
            return None
        alt = "Balanced accuracy of the judges by language and prompt kind; the table below has every number."
        return made.described(name="ruler", alt=alt)


_TICKS: Mapping[str, Any] = {"color": MUTED, "ms": 8, "mew": 1.4}
"""Of a second value of each language, for comparison."""

_STATUS_MARKS = {"trusted": ("o", GOOD), "doubtful": ("X", INK), "unassessed": ("s", MUTED)}

_Rows = Sequence[tuple[float, ReportLanguage]]
"""Languages, each with its place on the vertical axis."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A quantity of a dot plot, by language; `before` is drawn as grey ticks."""

    name: str
    label: str
    entries: Mapping[str, RateEntry | ChangeEntry | TaskChange | None]
    before: Mapping[str, RateEntry] | None = None


def dot_plot(
    name: str,
    title: str,
    columns: Sequence[Column],
    languages: Sequence[ReportLanguage],
    *,
    limits: tuple[float, float] | None = None,
) -> Chart | None:
    """A row per language, a column per quantity, the groups apart.

    Axes are in percent, or in points where `limits` are given. None where nothing is defined.
    """
    rows, breaks = language_rows(languages)
    drawn = 0
    with figure(1, len(columns), height=1.0 + _ROW * (len(rows) + len(breaks)), sharey=True) as (made, axes):
        for ax, column in zip(axes[0], columns, strict=True):
            if column.before is not None:
                ticks = [(_value(column.before.get(language.code)), y) for y, language in rows]
                ax.plot(*zip(*ticks, strict=True), "|", **_TICKS)
            for group in GROUP_MARKER:
                dots = {
                    language.code: dot(column.entries.get(language.code))
                    for _, language in rows
                    if language.group == group
                }
                own = {code: drawn_dot for code, drawn_dot in dots.items() if drawn_dot is not None}
                drawn += draw_dots(ax, rows, own, GROUP_MARKER[group], GROUP_COLOUR[group])
            ax.set_xlabel(column.label)
            if limits is None:
                percent_axis(ax)
            else:
                ax.set_xlim(limits)
                ax.axvline(0, color=INK, lw=0.8)
        language_axes(axes[0], rows, breaks)
        axis_above(axes[0], rows)
        # Above the figure, not the axes: a long title would push the axes apart.
        made.suptitle(visible(title), x=0.01, ha="left", fontsize=9, fontweight="bold")
        if not drawn:
            return None
        alt = f"{title}: {' and '.join(column.name for column in columns)} by language; the tables have every number."
        return made.described(name=name, alt=alt)


def _value(entry: RateEntry | None) -> float:
    """A value, as a float that is not drawn where it is not defined."""
    return float("nan") if entry is None or entry.value is None else entry.value


def draw_dots(ax: Any, rows: _Rows, dots: Mapping[str, Dot], marker: str, colour: str) -> int:
    """Draw the values of languages with their intervals; return how many."""
    points = [
        (drawn[0], y, *(_arms_of(drawn) or ([0.0], [0.0])))
        for y, language in rows
        if (drawn := dots.get(language.code)) is not None
    ]
    if points:
        x, y, low, high = zip(*points, strict=True)
        lengths = [[arm[0] for arm in low], [arm[0] for arm in high]]
        ax.errorbar(x, y, xerr=lengths, fmt=marker, color=colour, ms=4.5, elinewidth=1.3)
    return len(points)


def percent_axis(ax: Any) -> None:
    ax.set(xlim=(-3, 103), xticks=[0, 25, 50, 75, 100])


def language_axes(axes: Sequence[Any], rows: _Rows, breaks: Sequence[float]) -> None:
    """Names of the languages on the left, a rule between the groups."""
    for ax in axes:
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        for place in breaks:
            ax.axhline(place, color=GRID, lw=1.2)
    names = labels(language.label for _, language in rows)
    axes[0].set_yticks([y for y, _ in rows], [names[language.label] for _, language in rows])
    axes[0].set_ylim(max((y for y, _ in rows), default=0) + 0.7, -0.7)


MOST_BELOW = 40
"""Languages of a chart from whose last row its first one can be seen."""


def axis_above(axes: Sequence[Any], rows: _Rows) -> None:
    """In a chart that is higher than a screen, the horizontal axes also above the rows."""
    for ax in axes if len(rows) > MOST_BELOW else ():
        ax.tick_params(axis="x", top=True, labeltop=True)
        ax.set_title(ax.get_title(loc="left") or ax.get_xlabel(), loc="left", fontweight="normal")


def language_rows(languages: Sequence[ReportLanguage]) -> tuple[list[tuple[float, ReportLanguage]], list[float]]:
    """Each language's place on the vertical axis, and the places between groups."""
    rows: list[tuple[float, ReportLanguage]] = []
    breaks: list[float] = []
    y = 0.0
    for index, language in enumerate(languages):
        if index and language.group != languages[index - 1].group:
            breaks.append(y)
            y += 1
        rows.append((y, language))
        y += 1
    return rows, breaks

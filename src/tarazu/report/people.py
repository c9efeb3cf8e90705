"""Charts of people's labels: the judge against known answers and people, and people against each other, by language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tarazu.data.rows import KINDS, Kind
from tarazu.report.charts import Dot, axis_above, draw_dots, language_axes, language_rows, percent_axis
from tarazu.report.figure import GOOD, INK, MUTED, Chart, figure
from tarazu.report.languages import ReportLanguage
from tarazu.results.model import CoefficientEntry, JudgeAgreement, PeopleLabels, RateEntry, Validity

_ROW = 0.26
"""Inches that a language takes: two dots, one above the other."""
_APART = 0.17
"""How far a dot is from the middle of its row."""


@dataclass(frozen=True, kw_only=True)
class _Series:
    """Values of one kind by language, drawn above or below the middle of a language's row."""

    of: Callable[[Kind], Mapping[str, Dot]]
    marker: str
    colour: str
    offset: float


def deciding(people: PeopleLabels, kind: Kind) -> JudgeAgreement | None:
    """The judge that decides in a kind; an ensemble's models come after it."""
    return next((judge for judge in people.judges if judge.kind == kind), None)


def judge_chart(
    people: PeopleLabels, validity: Validity, languages: Sequence[ReportLanguage], trusted: float | None
) -> Chart | None:
    """Balanced accuracy of the judge by language and kind: on known answers (circles), and by people's labels of the
    responses themselves (diamonds)."""

    def known(kind: Kind) -> dict[str, Dot]:
        entries = {code: kinds.of(kind) for code, kinds in validity.languages.items()}
        return {
            code: (entry.balanced_accuracy, interval.low, interval.high)
            for code, entry in entries.items()
            if entry.balanced_accuracy is not None and (interval := entry.balanced_accuracy_interval) is not None
        }

    def by_people(kind: Kind) -> dict[str, Dot]:
        judge = deciding(people, kind)
        return _dots_of({code: entry.balanced_accuracy for code, entry in judge.languages.items()} if judge else {})

    series = [
        _Series(of=known, marker="o", colour=GOOD, offset=-_APART),
        _Series(of=by_people, marker="D", colour=INK, offset=_APART),
    ]
    alt = "Balanced accuracy of the judge by language and prompt kind, on known answers and by people's labels."
    return _chart("judge-people", languages, series, marks=(50.0, trusted), alt=alt)


def agreement_chart(people: PeopleLabels, languages: Sequence[ReportLanguage]) -> Chart | None:
    """Agreement beyond chance by language and kind: of people with each other (Krippendorff's alpha, diamonds), and of
    the judge with people (Cohen's kappa, circles)."""
    between = people.between_raters.languages

    def raters(kind: Kind) -> dict[str, Dot]:
        return _dots_of({code: kinds[kind].alpha for code, kinds in between.items() if kind in kinds})

    def judges(kind: Kind) -> dict[str, Dot]:
        judge = deciding(people, kind)
        return _dots_of({code: entry.kappa for code, entry in judge.languages.items()} if judge else {})

    series = [
        _Series(of=judges, marker="o", colour=GOOD, offset=-_APART),
        _Series(of=raters, marker="D", colour=INK, offset=_APART),
    ]
    alt = "Agreement beyond chance by language and prompt kind: people with each other, and the judge with people."
    return _chart("agreement", languages, series, marks=None, alt=alt)


def _dots_of(entries: Mapping[str, RateEntry | CoefficientEntry]) -> dict[str, Dot]:
    return {
        code: (entry.value, entry.ci_low, entry.ci_high) for code, entry in entries.items() if entry.value is not None
    }


def _chart(
    name: str,
    languages: Sequence[ReportLanguage],
    series: Sequence[_Series],
    *,
    marks: tuple[float, float | None] | None,
    alt: str,
) -> Chart | None:
    """A row per language, a panel per kind. `marks` are chance and the bound of trust on an axis of percent; None for
    an axis of agreement beyond chance."""
    rows, breaks = language_rows(languages)
    drawn = 0
    with figure(1, 2, height=1.1 + _ROW * (len(rows) + len(breaks)), sharey=True, sharex=True) as (made, axes):
        for ax, kind in zip(axes[0], KINDS, strict=True):
            for one in series:
                shifted = [(y + one.offset, language) for y, language in rows]
                drawn += draw_dots(ax, shifted, one.of(kind), one.marker, one.colour)
            if marks is None:
                ax.axvline(0, color=MUTED, lw=0.8, ls=":")
                ax.set_xlabel("kappa or alpha")
            else:
                chance, trusted = marks
                ax.axvline(chance, color=MUTED, lw=0.8, ls=":")
                if trusted is not None:
                    ax.axvline(trusted, color=INK, lw=0.8, ls=(0, (4, 2)))
                ax.set_xlabel("balanced accuracy (%)")
                percent_axis(ax)
            ax.set_title(f"{kind} prompts")
        if marks is None:
            low, _ = axes[0, 0].get_xlim()
            axes[0, 0].set_xlim(max(-1.03, min(low, -0.05)), 1.03)
        language_axes(axes[0], rows, breaks)
        axis_above(axes[0], rows)
        return made.described(name=name, alt=f"{alt} The tables have every number.") if drawn else None

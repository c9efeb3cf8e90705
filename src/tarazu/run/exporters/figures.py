"""The report's figures as SVG and PDF, each with its data as csv beside."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tarazu.data.rows import KINDS
from tarazu.files import atomic_directory
from tarazu.languages import facts_of
from tarazu.report.charts import answer_chart, change_chart, dose_chart, plane_chart, rates_chart, ruler_chart
from tarazu.report.figure import Chart, drawn
from tarazu.report.health import MEASURES, health_chart
from tarazu.report.languages import ReportLanguage, report_languages
from tarazu.report.reach import thresholds_chart
from tarazu.results.model import RATES, ChangeEntry, RateEntry, Results
from tarazu.results.quantity import quantity_of
from tarazu.run.exporters.folders import file_names
from tarazu.summary import arm_order

Cell = str | int | float | None
Row = dict[str, Cell]
"""A row of a figure's data, by column."""


@dataclass(frozen=True)
class Figure:
    """A chart and what it shows, unrounded."""

    chart: Chart
    data: tuple[Row, ...]


def export_figures(results: Results, out: Path) -> str:
    """Write each figure as .svg, .pdf and .csv to the new folder `out`. Equal results give equal bytes."""
    figures = [figure for figure in figures_of(results) if figure is not None]
    names = file_names(figure.chart.name for figure in figures)
    with atomic_directory(out) as temporary:
        for figure in figures:
            stem = temporary / names[figure.chart.name]
            Path(f"{stem}.svg").write_bytes(drawn(figure.chart, "svg"))
            Path(f"{stem}.pdf").write_bytes(drawn(figure.chart, "pdf"))
            Path(f"{stem}.csv").write_text(_csv(figure.data), encoding="utf-8", newline="")
    return f"{len(figures)} figures"


def figures_of(results: Results) -> Iterator[Figure | None]:
    """The figures of a study; None where one has nothing to show."""
    languages, quantity = report_languages(results), quantity_of(results.primary)
    yield _figure(answer_chart(results), _answer_rows(results))
    for arm in arm_order(results):
        yield _figure(rates_chart(results, arm, languages), _rate_rows(results, arm, languages))
        if arm == results.base_arm:
            continue
        yield _figure(plane_chart(results, arm, languages), _plane_rows(results, arm, languages))
        changes = {code: own.change(quantity.name) for code, own in results.arms[arm].languages.items()}
        rows = [
            _of(language) | _interval(quantity.name, changes.get(language.code))
            for language in languages
            if language.code in changes
        ]
        yield _figure(change_chart(results, arm, languages), rows)
    yield _figure(dose_chart(results, languages), _dose_rows(results, languages))
    curve = [point.model_dump(mode="json") for point in results.tradeoff.threshold_curve]
    yield _figure(thresholds_chart(results.tradeoff), curve)
    yield _figure(ruler_chart(results.validity, languages, None), _ruler_rows(results, languages))
    for kind in KINDS:
        chart = health_chart(results.health, kind, arm_order(results))
        rows = [
            {"arm": arm, "measure": measure, **_interval("percent", own.kinds[kind].share(measure))}
            for arm, own in results.health.arms.items()
            if kind in own.kinds
            for measure in MEASURES
        ]
        yield _figure(chart, rows)


def _figure(chart: Chart | None, rows: Sequence[Row]) -> Figure | None:
    return None if chart is None else Figure(chart, tuple(rows))


def _answer_rows(results: Results) -> list[Row]:
    primary = results.tradeoff.primary
    same = [row for row in results.tradeoff.secondary if (row.quantity, row.unit) == (primary.quantity, primary.unit)]
    keys = ("arm", "quantity", "unit", "estimate", "ci_low", "ci_high", "p", "p_holm", "margin", "verdict")
    return [{key: getattr(row, key) for key in keys} for row in (primary, *same)]


def _rate_rows(results: Results, arm: str, languages: Sequence[ReportLanguage]) -> list[Row]:
    own = results.arms[arm].languages
    return [
        {
            "arm": arm,
            **_of(language),
            **_interval("HmR", own[language.code].HmR),
            **_interval("HpR", own[language.code].HpR),
        }
        for language in languages
        if language.code in own
    ]


def _plane_rows(results: Results, arm: str, languages: Sequence[ReportLanguage]) -> list[Row]:
    rows = []
    for language in languages:
        row = _of(language)
        for name in (results.base_arm, arm):
            rates = results.arms[name].languages.get(language.code)
            role = "base" if name == results.base_arm else "arm"
            row |= {f"{role}_{rate}": rates.rate(rate).value if rates else None for rate in RATES}
        rows.append(row)
    return rows


def _dose_rows(results: Results, languages: Sequence[ReportLanguage]) -> list[Row]:
    quantity = quantity_of(results.primary)
    own, included = results.arms[results.primary_arm].languages, results.tradeoff.languages.included
    return [
        _of(language)
        | {"common_crawl_pages": facts.common_crawl_pages if (facts := facts_of(language.code)) else None}
        | _interval(quantity.name, own[language.code].change(quantity.name))
        for language in languages
        if language.code in included
    ]


def _ruler_rows(results: Results, languages: Sequence[ReportLanguage]) -> list[Row]:
    rows: list[Row] = []
    for language in languages:
        known = results.validity.languages.get(language.code)
        for kind in KINDS if known else ():
            assert known is not None
            entry = known.of(kind)
            ends = entry.balanced_accuracy_interval
            row = _of(language) | {"kind": kind, "status": entry.status, "balanced_accuracy": entry.balanced_accuracy}
            row |= {"ci_low": ends.low if ends else None, "ci_high": ends.high if ends else None}
            rows.append(row | {"ranking": entry.accuracy, "n": entry.n})
    return rows


def _of(language: ReportLanguage) -> Row:
    return {"code": language.code, "language": language.name, "group": language.group}


def _interval(name: str, entry: RateEntry | ChangeEntry | None) -> Row:
    """A value, its interval and its n; empty cells where it is not defined."""
    keys = (name, f"{name}_ci_low", f"{name}_ci_high", f"{name}_n")
    if entry is None:
        return dict.fromkeys(keys)
    return dict(zip(keys, (entry.value, entry.ci_low, entry.ci_high, entry.n), strict=True))


def _csv(rows: Sequence[Row]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()

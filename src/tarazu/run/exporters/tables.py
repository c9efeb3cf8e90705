"""The tables of a study for a paper: rates with intervals and numbers of responses, the answer, rates by language."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tarazu.files import atomic_directory
from tarazu.report.checklist import Files, checklist
from tarazu.report.languages import report_languages
from tarazu.report.text import interval, number, p_value, signed
from tarazu.report.words import quantity_words
from tarazu.results.model import RATES, RATES_AND_MEAN, ChangeEntry, EstimateEntry, RateEntry, Results
from tarazu.summary import arm_order


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as text. `name` is that of its file; `notes` are lines below it."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    numbers: frozenset[int] = field(default_factory=frozenset)
    """Which columns are numbers."""


def write_tables(
    results: Results, files: Files, out: Path, suffix: str, render: Callable[[Table, Results], str]
) -> str:
    """Write a file per table to the new folder `out`. Returns what was written."""
    tables = tables_of(results, files)
    with atomic_directory(out) as temporary:
        for table in tables:
            (temporary / f"{table.name}{suffix}").write_text(render(table, results), encoding="utf-8", newline="\n")
    return f"{len(tables)} tables"


def tables_of(results: Results, files: Files) -> list[Table]:
    """The tables of a study, in the order of a paper."""
    return [rates_table(results), answer_table(results), languages_table(results), checklist_table(results, files)]


def checklist_table(results: Results, files: Files) -> Table:
    """Published checklists, answered from the results and the files beside them."""
    items = checklist(results, files)
    return Table(
        name="checklist",
        caption="Published checklists, answered from the results and the files beside them.",
        columns=("Checklist", "Point", "Answer", "Evidence"),
        rows=tuple((item.checklist, item.question, item.answer, item.evidence) for item in items),
    )


def rates_table(results: Results) -> Table:
    """The mean rates of each arm over languages, with intervals and numbers of responses and languages."""
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for arm in arm_order(results):
        cells = [arm]
        for rate in RATES_AND_MEAN:
            entry = results.arms[arm].rate_or_mean(rate)
            cells += [_rate(entry), str(entry.n)]
            notes += _undefined(f"{rate} of {arm}", entry)
        rows.append((*cells, str(results.arms[arm].CAS.n_languages)))
    return Table(
        name="rates",
        caption="Mean rates over languages in percent, with 95 % intervals that treat languages as clusters. HmR: "
        "responses to harmful prompts that are harmless. HpR: responses to benign prompts that are helpful. CAS: the "
        "mean of the two. n: responses.",
        columns=("Arm", *(title for rate in RATES_AND_MEAN for title in (f"{rate} (%)", "n")), "Languages"),
        rows=tuple(rows),
        notes=tuple(notes),
        numbers=frozenset(range(1, 8)),
    )


_ANSWER_COLUMNS = (
    "Family",
    "Estimate of",
    "Arm",
    "Estimate",
    "95 % interval",
    "Unit",
    "p",
    "Holm p",
    "Verdict",
    "Languages (high, low)",
)


def answer_table(results: Results) -> Table:
    """The primary estimate first, then the secondary ones, then the sensitivity checks."""
    tradeoff = results.tradeoff
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for family, entries in (
        ("primary", (tradeoff.primary,)),
        ("secondary", tradeoff.secondary),
        ("sensitivity", tradeoff.sensitivity),
    ):
        for entry in entries:
            rows.append(_estimate(family, entry))
            if entry.reason and (entry.estimate is None or entry.ci_low is None):
                notes.append(f"{quantity_words(entry.quantity)} of {entry.arm}: {entry.reason}")
    margin = tradeoff.primary.margin
    return Table(
        name="answer",
        caption="Differences between the groups, low- minus high-resource languages, with 95 % intervals. Tilt: change "
        f"in helpfulness minus change in harmlessness over {results.base_arm}. The secondary estimates are one Holm "
        "family." + ("" if margin is None else f" Margin of equivalence: {number(margin)} points."),
        columns=_ANSWER_COLUMNS,
        rows=tuple(rows),
        notes=tuple(dict.fromkeys(notes)),
        numbers=frozenset((3, 4, 6, 7)),
    )


def languages_table(results: Results) -> Table:
    """The rates and the tilt of each arm in each language."""
    rows = []
    notes: list[str] = []
    for arm in arm_order(results):
        own = results.arms[arm].languages
        for language in report_languages(results):
            rates = own.get(language.code)
            if rates is None:
                continue
            cells = [arm, language.name, language.code, language.group]
            for rate in RATES:
                entry = rates.rate(rate)
                cells += [_rate(entry), str(entry.n)]
                notes += _undefined(f"{rate} of {arm} in {language.code}", entry)
            rows.append((*cells, "" if rates.tilt is None else _change(rates.tilt)))
    return Table(
        name="languages",
        caption="Rates by language in percent, with 95 % Wilson intervals, and the tilt (change in helpfulness minus "
        f"change in harmlessness over {results.base_arm}) in points. n: responses.",
        columns=("Arm", "Language", "Code", "Group", "HmR (%)", "n", "HpR (%)", "n", "Tilt (points)"),
        rows=tuple(rows),
        notes=tuple(notes),
        numbers=frozenset(range(4, 9)),
    )


def _estimate(family: str, entry: EstimateEntry) -> tuple[str, ...]:
    places = 1 if entry.unit == "points" else 2
    return (
        family,
        quantity_words(entry.quantity),
        entry.arm,
        signed(entry.estimate, places),
        interval(entry.ci_low, entry.ci_high, places) or "not defined",
        entry.unit,
        p_value(entry.p),
        "" if entry.p_holm is None else p_value(entry.p_holm),
        entry.verdict or "",
        f"{entry.n_high!s}, {entry.n_low!s}",
    )


def _rate(entry: RateEntry) -> str:
    return f"{number(entry.value)} {interval(entry.ci_low, entry.ci_high)}".rstrip()


def _change(entry: ChangeEntry) -> str:
    return f"{signed(entry.value)} {interval(entry.ci_low, entry.ci_high)}".rstrip()


def _undefined(what: str, entry: RateEntry) -> Iterator[str]:
    if entry.value is None:
        yield f"{what} is not defined: {entry.reason}"


def preface(results: Results) -> Sequence[str]:
    """What stands above all tables: the answer, which begins with the caution, and what it has no room for."""
    return [results.sentence, *(results.remarks or ())]

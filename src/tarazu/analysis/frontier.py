"""The frontier: rates of models between base and an aligned arm, and how much of the square the curve dominates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tarazu.analysis.cells import Cells, group_rows, paired, to_cells
from tarazu.analysis.entries import difference_entry, rate_entry
from tarazu.analysis.rates import rates_by_language
from tarazu.analysis.selection import Selection, answered, select
from tarazu.results.model import (
    GROUPS,
    RATES,
    Frontier,
    FrontierPoint,
    Hypervolume,
    LanguageSelection,
    PerGroup,
    RatePerGroup,
    SweepPoint,
    TwoRates,
)
from tarazu.scores import ScoreTable
from tarazu.stats.contrast import Effects, group_difference
from tarazu.stats.hypervolume import hypervolume
from tarazu.stats.rates import Rate, over_languages, undefined, wilson
from tarazu.study.schema import Groups, Thresholds

BASE, ARM = "0", "1"
"""Names of the curve's ends: the share of the arm's weights."""

Curve = Mapping[str, Mapping[str, Mapping[str, Rate]]]
"""HmR and HpR by point and by language."""


@dataclass(frozen=True, kw_only=True)
class FrontierScores:
    """The input of a frontier. `table` is a scores table whose arms are named by the share of the aligned arm's
    weights: "0" (base), "0.2", ..., "1" (the arm). `betas` are the arms that differ in beta alone, with theirs."""

    table: ScoreTable
    base: str
    arm: str
    betas: Mapping[str, float]


def frontier_section(scores: FrontierScores, cells: Cells, *, groups: Groups, thresholds: Thresholds) -> Frontier:
    """`frontier` of results.json. `cells` are those of the study's arms.

    It covers the languages and sources of a comparison of the two ends (`select`), so that both groups' curves are
    about the same tasks.
    """
    along = to_cells(scores.table, group_rows(scores.table), thresholds)
    languages = sorted(set(along.language))
    chosen = select(answered(paired(along, ARM, BASE)), languages, groups)
    alphas = sorted(set(along.arm), key=float)
    along, others = _compared(along, chosen), _compared(cells, chosen)
    curve = {alpha: rates_by_language(along, alpha, chosen.languages) for alpha in alphas}
    return Frontier(
        base=scores.base,
        arm=scores.arm,
        languages=LanguageSelection(included=chosen.languages, excluded=chosen.excluded),
        points=tuple(
            FrontierPoint(
                alpha=float(alpha),
                groups=_by_group(along, alpha, curve[alpha], groups),
                languages=_by_language(curve[alpha]),
            )
            for alpha in alphas
        ),
        sweep=tuple(
            SweepPoint(arm=arm, beta=beta, groups=_by_group(others, arm, rates, groups), languages=_by_language(rates))
            for arm, beta in sorted(scores.betas.items(), key=lambda item: (item[1], item[0]))
            for rates in [rates_by_language(others, arm, chosen.languages)]
        ),
        hypervolume=_hypervolumes(curve, chosen.languages, groups),
    )


def _compared(cells: Cells, chosen: Selection) -> Cells:
    keep = np.isin(cells.language, list(chosen.languages))
    for kind, sources in chosen.sources.items():
        keep &= (cells.kind != kind) | np.isin(cells.source, list(sources))
    return cells.take(keep)


def _members(languages: Sequence[str], groups: Groups) -> dict[str, list[str]]:
    return {name: [code for code in languages if groups.of(code) == name] for name in GROUPS}


def _by_language(rates: Mapping[str, Mapping[str, Rate]]) -> dict[str, TwoRates]:
    return {code: TwoRates(HmR=rate_entry(own["HmR"]), HpR=rate_entry(own["HpR"])) for code, own in rates.items()}


def _by_group(cells: Cells, name: str, rates: Mapping[str, Mapping[str, Rate]], groups: Groups) -> PerGroup:
    """The rates of one model over the languages of each group."""
    own = cells.where(arm=name)
    by_group = {}
    for group, codes in _members(list(rates), groups).items():
        here = own.take(np.isin(own.language, codes))
        means = {
            rate: rate_entry(over_languages([rates[code][rate] for code in codes], _pooled(here.where(kind=kind))))
            for rate, kind in RATES.items()
        }
        by_group[group] = TwoRates(HmR=means["HmR"], HpR=means["HpR"])
    return PerGroup(high=by_group["high"], low=by_group["low"])


def _pooled(cells: Cells) -> Rate:
    return wilson(int(cells.passed.sum()), int(cells.responses.sum()))


def _hypervolumes(curve: Curve, languages: Sequence[str], groups: Groups) -> Hypervolume:
    """The hypervolume of each language, the means over the groups, and the difference low minus high.

    The difference uses the variance between languages alone (Welch). A hypervolume is not a mean over prompts, so the
    variance that prompts add is not known, and the interval is too narrow where prompts are few and shared.
    """
    own = {}
    for code in languages:
        rates = [point[code] for point in curve.values()]
        places = [(rate["HmR"].value, rate["HpR"].value) for rate in rates]
        n = sum(rate[name].n for rate in rates for name in RATES)
        own[code] = Rate(
            value=hypervolume((x, y) for x, y in places if x is not None and y is not None),
            ci_low=None,
            ci_high=None,
            n=n,
            n_languages=1,
        )
    nothing = undefined("the languages of the group agree exactly")
    means = {
        group: over_languages([own[code] for code in codes], nothing)
        for group, codes in _members(languages, groups).items()
    }
    low = np.array([groups.of(code) == "low" for code in languages], dtype=bool)
    values = np.array([[own[code].value] for code in languages], dtype=float).reshape(len(languages), 1)
    return Hypervolume(
        languages={code: rate.value for code, rate in own.items() if rate.value is not None},
        groups=RatePerGroup(high=rate_entry(means["high"]), low=rate_entry(means["low"])),
        difference=difference_entry(group_difference([Effects(cells=values, sign=1.0)], low), low),
    )

"""Rates of each arm per language and over languages, and their changes over the base arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tarazu.analysis.cells import Cells, Pairs, paired, positions
from tarazu.analysis.entries import change_entry, rate_entry
from tarazu.results.model import CHANGES, RATES, Arm, Improvement, LanguageRates
from tarazu.stats.rates import Rate, change, difference, improvement, mean_of_two, of_prompts, over_languages


def rates_by_language(cells: Cells, arm: str, languages: Sequence[str]) -> dict[str, dict[str, Rate]]:
    """HmR, HpR and CAS of an arm in each language."""
    own = cells.where(arm=arm)
    rows = positions(own.kind, own.language)
    by_language = {}
    for code in languages:
        rates: dict[str, Rate] = {name: _rate(own, rows.get((kind, code), _NONE)) for name, kind in RATES.items()}
        by_language[code] = {**rates, "CAS": mean_of_two(rates["HmR"], rates["HpR"])}
    return by_language


_NONE = np.zeros(0, dtype=np.int64)


def _rate(cells: Cells, rows: np.ndarray) -> Rate:
    return of_prompts(cells.passed[rows], cells.responses[rows])


def average_rates(cells: Cells, arm: str, languages: Mapping[str, Mapping[str, Rate]]) -> dict[str, Rate]:
    """HmR, HpR and CAS of an arm over its languages; CAS over those that have both kinds."""
    own = cells.where(arm=arm)
    rows = positions(own.kind)
    pooled: dict[str, Rate] = {name: _rate(own, rows.get((kind,), _NONE)) for name, kind in RATES.items()}
    pooled["CAS"] = mean_of_two(pooled["HmR"], pooled["HpR"])
    return {name: over_languages([rates[name] for rates in languages.values()], pooled[name]) for name in pooled}


def changes_by_language(pairs: Pairs, languages: Sequence[str]) -> dict[str, dict[str, Rate]]:
    """dHm, dHp and tilt in each language, over the requests that both arms answered."""
    after, before = (side.passed / side.responses for side in (pairs.arm, pairs.base))
    rows = positions(pairs.arm.kind, pairs.arm.language)
    by_language = {}
    for code in languages:
        moved = {}
        for name, kind in (("dHm", "harmful"), ("dHp", "benign")):
            here = rows.get((kind, code), _NONE)
            moved[name] = change(after[here], before[here])
        by_language[code] = {**moved, "tilt": difference(moved["dHp"], moved["dHm"])}
    return by_language


def arms_section(cells: Cells, base: str) -> dict[str, Arm]:
    """`arms` of results.json: every arm's rates, improvement over base, and the same per language."""
    arms = sorted(set(cells.arm))
    languages = sorted(set(cells.language))
    by_language = {arm: rates_by_language(cells, arm, languages) for arm in arms}
    average = {arm: average_rates(cells, arm, by_language[arm]) for arm in arms}
    section = {}
    for arm in arms:
        moved = {} if arm == base else changes_by_language(paired(cells, arm, base), languages)
        gains = {
            name: None if arm == base else improvement(rate, average[base][name]) for name, rate in average[arm].items()
        }
        section[arm] = Arm(
            **{name: rate_entry(rate) for name, rate in average[arm].items()},
            improvement=Improvement(**gains),
            languages={
                code: LanguageRates(
                    **{name: rate_entry(rate) for name, rate in by_language[arm][code].items()},
                    **{name: change_entry(moved[code][name]) if moved else None for name in CHANGES},
                )
                for code in languages
            },
        )
    return section

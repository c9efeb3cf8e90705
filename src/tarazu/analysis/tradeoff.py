"""The trade-off between resource groups: the primary estimate, the secondary family, the sensitivity checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tarazu.analysis.cells import Cells, Pairs, among, change_in_points, effect_matrix, paired, restrict
from tarazu.analysis.mixed import mixed_tilt
from tarazu.analysis.selection import Selection, select
from tarazu.data.rows import KINDS, Kind
from tarazu.languages import LANGUAGES
from tarazu.seeds import derived_seed
from tarazu.stats.contrast import Effects, Estimate, group_difference, holm, infer_nothing, regression, verdict
from tarazu.stats.resampling import crossed_bootstrap, label_permutation
from tarazu.study.schema import Analysis, Groups

SIGNS = {"harmful": -1.0, "benign": 1.0}
"""How a kind's change enters the tilt: tilt = dHp - dHm."""

POINTS = "points"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The effects of an arm in the languages compared: `parts` per kind, `low` (languages,) boolean."""

    languages: tuple[str, ...]
    parts: tuple[Effects, ...]
    low: np.ndarray

    def keeping(self, codes: Collection[str]) -> Contrast:
        """The same with fewer languages."""
        keep = np.isin(self.languages, list(codes))
        return Contrast(
            languages=tuple(code for code in self.languages if code in codes),
            parts=tuple(dataclasses.replace(part, cells=part.cells[keep]) for part in self.parts),
            low=self.low[keep],
        )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One estimate, before the family that it belongs to is adjusted."""

    arm: str
    quantity: str
    unit: str
    found: Estimate
    low: np.ndarray


def tradeoff_section(
    cells: Cells,
    *,
    base: str,
    primary: str,
    groups: Groups,
    analysis: Analysis,
    doubtful: Collection[str],
    assessed: bool,
    seed: int,
) -> dict[str, Any]:
    """`tradeoff` of results.json."""
    languages = sorted(set(cells.language))
    pairs = {arm: paired(cells, arm, base) for arm in sorted(set(cells.arm)) if arm != base}
    chosen = select(pairs[primary], languages, groups)
    tilts = {arm: contrast(pairs[arm], chosen, groups) for arm in pairs}
    first = _difference(primary, "tilt", tilts[primary])
    secondary = [_difference(arm, "tilt", tilts[arm]) for arm in pairs if arm != primary]
    secondary += _components(primary, pairs[primary], languages, chosen, groups)
    secondary.append(_slope(primary, tilts[primary]))
    secondary.append(_standardised(primary, pairs[primary], chosen, groups))
    adjusted = holm([asked.found.p for asked in secondary])
    sensitivity = _sensitivity(primary, tilts[primary], analysis, doubtful, assessed, seed)
    if analysis.mixed_model:
        found = mixed_tilt(pairs[primary], chosen, groups)
        mixed = Asked(arm=primary, quantity="tilt_mixed", unit="log odds", found=found, low=tilts[primary].low)
        sensitivity.append(_entry(mixed, analysis.margin, found.p, None))
    return {
        "primary": _entry(first, analysis.margin, first.found.p, None),
        "secondary": [_entry(asked, analysis.margin, p, p) for asked, p in zip(secondary, adjusted, strict=True)],
        "sensitivity": sensitivity,
        "languages": {"entered": list(chosen.languages), "left_out": chosen.left_out},
        "sources": {kind: list(chosen.sources.get(kind, ())) for kind in KINDS},
    }


def contrast(
    pairs: Pairs, chosen: Selection, groups: Groups, kinds: Sequence[Kind] = KINDS, *, standardised: bool = False
) -> Contrast:
    """The effects on an arm in the languages chosen that have every kind asked for.

    Values are changes in points or, `standardised`, changes of reward in standard deviations of the base arm's
    rewards in the same language and kind, which no threshold touches.
    """
    parts = {kind: restrict(pairs, kind, chosen.languages, chosen.sources.get(kind, ())) for kind in kinds}
    values = {}
    for kind, part in parts.items():
        change = _standard_change(part) if standardised else change_in_points(part)
        known = ~np.isnan(change)
        parts[kind] = Pairs(arm=part.arm.take(known), base=part.base.take(known))
        values[kind] = change[known]
    have = [set(part.arm.language) for part in parts.values()]
    languages = tuple(code for code in chosen.languages if all(code in codes for codes in have))
    effects = []
    for kind, part in parts.items():
        inside = among(part.arm.language, languages)
        kept = Pairs(arm=part.arm.take(inside), base=part.base.take(inside))
        sign = SIGNS[kind] if len(kinds) > 1 else 1.0
        effects.append(Effects(cells=effect_matrix(kept, values[kind][inside], languages), sign=sign))
    low = np.array([groups.of(code) == "low" for code in languages], dtype=bool)
    return Contrast(languages=languages, parts=tuple(effects), low=low)


def _standard_change(pairs: Pairs) -> np.ndarray:
    """Change of reward in standard deviations of base, (pairs,); NaN for labels and where base does not vary."""
    change = pairs.arm.reward - pairs.base.reward
    for code in set(pairs.base.language):
        here = pairs.base.language == code
        rewards = pairs.base.reward[here]
        spread = float(np.std(rewards, ddof=1)) if len(rewards) > 1 else 0.0
        change[here] /= spread if spread > 1e-12 else np.nan
    return change


def _difference(arm: str, quantity: str, effects: Contrast, unit: str = POINTS) -> Asked:
    return Asked(
        arm=arm, quantity=quantity, unit=unit, found=group_difference(effects.parts, effects.low), low=effects.low
    )


def _components(arm: str, pairs: Pairs, languages: Sequence[str], chosen: Selection, groups: Groups) -> list[Asked]:
    """dHm and dHp, in the languages of the tilt; where no language has both kinds, in those that have the one."""
    asked = []
    for quantity, kind in (("dHm", "harmful"), ("dHp", "benign")):
        kinds: tuple[Kind, ...] = ("harmful",) if kind == "harmful" else ("benign",)
        own = chosen if chosen.languages else select(pairs, languages, groups, kinds)
        asked.append(_difference(arm, quantity, contrast(pairs, own, groups, kinds)))
    return asked


def _slope(arm: str, effects: Contrast) -> Asked:
    pages = np.log10([LANGUAGES[code].common_crawl_pages for code in effects.languages])
    design = np.column_stack([np.ones(len(pages)), pages])
    found = regression(effects.parts, design, 1)
    return Asked(arm=arm, quantity="slope", unit="points per tenfold", found=found, low=effects.low)


def _standardised(arm: str, pairs: Pairs, chosen: Selection, groups: Groups) -> Asked:
    if bool(np.all(np.isnan(pairs.arm.reward))):
        nothing = infer_nothing("the scores are labels: there are no rewards to standardise")
        return Asked(arm=arm, quantity="tilt_standardised", unit="sd", found=nothing, low=np.zeros(0, dtype=bool))
    return _difference(arm, "tilt_standardised", contrast(pairs, chosen, groups, standardised=True), "sd")


def _sensitivity(
    arm: str, effects: Contrast, analysis: Analysis, doubtful: Collection[str], assessed: bool, seed: int
) -> list[dict[str, Any]]:
    """Does the primary estimate hang on a choice? Resampling, without the doubtful languages, adjusted for script."""
    plain = group_difference(effects.parts, effects.low)
    resampled, permuted = plain, plain
    if plain.estimate is not None:
        generator = np.random.default_rng(derived_seed(seed, "bootstrap"))
        ends = crossed_bootstrap(effects.parts, effects.low, analysis.draws, generator)
        resampled = Estimate(estimate=plain.estimate, ci_low=ends[0], ci_high=ends[1])
        generator = np.random.default_rng(derived_seed(seed, "permutation"))
        p, exact = label_permutation(effects.parts, effects.low, analysis.draws, generator)
        how = "every way to label the languages" if exact else f"{analysis.draws} random labellings"
        permuted = Estimate(estimate=plain.estimate, p=p, reason=how)
    sure = effects.keeping([code for code in effects.languages if code not in doubtful])
    trusted = _difference(arm, "tilt_trusted", sure)
    if not assessed:
        trusted = dataclasses.replace(
            trusted, found=infer_nothing("no known answers: no language is known as doubtful")
        )
    return [
        _entry(
            Asked(arm=arm, quantity="tilt_bootstrap", unit=POINTS, found=resampled, low=effects.low), None, None, None
        ),
        _entry(
            Asked(arm=arm, quantity="tilt_permutation", unit=POINTS, found=permuted, low=effects.low), None, None, None
        ),
        _entry(trusted, analysis.margin, trusted.found.p, None),
        _script_adjusted(arm, effects, analysis.margin),
    ]


def _script_adjusted(arm: str, effects: Contrast, margin: float) -> dict[str, Any]:
    """D where languages in Latin script may differ from the others by a constant of their own."""
    latin = np.array([LANGUAGES[code].script == "Latn" for code in effects.languages], dtype=float)
    design = np.column_stack([np.ones(len(latin)), effects.low.astype(float), latin])
    found = regression(effects.parts, design, 1) if len(latin) else infer_nothing("no language was compared")
    asked = Asked(arm=arm, quantity="tilt_script", unit=POINTS, found=found, low=effects.low)
    return _entry(asked, margin, found.p, None)


def _entry(asked: Asked, margin: float | None, p: float | None, p_holm: float | None) -> dict[str, Any]:
    """An estimate as results.json holds it; `p` is what its verdict goes by."""
    found = asked.found
    margin = margin if asked.unit == POINTS else None
    word, within = verdict(found, p, margin)
    return {
        "arm": asked.arm,
        "quantity": asked.quantity,
        "unit": asked.unit,
        "estimate": found.estimate,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "p": found.p,
        "p_holm": p_holm,
        "margin": margin,
        "verdict": word,
        "within_margin": within,
        "mde": found.mde,
        "margin_passed": found.margin_passed if asked.unit == POINTS else None,
        "df": found.df,
        "n_high": int((~asked.low).sum()),
        "n_low": int(asked.low.sum()),
        "reason": found.reason,
    }

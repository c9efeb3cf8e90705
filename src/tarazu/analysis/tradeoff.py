"""The trade-off between resource groups: the primary estimate, the secondary family, the sensitivity checks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tarazu.analysis.cells import Cells, Pairs, paired
from tarazu.analysis.check import CheckInputs, Part
from tarazu.analysis.checks import CHECKS
from tarazu.analysis.contrast import Contrast, contrast, signs_of
from tarazu.analysis.ruler import KnownAnswers
from tarazu.analysis.selection import Selection, answered, select
from tarazu.analysis.thresholds import Recut, curve
from tarazu.data.rows import KINDS, Kind
from tarazu.languages import LANGUAGES
from tarazu.results.model import (
    CurvePoint,
    EstimateEntry,
    LanguageSelection,
    PerKind,
    Sources,
    Tradeoff,
    Unit,
    VarianceComponents,
)
from tarazu.stats.contrast import Estimate, holm, infer_nothing, regression, verdict
from tarazu.stats.power import components, seed_component
from tarazu.study.schema import Analysis, Groups, Thresholds

POINTS: Unit = "points"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One estimate, before the family that it belongs to is adjusted."""

    arm: str
    quantity: str
    unit: Unit
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
    known: KnownAnswers,
    recut: Recut,
    thresholds: Thresholds,
    parts: Mapping[str, Part],
    seed: int,
) -> Tradeoff:
    """`tradeoff` of results.json."""
    languages = sorted(set(cells.language))
    pairs = {arm: paired(cells, arm, base) for arm in sorted(set(cells.arm)) if arm != base}
    chosen = select(answered(pairs[primary]), languages, groups)
    tilts = {arm: contrast(pairs[arm], chosen, groups) for arm in pairs}
    first = _difference(primary, "tilt", tilts[primary])
    secondary = [_difference(arm, "tilt", tilts[arm]) for arm in pairs if arm != primary]
    secondary += _components(primary, pairs[primary], languages, chosen, groups)
    secondary.append(_slope(primary, tilts[primary]))
    secondary.append(_standardised(primary, pairs[primary], chosen, groups))
    adjusted = holm([asked.found.p for asked in secondary])
    inputs = CheckInputs(
        arm=primary,
        base=base,
        pairs=pairs[primary],
        chosen=chosen,
        groups=groups,
        effects=tilts[primary],
        plain=first.found,
        analysis=analysis,
        doubtful=doubtful,
        known=known,
        recut=recut,
        parts=parts,
        seed=seed,
    )
    return Tradeoff(
        primary=_entry(first, analysis.margin, first.found.p, None),
        secondary=tuple(_entry(asked, analysis.margin, p, p) for asked, p in zip(secondary, adjusted, strict=True)),
        sensitivity=tuple(_checks(inputs)),
        threshold_curve=_curve(tilts[primary], recut, thresholds, analysis.margin),
        components=_variance_components(tilts[primary]),
        languages=LanguageSelection(included=chosen.languages, excluded=chosen.excluded),
        sources=Sources(harmful=chosen.sources.get("harmful", ()), benign=chosen.sources.get("benign", ())),
    )


def _difference(arm: str, quantity: str, effects: Contrast, unit: Unit = POINTS) -> Asked:
    return Asked(arm=arm, quantity=quantity, unit=unit, found=effects.difference(), low=effects.low)


def _components(arm: str, pairs: Pairs, languages: Sequence[str], chosen: Selection, groups: Groups) -> list[Asked]:
    """dHm and dHp, in the languages of the tilt; where no language has both kinds, in those that have the one."""
    asked = []
    for quantity, kind in (("dHm", "harmful"), ("dHp", "benign")):
        kinds: tuple[Kind, ...] = ("harmful",) if kind == "harmful" else ("benign",)
        own = chosen if chosen.languages else select(answered(pairs), languages, groups, kinds)
        asked.append(_difference(arm, quantity, contrast(pairs, own, groups, kinds)))
    return asked


def _slope(arm: str, effects: Contrast) -> Asked:
    pages = np.log10([LANGUAGES[code].common_crawl_pages for code in effects.languages])
    design = np.column_stack([np.ones(len(pages)), pages])
    found = regression(effects.parts, design, 1, effects.runs)
    return Asked(arm=arm, quantity="slope", unit="points per tenfold", found=found, low=effects.low)


def _standardised(arm: str, pairs: Pairs, chosen: Selection, groups: Groups) -> Asked:
    if bool(np.all(np.isnan(pairs.arm.reward))):
        nothing = infer_nothing("the scores are labels: there are no rewards to standardise")
        return Asked(arm=arm, quantity="tilt_standardised", unit="sd", found=nothing, low=np.zeros(0, dtype=bool))
    return _difference(arm, "tilt_standardised", contrast(pairs, chosen, groups, standardised=True), "sd")


def _checks(inputs: CheckInputs) -> Iterator[EstimateEntry]:
    """Does the primary estimate depend on a choice? One entry for each check of `CHECKS` that applies."""
    for check in CHECKS:
        made = check.estimate(inputs)
        if made is not None:
            asked = Asked(arm=inputs.arm, quantity=check.quantity, unit=check.unit, found=made.found, low=made.low)
            margin, p = (inputs.analysis.margin, made.found.p) if check.has_verdict else (None, None)
            yield _entry(asked, margin, p, None)


def _curve(effects: Contrast, recut: Recut, thresholds: Thresholds, margin: float) -> tuple[CurvePoint, ...]:
    return curve(recut, thresholds, effects.pairs, signs_of(KINDS), effects.languages, effects.low, margin)


def _variance_components(effects: Contrast) -> VarianceComponents | None:
    """What `tarazu plan --pilot` needs of this run; None where the comparison is not defined. With one prompt per
    language only the training seeds' component can be estimated."""
    if min(int(effects.low.sum()), int((~effects.low).sum())) < 2:
        return None
    found = components(effects.parts, effects.low, effects.runs)
    if found is None:
        return VarianceComponents(
            language_sd=None,
            cell_sd=PerKind(harmful=None, benign=None),
            prompt_sd=PerKind(harmful=None, benign=None),
            seed_sd=None if effects.runs is None else seed_component(effects.runs, effects.low),
            reason="a kind has one prompt per language, so effects of prompts and of languages cannot be separated",
        )
    return VarianceComponents(
        language_sd=found.language_sd,
        cell_sd=_per_kind(found.cell_sd),
        prompt_sd=_per_kind(found.prompt_sd),
        seed_sd=found.seed_sd,
    )


def _per_kind(values: Sequence[float]) -> PerKind:
    """Values in the order of KINDS."""
    harmful, benign = values
    return PerKind(harmful=harmful, benign=benign)


def _entry(asked: Asked, margin: float | None, p: float | None, p_holm: float | None) -> EstimateEntry:
    """An estimate as results.json holds it; `p` is what its verdict goes by."""
    found = asked.found
    margin = margin if asked.unit == POINTS else None
    word, within = verdict(found, p, margin)
    return EstimateEntry(
        arm=asked.arm,
        quantity=asked.quantity,
        unit=asked.unit,
        estimate=found.estimate,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        p=found.p,
        p_holm=p_holm,
        margin=margin,
        verdict=word,
        within_margin=within,
        mde=found.mde,
        smallest_margin=found.smallest_margin if asked.unit == POINTS else None,
        df=found.df,
        n_high=int((~asked.low).sum()),
        n_low=int(asked.low.sum()),
        reason=found.reason,
    )

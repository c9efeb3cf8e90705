"""The trade-off between resource groups: the primary estimate, the secondary family, the sensitivity checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tarazu.analysis.agreement.labels import by_people, labelled_languages
from tarazu.analysis.cells import Cells, Pairs, paired
from tarazu.analysis.check import CheckInputs, Part
from tarazu.analysis.checks import CHECKS
from tarazu.analysis.contrast import FROM_COUNTS, Contrast, contrast
from tarazu.analysis.influence import Compared, influence_section
from tarazu.analysis.ruler import KnownAnswers
from tarazu.analysis.selection import Selection, answered, select
from tarazu.analysis.thresholds import Rethresholder, threshold_curve
from tarazu.data.rows import BORDERLINE, Kind
from tarazu.languages import facts_of
from tarazu.results.model import (
    EstimateEntry,
    LanguageSelection,
    PerKind,
    Sources,
    Tradeoff,
    Unit,
    VarianceComponents,
)
from tarazu.results.quantity import Quantity, quantity_for
from tarazu.stats.contrast import Estimate, holm, infer_nothing, regression, verdict
from tarazu.stats.power import components, seed_component
from tarazu.study.schema import AnalysisSettings, Groups, Study

POINTS: Unit = "points"


@dataclass(frozen=True, kw_only=True)
class NamedEstimate:
    """One estimate with its name, before its family is adjusted. `low` (languages,) marks the low group."""

    arm: str
    quantity: str
    unit: Unit
    estimate: Estimate
    low: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TradeoffInputs:
    """All that the trade-off is computed from. `parts` are subsets of the responses, by name."""

    cells: Cells
    settings: Study | AnalysisSettings
    known: KnownAnswers
    rethresholder: Rethresholder
    parts: Mapping[str, Part]
    seed: int
    people: Cells | None = None
    """All responses with people's labels beside the judge's. None where nobody labelled any."""
    refusals: Cells | None = None
    """Responses to borderline prompts; `passed` counts refusals. None without such prompts."""


def tradeoff_section(inputs: TradeoffInputs) -> Tradeoff:
    """`tradeoff` of results.json."""
    cells, groups, analysis = inputs.cells, inputs.settings.groups, inputs.settings.analysis
    base, primary = analysis.base_arm, analysis.primary_arm
    languages = sorted(set(cells.language))
    judged = {arm: paired(cells, arm, base) for arm in sorted({*cells.arm, primary}) if arm != base}
    quantity = quantity_for(set(judged[primary].arm.kind))
    kinds = quantity.kinds
    chosen = select(answered(judged[primary]), languages, groups, kinds)
    rated = None if inputs.people is None else {arm: paired(inputs.people, arm, base) for arm in judged}
    people = rated if analysis.labels == "people" else None
    if people:
        chosen = labelled_languages(people[primary], chosen)
    pairs = {arm: by_people(one, chosen, groups) for arm, one in people.items()} if people else judged
    effects = {arm: contrast(pairs[arm], chosen, groups, kinds) for arm in pairs}
    first = _difference(primary, quantity.name, effects[primary])
    secondary = [_difference(arm, quantity.name, effects[arm]) for arm in pairs if arm != primary]
    if quantity.one_kind is None:
        secondary += _changes(primary, pairs[primary], languages, chosen, groups)
    secondary.append(_slope(primary, effects[primary], groups))
    secondary.append(_standardised(quantity, primary, pairs[primary], chosen, groups))
    if inputs.refusals is not None:
        secondary.append(_over_refusal(primary, paired(inputs.refusals, primary, base), groups))
    adjusted = holm([named.estimate.p for named in secondary])
    check_inputs = CheckInputs(
        arm=primary,
        base=base,
        quantity=quantity,
        pairs=judged[primary],
        chosen=chosen,
        groups=groups,
        effects=effects[primary],
        plain=first.estimate,
        analysis=analysis,
        doubtful=inputs.known.doubtful(analysis.trusted, kinds),
        known=inputs.known,
        rethresholder=inputs.rethresholder,
        parts=inputs.parts,
        seed=inputs.seed,
        people=rated[primary] if rated else None,
    )
    plain = contrast(judged[primary], chosen, groups, kinds) if people else effects[primary]
    return Tradeoff(
        labels="people" if people else None,
        primary=_entry(first, analysis.margin, first.estimate.p, None),
        secondary=tuple(_entry(named, analysis.margin, p, p) for named, p in zip(secondary, adjusted, strict=True)),
        sensitivity=tuple(_checks(check_inputs)),
        threshold_curve=()
        if people
        else threshold_curve(inputs.rethresholder, inputs.settings.thresholds, effects[primary], analysis.margin),
        components=_variance_components(plain, quantity),
        influence=influence_section(
            effects[primary],
            Compared(pairs=pairs[primary], chosen=chosen, kinds=kinds, groups=groups),
            analysis.margin,
        ),
        languages=LanguageSelection(included=chosen.languages, excluded=chosen.excluded),
        sources=Sources(harmful=chosen.sources.get("harmful", ()), benign=chosen.sources.get("benign", ())),
    )


def _difference(arm: str, quantity: str, effects: Contrast, unit: Unit = POINTS) -> NamedEstimate:
    estimate = effects.difference()
    if effects.counted and estimate.ci_low is not None:
        estimate = replace(estimate, reason=FROM_COUNTS)
    return NamedEstimate(arm=arm, quantity=quantity, unit=unit, estimate=estimate, low=effects.low)


def _changes(
    arm: str, pairs: Pairs, languages: Sequence[str], chosen: Selection, groups: Groups
) -> list[NamedEstimate]:
    """dHm and dHp, in the languages of the tilt; if no language has both kinds, in those that have the one."""
    changes = []
    for quantity, kind in (("dHm", "harmful"), ("dHp", "benign")):
        kinds: tuple[Kind, ...] = ("harmful",) if kind == "harmful" else ("benign",)
        own = chosen if chosen.languages else select(answered(pairs), languages, groups, kinds)
        changes.append(_difference(arm, quantity, contrast(pairs, own, groups, kinds)))
    return changes


def _over_refusal(arm: str, pairs: Pairs, groups: Groups) -> NamedEstimate:
    """dORR, in the languages that share a source of borderline prompts."""
    languages = sorted(set(pairs.arm.language))
    chosen = select(answered(pairs), languages, groups, (BORDERLINE,))
    return _difference(arm, "dORR", contrast(pairs, chosen, groups, (BORDERLINE,)))


def _slope(arm: str, effects: Contrast, groups: Groups) -> NamedEstimate:
    facts = [facts_of(code) for code in effects.languages]
    unknown = next((code for code, own in zip(effects.languages, facts, strict=True) if own is None), None)
    if unknown is not None:
        nothing = infer_nothing(f"the number of web pages in {groups.name(unknown)} is not known")
        return NamedEstimate(arm=arm, quantity="slope", unit="points per tenfold", estimate=nothing, low=effects.low)
    pages = np.log10([own.common_crawl_pages for own in facts if own is not None])
    design = np.column_stack([np.ones(len(pages)), pages])
    estimate = regression(effects.parts, design, 1, effects.runs)
    return NamedEstimate(arm=arm, quantity="slope", unit="points per tenfold", estimate=estimate, low=effects.low)


def _standardised(quantity: Quantity, arm: str, pairs: Pairs, chosen: Selection, groups: Groups) -> NamedEstimate:
    name = quantity.part("standardised")
    if bool(np.all(np.isnan(pairs.arm.reward))):
        nothing = infer_nothing("the scores are labels: there are no rewards to standardise")
        return NamedEstimate(arm=arm, quantity=name, unit="sd", estimate=nothing, low=np.zeros(0, dtype=bool))
    return _difference(arm, name, contrast(pairs, chosen, groups, quantity.kinds, standardised=True), "sd")


def _checks(inputs: CheckInputs) -> Iterator[EstimateEntry]:
    """Does the primary estimate depend on a choice? One entry for each check of `CHECKS` that applies."""
    for check in CHECKS:
        made = check.estimate(inputs)
        if made is not None:
            named = NamedEstimate(
                arm=inputs.arm,
                quantity=inputs.quantity.part(check.name),
                unit=check.unit,
                estimate=made.estimate,
                low=made.low,
            )
            margin, p = (inputs.analysis.margin, made.estimate.p) if check.has_verdict else (None, None)
            yield _entry(named, margin, p, None)


def _variance_components(effects: Contrast, quantity: Quantity) -> VarianceComponents | None:
    """The components that `tarazu plan --pilot` reads; None where the comparison is not defined. With one prompt per
    language, only the component of training seeds can be estimated."""
    if min(int(effects.low.sum()), int((~effects.low).sum())) < 2:
        return None
    found = components(effects.parts, effects.low, effects.runs)
    if found is None:
        return VarianceComponents(
            language_sd=None,
            cell_sd=PerKind(harmful=None, benign=None),
            prompt_sd=PerKind(harmful=None, benign=None),
            seed_sd=None if effects.runs is None else seed_component(effects.runs, effects.low),
            reason="counts do not show how prompts vary"
            if effects.counted
            else "a kind has one prompt per language, so effects of prompts and of languages cannot be separated",
        )
    return VarianceComponents(
        language_sd=found.language_sd,
        cell_sd=_per_kind(quantity, found.cell_sd),
        prompt_sd=_per_kind(quantity, found.prompt_sd),
        seed_sd=found.seed_sd,
        reason=None if quantity.one_kind is None else f"all prompts compared are {quantity.one_kind}",
    )


def _per_kind(quantity: Quantity, values: Sequence[float]) -> PerKind:
    """Values in the order of the quantity's kinds; None for a kind that it does not need."""
    own = dict(zip(quantity.kinds, values, strict=True))
    return PerKind(harmful=own.get("harmful"), benign=own.get("benign"))


def _entry(named: NamedEstimate, margin: float | None, p: float | None, p_holm: float | None) -> EstimateEntry:
    """An estimate as results.json holds it; `p` decides its verdict."""
    estimate = named.estimate
    margin = margin if named.unit == POINTS else None
    word, within = verdict(estimate, p, margin)
    return EstimateEntry(
        arm=named.arm,
        quantity=named.quantity,
        unit=named.unit,
        estimate=estimate.estimate,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        p=estimate.p,
        p_holm=p_holm,
        margin=margin,
        verdict=word,
        within_margin=within,
        mde=estimate.mde,
        smallest_margin=estimate.smallest_margin if named.unit == POINTS else None,
        df=estimate.df,
        n_high=int((~named.low).sum()),
        n_low=int(named.low.sum()),
        reason=estimate.reason,
    )

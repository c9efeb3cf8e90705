"""The trade-off between resource groups: the primary estimate, the secondary family, the sensitivity checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tarazu.analysis.cells import Cells, Pairs, among, change_in_points, effect_matrix, paired, restrict
from tarazu.analysis.mixed import mixed_tilt
from tarazu.analysis.ruler import KnownAnswers
from tarazu.analysis.selection import Selection, answered, select
from tarazu.analysis.thresholds import Recut, curve, effects_of
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
from tarazu.seeds import derived_seed
from tarazu.stats.contrast import Effects, Estimate, group_difference, holm, infer_nothing, regression, verdict
from tarazu.stats.power import components, seed_component
from tarazu.stats.resampling import crossed_bootstrap, label_permutation
from tarazu.stats.ruler import corrected
from tarazu.study.schema import Analysis, Groups, Thresholds

SIGNS = {"harmful": -1.0, "benign": 1.0}
"""How a kind's change enters the tilt: tilt = dHp - dHm."""

POINTS: Unit = "points"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The effects of an arm in the languages compared: `parts` per kind, made from `pairs`; `low` (languages,) boolean;
    `runs` (languages, seeds) the quantity by training seed, None for one seed."""

    languages: tuple[str, ...]
    parts: tuple[Effects, ...]
    pairs: tuple[Pairs, ...]
    low: np.ndarray
    runs: np.ndarray | None

    def difference(self) -> Estimate:
        """Low less high."""
        return group_difference(self.parts, self.low, self.runs)

    def keeping(self, codes: Collection[str]) -> Contrast:
        """The same with fewer languages."""
        keep = np.isin(self.languages, list(codes))
        return Contrast(
            languages=tuple(code for code in self.languages if code in codes),
            parts=tuple(dataclasses.replace(part, cells=part.cells[keep]) for part in self.parts),
            pairs=tuple(_within(part, codes) for part in self.pairs),
            low=self.low[keep],
            runs=None if self.runs is None else self.runs[keep],
        )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One estimate, before the family that it belongs to is adjusted."""

    arm: str
    quantity: str
    unit: Unit
    found: Estimate
    low: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the responses, of which D is reported as `quantity`; without cells, why there are none."""

    quantity: str
    cells: Cells | None
    reason: str


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
    parts: Sequence[Part],
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
    sensitivity = _sensitivity(primary, tilts[primary], analysis, doubtful, known, recut, seed)
    for part in parts:
        asked = _of_part(primary, base, part, chosen, groups)
        sensitivity.append(_entry(asked, analysis.margin, asked.found.p, None))
    if analysis.mixed_model:
        found = mixed_tilt(pairs[primary], chosen, groups)
        mixed = Asked(arm=primary, quantity="tilt_mixed", unit="log odds", found=found, low=tilts[primary].low)
        sensitivity.append(_entry(mixed, analysis.margin, found.p, None))
    return Tradeoff(
        primary=_entry(first, analysis.margin, first.found.p, None),
        secondary=tuple(_entry(asked, analysis.margin, p, p) for asked, p in zip(secondary, adjusted, strict=True)),
        sensitivity=tuple(sensitivity),
        curve=_curve(tilts[primary], recut, thresholds, analysis.margin),
        components=_variance_components(tilts[primary]),
        languages=LanguageSelection(entered=chosen.languages, left_out=chosen.left_out),
        sources=Sources(harmful=chosen.sources.get("harmful", ()), benign=chosen.sources.get("benign", ())),
    )


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
        change = _standard_change(part, part.arm.reward) if standardised else change_in_points(part)
        known = ~np.isnan(change)
        parts[kind] = Pairs(arm=part.arm.take(known), base=part.base.take(known))
        values[kind] = change[known]
    have = [set(part.arm.language) for part in parts.values()]
    languages = tuple(code for code in chosen.languages if all(code in codes for codes in have))
    effects, kept_pairs, runs = [], [], []
    for (kind, part), sign in zip(parts.items(), _signs(kinds), strict=True):
        inside = among(part.arm.language, languages)
        kept = Pairs(arm=part.arm.take(inside), base=part.base.take(inside))
        effects.append(Effects(cells=effect_matrix(kept, values[kind][inside], languages), sign=sign))
        kept_pairs.append(kept)
        runs.append(sign * _by_seed(kept, languages, standardised=standardised))
    low = np.array([groups.of(code) == "low" for code in languages], dtype=bool)
    every = np.sum(runs, axis=0)
    trained = ~np.isnan(every).any(axis=0)  # seeds that every language has
    return Contrast(
        languages=languages,
        parts=tuple(effects),
        pairs=tuple(kept_pairs),
        low=low,
        runs=every[:, trained] if trained.sum() > 1 else None,
    )


def _signs(kinds: Sequence[Kind]) -> list[float]:
    return [SIGNS[kind] if len(kinds) > 1 else 1.0 for kind in kinds]


def _within(pairs: Pairs, codes: Collection[str]) -> Pairs:
    inside = among(pairs.arm.language, codes)
    return Pairs(arm=pairs.arm.take(inside), base=pairs.base.take(inside))


def _by_seed(pairs: Pairs, languages: Sequence[str], *, standardised: bool) -> np.ndarray:
    """Mean change over base in each language by training seed of the arm, (languages, seeds); NaN where a seed has no
    response there."""
    place = {code: row for row, code in enumerate(languages)}
    row = np.array([place[code] for code in pairs.arm.language.tolist()], dtype=np.int64)
    found = []
    for passed, reward in zip(pairs.arm.passed_by_seed.T, pairs.arm.reward_by_seed.T, strict=True):
        before = pairs.base.passed / pairs.base.responses
        change = _standard_change(pairs, reward) if standardised else 100 * (passed - before)
        there = ~np.isnan(change)
        counts = np.bincount(row[there], minlength=len(languages))
        sums = np.bincount(row[there], change[there], minlength=len(languages))
        found.append(np.divide(sums, counts, out=np.full(len(languages), np.nan), where=counts > 0))
    return np.stack(found, axis=1)


def _standard_change(pairs: Pairs, reward: np.ndarray) -> np.ndarray:
    """Change to `reward` (pairs,) in standard deviations of base, (pairs,); NaN for labels and where base does not
    vary."""
    change = reward - pairs.base.reward
    for code in set(pairs.base.language):
        here = pairs.base.language == code
        rewards = pairs.base.reward[here]
        spread = float(np.std(rewards, ddof=1)) if len(rewards) > 1 else 0.0
        change[here] /= spread if spread > 1e-12 else np.nan
    return change


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


def _sensitivity(
    arm: str,
    effects: Contrast,
    analysis: Analysis,
    doubtful: Collection[str],
    known: KnownAnswers,
    recut: Recut,
    seed: int,
) -> list[EstimateEntry]:
    """Does the primary estimate hang on a choice? Resampling, the ruler's errors, other thresholds, script."""
    plain = effects.difference()
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
    if not known.cuts:
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
        *(
            _entry(asked, analysis.margin, asked.found.p, None)
            for asked in (
                trusted,
                _corrected(arm, effects, known),
                _anchored(arm, effects, known, recut),
                _script_adjusted(arm, effects),
            )
        ),
    ]


def _corrected(arm: str, effects: Contrast, known: KnownAnswers) -> Asked:
    """D in the languages with known answers, corrected for what the reward models get wrong there."""
    tested = effects.keeping([code for code in effects.languages if known.tested(code)])
    parts = [
        corrected(part, [known.rulers[kind, code] for code in tested.languages], tested.low)
        for kind, part in zip(KINDS, tested.parts, strict=True)
    ]
    whole = [part for part in parts if part is not None]
    if len(whole) == len(parts):
        found = dataclasses.replace(tested, parts=tuple(whole)).difference()
    elif not tested.languages:
        found = infer_nothing("no known answers: the reward models' errors are not known")
    else:
        found = infer_nothing("in a group the reward model is not shown to be better than chance, or was hardly tested")
    return Asked(arm=arm, quantity="tilt_corrected", unit=POINTS, found=found, low=tested.low)


def _anchored(arm: str, effects: Contrast, known: KnownAnswers, recut: Recut) -> Asked:
    """D where each language has the thresholds that tell its own known answers best."""
    tested = effects.keeping([code for code in effects.languages if known.tested(code)])
    if bool(np.all(np.isnan(recut.table.reward))):
        found = infer_nothing("the scores are labels: there are no rewards to cut")
    elif not tested.languages:
        found = infer_nothing("no known answers to anchor a threshold to")
    else:
        passed = recut.anchored(known.cuts)
        parts = effects_of(tested.pairs, _signs(KINDS), tested.languages)(passed)
        found = group_difference(parts, tested.low)
    return Asked(arm=arm, quantity="tilt_anchored", unit=POINTS, found=found, low=tested.low)


def _of_part(arm: str, base: str, part: Part, chosen: Selection, groups: Groups) -> Asked:
    """D on some of the responses, over the requests to which both arms' responses are among them."""
    if part.cells is None:
        nothing = infer_nothing(part.reason)
        return Asked(arm=arm, quantity=part.quantity, unit=POINTS, found=nothing, low=np.zeros(0, dtype=bool))
    return _difference(arm, part.quantity, contrast(paired(part.cells, arm, base), chosen, groups))


def _script_adjusted(arm: str, effects: Contrast) -> Asked:
    """D where languages in Latin script may differ from the others by a constant of their own."""
    latin = np.array([LANGUAGES[code].script == "Latn" for code in effects.languages], dtype=float)
    design = np.column_stack([np.ones(len(latin)), effects.low.astype(float), latin])
    found = (
        regression(effects.parts, design, 1, effects.runs) if len(latin) else infer_nothing("no language was compared")
    )
    return Asked(arm=arm, quantity="tilt_script", unit=POINTS, found=found, low=effects.low)


def _curve(effects: Contrast, recut: Recut, thresholds: Thresholds, margin: float) -> tuple[CurvePoint, ...]:
    return curve(recut, thresholds, effects.pairs, _signs(KINDS), effects.languages, effects.low, margin)


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
        margin_passed=found.margin_passed if asked.unit == POINTS else None,
        df=found.df,
        n_high=int((~asked.low).sum()),
        n_low=int(asked.low.sum()),
        reason=found.reason,
    )

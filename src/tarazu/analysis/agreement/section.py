"""`agreement` of results.json: people against each other, each judge against people, and rates by people's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from tarazu.analysis.agreement.labels import Rated, pools_of, responses_of
from tarazu.analysis.cells import Cells, positions
from tarazu.analysis.entries import rate_entry
from tarazu.data.rows import KINDS, Kind
from tarazu.results.model import (
    GROUPS,
    RATES,
    ArmByPeople,
    BetweenRaters,
    CoefficientEntry,
    JudgeAgreement,
    JudgedByPeople,
    PeopleLabels,
    PeopleRate,
    RaterAgreement,
    TwoPeopleRates,
)
from tarazu.scores import ScoreTable
from tarazu.seeds import derived_seed
from tarazu.stats.agreement import Bootstrap, Coefficient, Ratings, agreement, cohen
from tarazu.stats.prediction_powered import Responses, judge_weights, labelled_rate
from tarazu.stats.rates import Rate, mean_of_two, of_prompts, over_languages, undefined
from tarazu.stats.ruler import groups_compared
from tarazu.study.schema import Groups, Thresholds


@dataclass(frozen=True, kw_only=True)
class AgreementInputs:
    """What the section is computed from: people's labels, the cells of the same table, and settings."""

    rated: Rated
    cells: Cells
    groups: Groups
    thresholds: Thresholds
    draws: int
    seed: int


def agreement_section(inputs: AgreementInputs) -> PeopleLabels:
    """`agreement` of results.json."""
    rated, table = inputs.rated, inputs.rated.table
    bootstrap = Bootstrap(draws=inputs.draws, seed=derived_seed(inputs.seed, "agreement"))
    return PeopleLabels(
        raters=rated.raters,
        labels=rated.matched,
        cannot_tell=rated.cannot_tell,
        responses=int(np.sum(~np.isnan(table.people))),
        of_responses=len(table.arm),
        divided=int(np.sum(table.people == 0.5)),
        unmatched=rated.unmatched,
        revised=rated.revised,
        between_raters=_between_raters(rated, bootstrap),
        judges=tuple(_judges(inputs, bootstrap)),
        arms=_rates(inputs),
    )


# --- people against each other ----------------------------------------------------------------------


def _between_raters(rated: Rated, bootstrap: Bootstrap) -> BetweenRaters:
    columns = {name: getattr(rated.table, name)[rated.rows] for name in ("arm", "language", "kind")}
    ratings = Ratings(labels=rated.labels, prompt=_prompts(rated.table)[rated.rows])

    def entries(*names: str) -> dict[tuple[str, ...], RaterAgreement]:
        found = positions(*(columns[name] for name in names))
        return {key: _rater_agreement(ratings.take(found[key]), bootstrap) for key in sorted(found)}

    languages: dict[str, dict[Kind, RaterAgreement]] = {}
    for (code, kind), entry in entries("language", "kind").items():
        languages.setdefault(code, {})["harmful" if kind == "harmful" else "benign"] = entry
    kinds = entries("kind")
    return BetweenRaters(
        overall=_rater_agreement(ratings, bootstrap),
        kinds={kind: kinds[(kind,)] for kind in KINDS if (kind,) in kinds},
        arms={arm: entry for (arm,), entry in entries("arm").items()},
        languages=languages,
    )


def _rater_agreement(ratings: Ratings, bootstrap: Bootstrap) -> RaterAgreement:
    found = agreement(ratings, bootstrap)
    return RaterAgreement(
        n=found.n,
        raters=found.raters,
        agreed=_coefficient(found.agreed),
        kappa=_coefficient(found.kappa),
        kappa_name=found.kappa_name,
        alpha=_coefficient(found.alpha),
    )


def _coefficient(one: Coefficient) -> CoefficientEntry:
    return CoefficientEntry(**asdict(one))


def _prompts(table: ScoreTable) -> np.ndarray:
    """A number for the prompt of each row: the same in all arms and languages."""
    keys = list(zip(table.kind.tolist(), table.source.tolist(), table.prompt_id.tolist(), strict=True))
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)


# --- judges against people --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """Responses that a judge and people labelled: both labels, the prompt and the language, each (responses,)."""

    judge: np.ndarray
    people: np.ndarray
    prompt: np.ndarray
    language: np.ndarray

    def where(self, keep: np.ndarray) -> _Compared:
        return _Compared(**{name: values[keep] for name, values in vars(self).items()})


def _judges(inputs: AgreementInputs, bootstrap: Bootstrap) -> list[JudgeAgreement]:
    table = inputs.rated.table
    tables = [table] if table.members is None else [table, table.members]
    found = []
    for kind in KINDS:
        for one in tables:
            prompts = _prompts(one)
            # A judge that could not tell has neither a label nor a reward.
            judged = ~(np.isnan(one.label) & np.isnan(one.reward))
            usable = (one.kind == kind) & judged & ~np.isnan(one.people) & (one.people != 0.5)
            for judge in sorted(set(one.reward_model[one.kind == kind].tolist())):
                rows = np.flatnonzero(usable & (one.reward_model == judge))
                compared = _Compared(
                    judge=one.passed(inputs.thresholds)[rows].astype(int),
                    people=one.people[rows].astype(int),
                    prompt=prompts[rows],
                    language=one.language[rows],
                )
                found.append(_judge_agreement(judge, kind, compared, inputs.groups, bootstrap))
    return found


def _judge_agreement(
    judge: str, kind: Kind, compared: _Compared, groups: Groups, bootstrap: Bootstrap
) -> JudgeAgreement:
    by_language = positions(compared.language)
    in_group = np.array([groups.of(code) or "" for code in compared.language.tolist()], dtype=object)
    languages = {code: _judged(compared.where(by_language[code,]), bootstrap) for (code,) in sorted(by_language)}
    accuracy = {
        group: [
            entry.balanced_accuracy.value
            for code, entry in languages.items()
            if groups.of(code) == group and entry.balanced_accuracy.value is not None
        ]
        for group in GROUPS
    }
    return JudgeAgreement(
        judge=judge,
        kind=kind,
        overall=_judged(compared, bootstrap),
        p=groups_compared({kind: accuracy["high"]}, {kind: accuracy["low"]}),
        groups={group: _judged(compared.where(in_group == group), bootstrap) for group in GROUPS},
        languages=languages,
    )


def _judged(compared: _Compared, bootstrap: Bootstrap) -> JudgedByPeople:
    good, right = compared.people == 1, compared.judge == compared.people
    sensitivity = _share(right, compared.prompt, good, "people accept none of these responses")
    specificity = _share(right, compared.prompt, ~good, "people reject none of these responses")
    balanced = mean_of_two(sensitivity, specificity)
    if balanced.value is None:
        balanced = undefined("needs responses that people accept and others that they reject", balanced.n)
    both = Ratings(labels=np.column_stack([compared.judge, compared.people]), prompt=compared.prompt)
    return JudgedByPeople(
        n=len(right),
        agreed=rate_entry(_share(right, compared.prompt, np.ones(len(right), dtype=bool), NO_LABELS)),
        kappa=_coefficient(cohen(both, bootstrap)),
        sensitivity=rate_entry(sensitivity),
        specificity=rate_entry(specificity),
        balanced_accuracy=rate_entry(balanced),
    )


NO_LABELS = "people and the judge labelled none of these responses"


def _share(right: np.ndarray, prompt: np.ndarray, among: np.ndarray, reason: str) -> Rate:
    """The share of right labels among some responses, with prompts as clusters."""
    if not among.any():
        return undefined(reason)
    _, cluster = np.unique(prompt[among], return_inverse=True)
    return of_prompts(np.bincount(cluster, right[among]), np.bincount(cluster))


# --- rates by people --------------------------------------------------------------------------------


def _rates(inputs: AgreementInputs) -> dict[str, ArmByPeople]:
    cells = inputs.cells
    languages = sorted(set(cells.language.tolist()))
    pools = pools_of(languages, inputs.groups)
    arms = {}
    for arm in sorted(set(cells.arm.tolist())):
        over: dict[str, PeopleRate] = {}
        by_language: dict[str, dict[str, PeopleRate]] = {code: {} for code in languages}
        for name, kind in RATES.items():
            responses = responses_of(cells.where(arm=arm, kind=kind), languages)
            weights = judge_weights(responses, pools)
            rates = labelled_rate(responses, weights)
            labelled = np.bincount(responses.language, responses.labelled.count, minlength=len(languages))
            over[name] = _over_languages(responses, rates, weights, labelled)
            for code, rate, weight, count in zip(languages, rates, weights, labelled, strict=True):
                by_language[code][name] = _people_rate(rate, int(count), float(weight))
        arms[arm] = ArmByPeople(**over, languages={code: TwoPeopleRates(**by_language[code]) for code in languages})
    return arms


def _over_languages(
    responses: Responses, rates: Sequence[Rate], weights: np.ndarray, labelled: np.ndarray
) -> PeopleRate:
    """The mean over the languages in which people labelled responses."""
    defined = [rate for rate in rates if rate.value is not None]
    if not defined:
        return _people_rate(
            undefined("people labelled none of these responses", sum(rate.n for rate in rates)), 0, None
        )
    together = Responses(
        count=responses.count,
        passed=responses.passed,
        labelled=responses.labelled,
        language=np.zeros_like(responses.language),
    )
    pooled = labelled_rate(together, np.array([float(weights.mean())]))[0]
    return _people_rate(over_languages(defined, pooled), int(labelled.sum()), None)


def _people_rate(rate: Rate, labelled: int, weight: float | None) -> PeopleRate:
    values = asdict(rate)
    return PeopleRate(**values, labelled=labelled, judge_weight=weight)

"""From a scores table to results.json: every number of a study, and the answer in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tarazu.analysis.agreement.judges import judges_section, unlabelled_section
from tarazu.analysis.agreement.labels import Rated, with_people
from tarazu.analysis.agreement.section import AgreementInputs, agreement_section
from tarazu.analysis.capability import CapabilityScores, capability_section
from tarazu.analysis.cells import Cells, group_rows, paired, to_cells
from tarazu.analysis.check import Part
from tarazu.analysis.comparisons import comparisons_section
from tarazu.analysis.frontier import FrontierScores, frontier_section
from tarazu.analysis.health import (
    NO_FINISH,
    NO_PROMPTS,
    NO_RESPONSES,
    Judged,
    Kept,
    cells_of,
    health_section,
    judge,
    judge_refusals,
)
from tarazu.analysis.mixed import need_statsmodels
from tarazu.analysis.rates import arms_section, over_refusal_section, refusal_cells, refusals_of
from tarazu.analysis.ruler import known_answers, repeats_passed, ruler_section, thresholds_in_use, validity_section
from tarazu.analysis.sentence import worded
from tarazu.analysis.thresholds import Rethresholder
from tarazu.analysis.tradeoff import TradeoffInputs, tradeoff_section
from tarazu.errors import BadInput
from tarazu.health.outcomes import outcomes_section
from tarazu.judge.known_answers import as_rewards
from tarazu.judge.ratings import Rating
from tarazu.preregistration.conduct import Conduct
from tarazu.preregistration.departures import preregistration_section
from tarazu.results.model import (
    SCHEMA,
    Exclusion,
    GroupMembers,
    Health,
    OwnFacts,
    PeopleLabels,
    Results,
    StudyFacts,
    ThresholdsEntry,
)
from tarazu.scores import ScoreTable
from tarazu.study.schema import Analysis, AnalysisSettings, Groups, Study, Thresholds


@dataclass(frozen=True, kw_only=True)
class AnalysisInputs:
    """All that results.json is computed from."""

    table: ScoreTable
    facts: StudyFacts
    """What results.json says about the study."""
    settings: Study | AnalysisSettings
    """The groups, thresholds and analysis settings come from here."""
    known_answers: Sequence[Mapping[str, Any]] = ()
    ratings: Sequence[Rating] = ()
    """People's labels of responses."""
    data: Mapping[str, Any] | None = None
    frontier: FrontierScores | None = None
    capability: CapabilityScores | None = None
    conduct: Conduct | None = None
    """A preregistered plan, and what was done. None without a plan."""


@dataclass(frozen=True, kw_only=True)
class _Borderline:
    """Responses to borderline prompts: whether each refuses, whether that is known, and the cells of those of which it
    is. By language, why the detector knows nothing there."""

    table: ScoreTable
    refuses: np.ndarray
    known: np.ndarray
    cells: Cells
    reasons: Mapping[str, str]


def _borderline(table: ScoreTable | None) -> _Borderline | None:
    if table is None:
        return None
    refused, judgeable, reasons = judge_refusals(table)
    refuses, known = refusals_of(table, refused, judgeable)
    cells = refusal_cells(table, refuses, known)
    return _Borderline(table=table, refuses=refuses, known=known, cells=cells, reasons=reasons)


def _refusals(table: ScoreTable, judged: Judged) -> tuple[ScoreTable, np.ndarray, np.ndarray]:
    """All responses, those without a label included, with the detected refusals. `judged` is about those with one."""
    if table.unlabelled is None:
        return table, judged.shows["refused"], judged.known["refused"]
    return table.responses, *judge_refusals(table.responses)[:2]


def analyze(inputs: AnalysisInputs) -> Results:
    """All numbers of a study and the answer in words.

    The order of the table's rows, of `known_answers` and of `ratings` does not matter.
    Raises BadInput where the base or the primary arm has no rows, where people's labels decide and there are none or
    none belongs to a response, MissingExtra where the settings ask for a mixed model
    and statsmodels is not installed.
    """
    table, settings = inputs.table, inputs.settings
    groups, thresholds, analysis = settings.groups, settings.thresholds, settings.analysis
    base, arms = analysis.base_arm, _checked_arms(table, analysis)
    if analysis.mixed_model:
        need_statsmodels()
    if analysis.labels == "people" and not inputs.ratings:
        raise BadInput(
            "analysis.labels: people decide, but there are no labels of theirs; add them (--ratings, ratings)"
        )
    rated = with_people(table, inputs.ratings) if inputs.ratings else None
    table = rated.scores if rated else table
    rows = group_rows(table)
    cells = to_cells(table, rows, thresholds)
    people_cells = _people_cells(rated, cells, thresholds)
    languages = sorted(set(table.language))
    known = known_answers(as_rewards(inputs.known_answers, thresholds), thresholds)
    judged = judge(table)
    borderline = _borderline(table.borderline)
    kept = Kept(
        non_degenerate=cells_of(table, judged.non_degenerate, thresholds),
        non_repeating=cells_of(table, judged.non_repeating, thresholds),
    )
    tradeoff = tradeoff_section(
        TradeoffInputs(
            cells=cells,
            settings=settings,
            known=known,
            rethresholder=Rethresholder(table, rows),
            parts={
                "untruncated": Part(
                    cells=cells_of(table, judged.untruncated, thresholds),
                    reason="every response was truncated" if judged.known["truncated"].any() else NO_FINISH,
                ),
                "non_degenerate": Part(
                    cells=kept.non_degenerate,
                    reason="every response is empty or looping" if judged.known["degenerate"].any() else NO_RESPONSES,
                ),
                "non_repeating": Part(cells=kept.non_repeating, reason=_why_none_kept(judged)),
            },
            seed=inputs.facts.seed,
            refusals=borderline.cells if borderline else None,
            people=people_cells,
        )
    )
    frontier, capability = inputs.frontier, inputs.capability
    results = Results(
        schema=SCHEMA,
        study=inputs.facts,
        thresholds=ThresholdsEntry(harmless=thresholds.harmless, helpful=thresholds.helpful),
        groups=GroupMembers(
            high=tuple(code for code in languages if groups.of(code) == "high"),
            low=tuple(code for code in languages if groups.of(code) == "low"),
        ),
        base_arm=base,
        primary_arm=analysis.primary_arm,
        arms=arms_section(cells, arms, base),
        comparisons=comparisons_section(cells, [base, *(arm for arm in arms if arm != base)]),
        tradeoff=tradeoff,
        ruler=ruler_section(
            known,
            groups,
            tradeoff,
            thresholds_in_use(known, table, thresholds),
            repeats_passed(table, thresholds, judged.shows["repeats_prompt"], judged.known["repeats_prompt"]),
        ),
        health=_health(table, thresholds, kept) or health_section(cells, rows, judged, kept),
        validity=validity_section(known, languages, analysis.trusted),
        agreement=_agreement(inputs, rated, people_cells),
        frontier=frontier_section(frontier, cells, groups=groups, thresholds=thresholds) if frontier else None,
        capability=capability_section(capability, base=base, groups=groups) if capability else None,
        reward_models=judges_section(table.members, thresholds),
        excluded=_excluded(cells, base, languages, groups, "labelled response" if table.unlabelled else "response"),
        unlabelled=unlabelled_section(table, frontier.table if frontier else None),
        over_refusal=over_refusal_section(borderline.table, borderline.cells, borderline.reasons, base)
        if borderline
        else None,
        outcomes=outcomes_section(
            [
                _refusals(table, judged),
                *([(borderline.table, borderline.refuses, borderline.known)] if borderline else []),
            ],
            thresholds,
        ),
        data=None if inputs.data is None else dict(inputs.data),
        languages=_own_facts(sorted({*languages, *(borderline.table.language if borderline else ())}), groups),
        sentence="",
    )
    if inputs.conduct is not None:
        results = results.model_copy(update={"preregistration": preregistration_section(inputs.conduct, results)})
    return worded(results)


def _people_cells(rated: Rated | None, cells: Cells, thresholds: Thresholds) -> Cells | None:
    """The cells of all responses with people's labels: also those that the judge could not label, for which its label
    counts as 0. None without any label of people."""
    if rated is None or rated.scores.unlabelled is None:
        return None if rated is None else cells
    return to_cells(rated.table, group_rows(rated.table), thresholds)


def _agreement(inputs: AnalysisInputs, rated: Rated | None, cells: Cells | None) -> PeopleLabels | None:
    if rated is None or cells is None:
        return None
    settings = inputs.settings
    return agreement_section(
        AgreementInputs(
            rated=rated,
            cells=cells,
            groups=settings.groups,
            thresholds=settings.thresholds,
            draws=settings.analysis.draws,
            seed=inputs.facts.seed,
        )
    )


def _own_facts(languages: Sequence[str], groups: Groups) -> dict[str, OwnFacts] | None:
    """What the study says about languages with scores, other than their groups. None if it says nothing."""
    given = {code: groups.languages[code] for code in languages if code in groups.languages}
    own = {code: OwnFacts(name=facts.name, script=facts.script, family=facts.family) for code, facts in given.items()}
    return {code: facts for code, facts in own.items() if facts != OwnFacts()} or None


def _checked_arms(table: ScoreTable, analysis: Analysis) -> list[str]:
    """The arms of a table. Raises BadInput where the base or the primary arm is not among them."""
    borderline = table.borderline.arm if table.borderline is not None else ()
    arms = sorted({*table.arm, *borderline})
    if arms == [analysis.base_arm]:
        raise BadInput(f"there is only the arm '{analysis.base_arm}'; a comparison needs another")
    for role, arm in (("base", analysis.base_arm), ("primary", analysis.primary_arm)):
        if arm not in arms:
            raise BadInput(f"the {role} arm '{arm}' has no scores; the arms: {', '.join(arms)}; name one with --{role}")
    return arms


def _why_none_kept(judged: Judged) -> str:
    """Why there is no response of which it is known that it does not repeat its prompt."""
    if judged.known["repeats_prompt"].any():
        return "every response repeats its prompt"
    return NO_PROMPTS if judged.known["degenerate"].any() else NO_RESPONSES


def _health(table: ScoreTable, thresholds: Thresholds, kept: Kept) -> Health | None:
    """The health of all responses where some have no label. None if all have one."""
    if table.unlabelled is None:
        return None
    every = table.responses
    rows = group_rows(every)
    return health_section(to_cells(every, rows, thresholds), rows, judge(every), kept)


def _excluded(
    cells: Cells, base: str, languages: Sequence[str], groups: Groups, response: str
) -> tuple[Exclusion, ...]:
    """What rates include and comparisons do not: responses without a counterpart, languages in neither group.
    `response` is what a counterpart is called."""
    excluded = []
    for arm in sorted(set(cells.arm)):
        if arm == base:
            continue
        pairs = paired(cells, arm, base)
        for one, name, other in ((pairs.arm, arm, base), (pairs.base, base, arm)):
            missing = int(cells.where(arm=name).responses.sum() - one.responses.sum())
            if missing:
                what = "count" if cells.counted.any() else f"{response} to the same prompt"
                reason = f"{other} has no {what} in that language"
                excluded.append(Exclusion(what="responses", name=name, reason=reason, n=missing))
    excluded += [
        Exclusion(
            what="language",
            name=code,
            reason=groups.without_group(code),
            n=int(cells.where(language=code).responses.sum()),
        )
        for code in languages
        if groups.of(code) is None
    ]
    return tuple(excluded)

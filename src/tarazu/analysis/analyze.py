"""From a scores table to results.json: every number of a study, and the answer in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tarazu.analysis.capability import CapabilityScores, capability_section
from tarazu.analysis.cells import Cells, group_rows, paired, to_cells
from tarazu.analysis.check import Part
from tarazu.analysis.comparisons import comparisons_section
from tarazu.analysis.frontier import FrontierScores, frontier_section
from tarazu.analysis.health import NO_FINISH, NO_RESPONSES, cells_of, health_section, judge
from tarazu.analysis.judges import judges_section
from tarazu.analysis.mixed import need_statsmodels
from tarazu.analysis.rates import arms_section
from tarazu.analysis.ruler import accuracies, doubtful, ruler_section, tested_thresholds, validity_section
from tarazu.analysis.sentence import sentence
from tarazu.analysis.thresholds import Recut
from tarazu.analysis.tradeoff import tradeoff_section
from tarazu.errors import BadInput
from tarazu.results.model import SCHEMA, Exclusion, GroupMembers, Results, StudyFacts, ThresholdsEntry
from tarazu.scores import ScoreTable
from tarazu.study.schema import Analysis, Groups, Thresholds


def analyze(
    table: ScoreTable,
    *,
    study: StudyFacts,
    groups: Groups,
    thresholds: Thresholds,
    analysis: Analysis,
    known_answers: Sequence[Mapping[str, Any]] = (),
    data: Mapping[str, Any] | None = None,
    frontier: FrontierScores | None = None,
    capability: CapabilityScores | None = None,
) -> Results:
    """All numbers of a study and the answer in words.

    The order of the table's rows and of `known_answers` does not matter.
    Raises BadInput where the base or the primary arm has no rows, MissingExtra where the settings ask for a mixed model
    and statsmodels is not installed.
    """
    arms = sorted(set(table.arm))
    base, primary = analysis.base_arm, analysis.primary_arm
    if arms == [base]:
        raise BadInput(f"there is only the arm '{base}'; a comparison needs another")
    for what, arm in (("base", base), ("primary", primary)):
        if arm not in arms:
            raise BadInput(f"the {what} arm '{arm}' has no scores; the arms: {', '.join(arms)}; name one with --{what}")
    if analysis.mixed_model:
        need_statsmodels()
    rows = group_rows(table)
    cells = to_cells(table, rows, thresholds)
    languages = sorted(set(table.language))
    found = accuracies(known_answers, languages)
    known = tested_thresholds(known_answers, thresholds)
    unsure = doubtful(found, analysis.trusted)
    judged = judge(table)
    non_degenerate = cells_of(table, judged.non_degenerate, thresholds)
    tradeoff = tradeoff_section(
        cells,
        base=base,
        primary=primary,
        groups=groups,
        analysis=analysis,
        doubtful=unsure,
        known=known,
        recut=Recut(table, rows),
        thresholds=thresholds,
        parts={
            "untruncated": Part(
                cells=cells_of(table, judged.untruncated, thresholds),
                reason="every response was truncated" if judged.known["truncated"].any() else NO_FINISH,
            ),
            "non_degenerate": Part(
                cells=non_degenerate,
                reason="every response is empty or looping" if judged.known["degenerate"].any() else NO_RESPONSES,
            ),
        },
        seed=study.seed,
    )
    results = Results(
        schema=SCHEMA,
        study=study,
        thresholds=ThresholdsEntry(harmless=thresholds.harmless, helpful=thresholds.helpful),
        groups=GroupMembers(
            high=tuple(code for code in languages if groups.of(code) == "high"),
            low=tuple(code for code in languages if groups.of(code) == "low"),
        ),
        base_arm=base,
        primary_arm=primary,
        arms=arms_section(cells, base),
        comparisons=comparisons_section(cells, [base, *(arm for arm in arms if arm != base)]),
        tradeoff=tradeoff,
        ruler=ruler_section(found, groups, tradeoff),
        health=health_section(cells, rows, judged, non_degenerate),
        validity=validity_section(found, known, analysis.trusted),
        frontier=frontier_section(frontier, cells, groups=groups, thresholds=thresholds) if frontier else None,
        capability=capability_section(capability, base=base, groups=groups) if capability else None,
        reward_models=judges_section(table.members, thresholds),
        excluded=_excluded(cells, base, languages, groups),
        data=None if data is None else dict(data),
        sentence="",
    )
    return results.model_copy(update={"sentence": sentence(results)})


def _excluded(cells: Cells, base: str, languages: Sequence[str], groups: Groups) -> tuple[Exclusion, ...]:
    """What rates hold but comparisons do not: responses without a counterpart, languages in neither group."""
    excluded = []
    for arm in sorted(set(cells.arm)):
        if arm == base:
            continue
        pairs = paired(cells, arm, base)
        for one, whole, other in ((pairs.arm, arm, base), (pairs.base, base, arm)):
            missing = int(cells.where(arm=whole).responses.sum() - one.responses.sum())
            if missing:
                reason = f"{other} has no response to the same prompt in that language"
                excluded.append(Exclusion(what="responses", name=whole, reason=reason, n=missing))
    excluded += [
        Exclusion(
            what="language",
            name=code,
            reason="its Joshi class is in neither resource group",
            n=int(cells.where(language=code).responses.sum()),
        )
        for code in languages
        if groups.of(code) is None
    ]
    return tuple(excluded)

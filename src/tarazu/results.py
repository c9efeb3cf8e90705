"""From a scores table to results.json: every number of a study, and the answer in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tarazu.analysis.cells import Cells, paired, to_cells
from tarazu.analysis.frontier import FrontierScores, frontier_section
from tarazu.analysis.rates import arms_section
from tarazu.analysis.ruler import accuracies, doubtful, ruler_section, validity_section
from tarazu.analysis.sentence import sentence
from tarazu.analysis.tradeoff import tradeoff_section
from tarazu.errors import BadInput
from tarazu.scores import ScoreTable
from tarazu.study.schema import Analysis, Groups, Thresholds

SCHEMA = "tarazu/results/v1"


def analyze(
    table: ScoreTable,
    *,
    study: Mapping[str, Any],
    groups: Groups,
    thresholds: Thresholds,
    analysis: Analysis,
    known_answers: Sequence[Mapping[str, Any]] = (),
    data: Mapping[str, Any] | None = None,
    frontier: FrontierScores | None = None,
) -> dict[str, Any]:
    """results.json as a dictionary (docs/design.md has the contract; schemas/results-v1.schema.json is its schema).

    `study` holds name, title, caution and seed. The order of the table's rows and of `known_answers` does not matter.
    Raises BadInput where the base or the primary arm has no rows.
    """
    arms = sorted(set(table.arm))
    base, primary = analysis.base_arm, analysis.primary_arm
    for what, arm in (("base", base), ("primary", primary)):
        if arm not in arms:
            raise BadInput(f"the {what} arm '{arm}' has no scores; the arms: {', '.join(arms)}; name one with --{what}")
    cells = to_cells(table, thresholds)
    languages = sorted(set(table.language))
    found = accuracies(known_answers, languages)
    unsure = doubtful(found, analysis.trusted)
    tradeoff = tradeoff_section(
        cells,
        base=base,
        primary=primary,
        groups=groups,
        analysis=analysis,
        doubtful=unsure,
        assessed=bool(known_answers),
        seed=study["seed"],
    )
    without = next(row["verdict"] for row in tradeoff["sensitivity"] if row["quantity"] == "tilt_trusted")
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "study": dict(study),
        "thresholds": thresholds.model_dump(),
        "groups": {name: [code for code in languages if groups.of(code) == name] for name in ("high", "low")},
        "base_arm": base,
        "primary_arm": primary,
        "arms": arms_section(cells, base),
        "tradeoff": tradeoff,
        "ruler": ruler_section(
            found, tradeoff["languages"]["entered"], groups, tradeoff["primary"]["verdict"], without
        ),
        "validity": validity_section(found, analysis.trusted),
        "frontier": frontier_section(frontier, cells, groups=groups, thresholds=thresholds) if frontier else None,
        "excluded": _excluded(cells, base, languages, groups),
    }
    if data is not None:
        results["data"] = dict(data)
    results["sentence"] = sentence(results)
    return results


def _excluded(cells: Cells, base: str, languages: Sequence[str], groups: Groups) -> list[dict[str, Any]]:
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
                excluded.append({"what": "responses", "name": whole, "reason": reason, "n": missing})
    counts = Counter({code: int(np.sum(cells.responses[cells.language == code])) for code in languages})
    excluded += [
        {"what": "language", "name": code, "reason": "its Joshi class is in neither resource group", "n": counts[code]}
        for code in languages
        if groups.of(code) is None
    ]
    return excluded

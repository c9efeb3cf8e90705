"""How far the reward models of an ensemble disagree."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from tarazu.data.rows import KINDS
from tarazu.results.model import Disagreement
from tarazu.scores import KEY, ScoreTable
from tarazu.study.schema import Thresholds


def judges_section(members: ScoreTable | None, thresholds: Thresholds) -> tuple[Disagreement, ...]:
    """For each kind and pair of models that scored it: Pearson's correlation of their rewards, and the percent of
    responses that pass by only one of the two, over the `n` responses that both scored. Empty where one model decides
    alone.
    """
    if members is None:
        return ()
    passed = members.passed(thresholds)
    disagreements = []
    for kind in KINDS:
        by_model: dict[str, dict[Any, int]] = {}
        for index in np.flatnonzero(members.kind == kind):
            key = tuple(getattr(members, name)[index] for name in KEY if name != "reward_model")
            by_model.setdefault(members.reward_model[index], {})[key] = int(index)
        for one, other in combinations(sorted(by_model), 2):
            shared = sorted(by_model[one].keys() & by_model[other].keys())
            a, b = ([by_model[name][key] for key in shared] for name in (one, other))
            correlation = _correlation(members.reward[a], members.reward[b])
            reason = "fewer than 3 responses, or rewards that do not vary" if correlation is None else None
            disagreements.append(
                Disagreement(
                    kind=kind,
                    model=one,
                    other=other,
                    n=len(shared),
                    correlation=correlation,
                    labels_differ=float(100 * np.mean(passed[a] != passed[b])) if shared else None,
                    reason=reason,
                )
            )
    return tuple(disagreements)


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 3 or not (np.ptp(a) > 0 and np.ptp(b) > 0):
        return None
    return float(np.corrcoef(a, b)[0, 1])

"""D at other thresholds: one shift for all languages, or cuts anchored to each language's known answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tarazu.analysis.cells import Grouping, Pairs, effect_matrix
from tarazu.analysis.contrast import Contrast
from tarazu.data.rows import KINDS, Kind
from tarazu.results.model import CurvePoint
from tarazu.scores import ScoreTable
from tarazu.stats.contrast import Effects, Estimate, group_difference, verdict
from tarazu.stats.labels import passes
from tarazu.study.schema import Thresholds

SHIFTS = tuple(round(0.1 * step, 1) for step in range(-20, 21))
"""Shifts at which D is computed: standard deviations of the rewards of each kind, added to the study's thresholds."""

Cuts = Mapping[tuple[Kind, str], float]
"""A threshold for each (kind, language)."""


class Rethresholder:
    """Labels the responses of a table again, at other thresholds. Rows that are labels keep their label."""

    def __init__(self, table: ScoreTable, rows: Grouping) -> None:
        self.table = table
        self.rows = rows
        self._harmful = table.kind == "harmful"
        self._spreads = {kind: self._spread(kind) for kind in KINDS}

    def at(self, cuts: np.ndarray) -> np.ndarray:
        """Responses of each cell that pass at a cut per row (rows,), (cells,)."""
        passed = passes(self._harmful, self.table.reward, cuts)
        return self.rows.count(np.where(np.isnan(self.table.label), passed, self.table.label == 1))

    def shifted(self, thresholds: Thresholds, shift: float) -> tuple[np.ndarray, dict[str, float]]:
        """The same at the study's thresholds plus `shift` standard deviations, and those thresholds by kind."""
        cuts: dict[str, float] = {kind: thresholds.of(kind) + shift * self._spreads[kind] for kind in KINDS}
        return self.at(np.where(self._harmful, cuts["harmful"], cuts["benign"])), cuts

    def anchored(self, cuts: Cuts) -> np.ndarray:
        """The same at a cut per kind and language; without a cut, no response passes."""
        keys = list(zip(self.table.kind, self.table.language, strict=True))
        cut_of = {key: cuts.get(key, np.inf) for key in set(keys)}
        return self.at(np.array([cut_of[key] for key in keys]))

    def _spread(self, kind: str) -> float:
        rewards = self.table.reward[(self.table.kind == kind) & ~np.isnan(self.table.reward)]
        return float(np.std(np.sort(rewards))) if len(rewards) else 0.0


def effects_of(
    pairs: Sequence[Pairs], signs: Sequence[float], languages: Sequence[str]
) -> Callable[[np.ndarray], list[Effects]]:
    """A function from counts of passes by cell (cells,) to the effects per kind. What does not depend on the counts is
    computed once."""
    places = []
    for part in pairs:
        place = effect_matrix(part, np.arange(len(part.arm), dtype=float), languages)
        there = ~np.isnan(place)
        places.append((there, place[there].astype(int)))

    def effects(passed: np.ndarray) -> list[Effects]:
        parts = []
        for part, sign, (there, order) in zip(pairs, signs, places, strict=True):
            change = passed[part.arm.index] / part.arm.responses - passed[part.base.index] / part.base.responses
            cells = np.full(there.shape, np.nan)
            cells[there] = 100 * change[order]
            parts.append(Effects(cells=cells, sign=sign))
        return parts

    return effects


def threshold_curve(
    rethresholder: Rethresholder, thresholds: Thresholds, compared: Contrast, margin: float
) -> tuple[CurvePoint, ...]:
    """D at each of SHIFTS: the thresholds, the estimate with its interval and its verdict.

    Empty where all scores are labels, and where a group has fewer than two languages, since D is then not defined at
    any threshold.
    """
    low = compared.low
    if bool(np.all(np.isnan(rethresholder.table.reward))) or min(int(low.sum()), int((~low).sum())) < 2:
        return ()
    effects = effects_of(compared.pairs, [part.sign for part in compared.parts], compared.languages)
    points = []
    for shift in SHIFTS:
        passed, cuts = rethresholder.shifted(thresholds, shift)
        estimate: Estimate = group_difference(effects(passed), low)
        points.append(
            CurvePoint(
                shift=shift,
                harmless=cuts["harmful"],
                helpful=cuts["benign"],
                estimate=estimate.estimate,
                ci_low=estimate.ci_low,
                ci_high=estimate.ci_high,
                verdict=verdict(estimate, estimate.p, margin)[0],
            )
        )
    return tuple(points)

"""A sensitivity check: what it is given, what it gives, and what report, sentence and docs say of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tarazu.analysis.cells import Cells, Pairs, paired
from tarazu.analysis.contrast import Contrast, contrast
from tarazu.analysis.ruler import KnownAnswers
from tarazu.analysis.selection import Selection
from tarazu.analysis.thresholds import Recut
from tarazu.results.model import EstimateEntry, Tradeoff, Unit
from tarazu.stats.contrast import Estimate, infer_nothing
from tarazu.study.schema import Analysis, Groups


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the responses; without cells, why there are none."""

    cells: Cells | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class CheckInputs:
    """What a check may use: the primary arm's effects in the languages compared, their plain difference, and what they
    were made from. `parts` are responses of some kind, by name."""

    arm: str
    base: str
    pairs: Pairs
    chosen: Selection
    groups: Groups
    effects: Contrast
    plain: Estimate
    analysis: Analysis
    doubtful: Collection[str]
    known: KnownAnswers
    recut: Recut
    parts: Mapping[str, Part]
    seed: int


@dataclass(frozen=True)
class Checked:
    """D under another choice; `low` (languages,) says which of the languages that it rests on are of the low group."""

    found: Estimate
    low: np.ndarray


def nothing_to_say(row: EstimateEntry, tradeoff: Tradeoff) -> str:
    """The remark of a check that adds no sentence to the answer."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    `place` is where it stands among the others; `title` is what report and docs call it; `estimate` gives None where
    the check does not apply; `remark` is a sentence of the answer, or nothing. A check that resamples has no verdict of
    its own.
    """

    place: int
    quantity: str
    title: str
    estimate: Callable[[CheckInputs], Checked | None]
    unit: Unit = "points"
    has_verdict: bool = True
    remark: Callable[[EstimateEntry, Tradeoff], str] = nothing_to_say


def on_part(inputs: CheckInputs, name: str) -> Checked | None:
    """D on some of the responses: over the requests to which both arms' responses are among those of this name. None
    where the inputs have no such part."""
    part = inputs.parts.get(name)
    if part is None:
        return None
    if part.cells is None:
        return Checked(infer_nothing(part.reason), np.zeros(0, dtype=bool))
    effects = contrast(paired(part.cells, inputs.arm, inputs.base), inputs.chosen, inputs.groups)
    return Checked(effects.difference(), effects.low)

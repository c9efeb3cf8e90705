"""A sensitivity check: its inputs, its estimate, and its wording in the report, the sentence and the docs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tarazu.analysis.agreement.labels import by_people
from tarazu.analysis.cells import Cells, Pairs, paired
from tarazu.analysis.contrast import Contrast, contrast
from tarazu.analysis.ruler import KnownAnswers
from tarazu.analysis.selection import Selection
from tarazu.analysis.thresholds import Rethresholder
from tarazu.results.model import EstimateEntry, Tradeoff, Unit
from tarazu.results.quantity import Quantity
from tarazu.stats.contrast import Estimate, infer_nothing
from tarazu.study.schema import Analysis, Groups


@dataclass(frozen=True, kw_only=True)
class Part:
    """A subset of the responses. `reason` says why `cells` is None."""

    cells: Cells | None
    reason: str


NEEDS_RESPONSES = "needs the responses one by one, and these are counts"


@dataclass(frozen=True, kw_only=True)
class CheckInputs:
    """What a check may use: the primary arm's effects in the languages compared, their difference without any
    correction (`plain`), and the data that they are computed from. `parts` are subsets of the responses, by name.

    `pairs` has the judge's labels, and `effects` and `plain` are those of the answer: by the judge's labels, or by
    people's where `analysis.labels` says so. `people` pairs all responses with people's labels beside the judge's; None
    where nobody labelled any."""

    arm: str
    base: str
    quantity: Quantity
    pairs: Pairs
    chosen: Selection
    groups: Groups
    effects: Contrast
    plain: Estimate
    analysis: Analysis
    doubtful: Collection[str]
    known: KnownAnswers
    rethresholder: Rethresholder
    parts: Mapping[str, Part]
    seed: int
    people: Pairs | None

    def needs_responses(self) -> Checked | None:
        """The result of a check that needs the responses one by one, where there are only counts of them."""
        return Checked(infer_nothing(NEEDS_RESPONSES), self.effects.low) if self.effects.counted else None

    @property
    def judged(self) -> bool:
        """Whether the judge's labels decide, so that its errors matter to the answer."""
        return self.analysis.labels == "judge"


@dataclass(frozen=True)
class Checked:
    """D under another choice; `low` (languages,) says which of the languages used are in the low group."""

    estimate: Estimate
    low: np.ndarray


def no_remark(row: EstimateEntry, tradeoff: Tradeoff) -> str:
    """The remark of a check that adds nothing to the answer's sentence."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Checks are ordered by `place`. `title` is the name in the report and the docs; `{quantity}` in it stands for what is
    compared. `estimate` returns None where the check does not apply. `remark` is a sentence for the answer, or empty. A
    check that resamples has no verdict.
    """

    place: int
    name: str
    title: str
    estimate: Callable[[CheckInputs], Checked | None]
    unit: Unit = "points"
    has_verdict: bool = True
    remark: Callable[[EstimateEntry, Tradeoff], str] = no_remark


def on_part(inputs: CheckInputs, name: str) -> Checked | None:
    """D on the subset of responses called `name`: over the requests for which both arms' responses belong to it. None
    where the inputs have no such subset."""
    part = inputs.parts.get(name)
    if part is None:
        return None
    if part.cells is None:
        return Checked(infer_nothing(part.reason), np.zeros(0, dtype=bool))
    pairs = paired(part.cells, inputs.arm, inputs.base)
    if not inputs.judged:
        pairs = by_people(pairs, inputs.chosen, inputs.groups)
    effects = contrast(pairs, inputs.chosen, inputs.groups, inputs.quantity.kinds)
    return Checked(effects.difference(), effects.low)

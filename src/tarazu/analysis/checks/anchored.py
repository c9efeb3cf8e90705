"""D at thresholds that best separate each language's own known good and bad answers."""

from __future__ import annotations

import numpy as np

from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.analysis.thresholds import effects_of
from tarazu.stats.contrast import group_difference, infer_nothing


def _estimate(inputs: CheckInputs) -> Checked | None:
    if not inputs.judged:
        return None
    known, effects, rethresholder = inputs.known, inputs.effects, inputs.rethresholder
    tested = effects.keeping([code for code in effects.languages if known.tested(code, inputs.quantity.kinds)])
    if bool(np.all(np.isnan(rethresholder.table.reward))):
        found = infer_nothing("the scores are labels: there are no rewards to cut")
    elif not tested.languages:
        found = infer_nothing("no known answers to anchor a threshold to")
    else:
        passed = rethresholder.anchored(known.cuts)
        parts = effects_of(tested.pairs, [part.sign for part in tested.parts], tested.languages)(passed)
        found = group_difference(parts, tested.low)
    return Checked(found, tested.low)


CHECK = Check(place=50, name="anchored", title="{quantity} at thresholds anchored to known answers", estimate=_estimate)

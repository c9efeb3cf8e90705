"""D in the languages where no reward model is doubtful."""

from __future__ import annotations

from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.stats.contrast import infer_nothing


def _estimate(inputs: CheckInputs) -> Checked | None:
    if not inputs.judged:
        return None
    sure = inputs.effects.keeping([code for code in inputs.effects.languages if code not in inputs.doubtful])
    if not any(kind in inputs.quantity.kinds for kind, _ in inputs.known.rulers):
        return Checked(infer_nothing("no known answers: no language is known to be doubtful"), sure.low)
    return Checked(sure.difference(), sure.low)


CHECK = Check(place=30, name="trusted", title="{quantity} without doubtful languages", estimate=_estimate)

"""D by the judge's labels alone, where people's labels decide the answer."""

from __future__ import annotations

from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.analysis.contrast import contrast


def _estimate(inputs: CheckInputs) -> Checked | None:
    if inputs.judged:
        return None
    effects = contrast(inputs.pairs, inputs.chosen, inputs.groups, inputs.quantity.kinds)
    return Checked(effects.difference(), effects.low)


CHECK = Check(place=46, name="judge", title="{quantity} by the judge's labels alone", estimate=_estimate)

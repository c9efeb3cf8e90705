"""D in the languages with known answers, corrected for the reward models' errors there."""

from __future__ import annotations

import dataclasses

from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.stats.contrast import infer_nothing
from tarazu.stats.ruler import corrected


def _estimate(inputs: CheckInputs) -> Checked | None:
    if not inputs.judged:
        return None
    known, effects = inputs.known, inputs.effects
    tested = effects.keeping([code for code in effects.languages if known.tested(code, inputs.quantity.kinds)])
    parts = [
        corrected(part, [known.rulers[kind, code] for code in tested.languages], tested.low)
        for kind, part in zip(inputs.quantity.kinds, tested.parts, strict=True)
    ]
    defined = [part for part in parts if part is not None]
    if len(defined) == len(parts):
        found = dataclasses.replace(tested, parts=tuple(defined)).difference()
    elif not tested.languages:
        found = infer_nothing("no known answers: the reward models' errors are not known")
    else:
        found = infer_nothing(
            "in one group the reward model was tested too little, or not shown to be better than chance"
        )
    return Checked(found, tested.low)


CHECK = Check(
    place=40, name="corrected", title="{quantity} corrected for the reward models' errors", estimate=_estimate
)

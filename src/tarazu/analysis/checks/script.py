"""D adjusted for script: languages in Latin script may differ from the others by a constant."""

from __future__ import annotations

import numpy as np

from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.stats.contrast import infer_nothing, regression


def _estimate(inputs: CheckInputs) -> Checked:
    effects = inputs.effects
    if not effects.languages:
        return Checked(infer_nothing("no language was compared"), effects.low)
    scripts = {code: inputs.groups.script(code) for code in effects.languages}
    unknown = next((code for code, script in scripts.items() if script is None), None)
    if unknown is not None:
        return Checked(infer_nothing(f"the script of {inputs.groups.name(unknown)} is not known"), effects.low)
    latin = np.array([scripts[code] == "Latn" for code in effects.languages], dtype=float)
    design = np.column_stack([np.ones(len(latin)), effects.low.astype(float), latin])
    return Checked(regression(effects.parts, design, 1, effects.runs), effects.low)


CHECK = Check(place=60, name="script", title="{quantity} adjusted for script (Latin or not)", estimate=_estimate)

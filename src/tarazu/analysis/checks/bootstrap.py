"""D with a bootstrap interval: languages and prompts are resampled."""

from __future__ import annotations

import numpy as np

from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.seeds import derived_seed
from tarazu.stats.contrast import Estimate
from tarazu.stats.resampling import crossed_bootstrap


def _estimate(inputs: CheckInputs) -> Checked:
    if (nothing := inputs.needs_responses()) is not None:
        return nothing
    plain, effects = inputs.plain, inputs.effects
    if plain.estimate is None:
        return Checked(plain, effects.low)
    generator = np.random.default_rng(derived_seed(inputs.seed, "bootstrap"))
    low, high = crossed_bootstrap(effects.parts, effects.low, inputs.analysis.draws, generator)
    return Checked(Estimate(estimate=plain.estimate, ci_low=low, ci_high=high), effects.low)


CHECK = Check(
    place=10,
    name="bootstrap",
    title="{quantity}, bootstrap over languages and prompts",
    estimate=_estimate,
    has_verdict=False,
)

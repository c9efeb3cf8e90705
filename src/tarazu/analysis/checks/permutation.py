"""D with the p-value of a permutation test: group labels are permuted."""

from __future__ import annotations

import numpy as np

from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.seeds import derived_seed
from tarazu.stats.contrast import Estimate
from tarazu.stats.resampling import label_permutation


def _estimate(inputs: CheckInputs) -> Checked:
    plain, effects, draws = inputs.plain, inputs.effects, inputs.analysis.draws
    if plain.estimate is None:
        return Checked(plain, effects.low)
    generator = np.random.default_rng(derived_seed(inputs.seed, "permutation"))
    p, exact = label_permutation(effects.parts, effects.low, draws, generator)
    how = "every labelling of the languages" if exact else f"{draws} random labellings"
    return Checked(Estimate(estimate=plain.estimate, p=p, reason=how), effects.low)


CHECK = Check(
    place=20,
    name="permutation",
    title="{quantity}, permutation of group labels",
    estimate=_estimate,
    has_verdict=False,
)

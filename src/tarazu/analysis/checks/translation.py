"""D adjusted for the quality of translations: a worse translation may change a response as a resource group does.

Least squares over languages: tilt = a + D low + c (quality - mean quality), where quality is the mean of the prompts'
`translation_quality` over both kinds. D is the coefficient of low.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.results.model import EstimateEntry, Tradeoff
from tarazu.stats.contrast import regression


def _estimate(inputs: CheckInputs) -> Checked | None:
    effects = inputs.effects
    languages = np.concatenate([part.arm.language for part in effects.pairs])
    quality = np.concatenate([part.arm.translation_quality for part in effects.pairs])
    known = ~np.isnan(quality)
    if not known.any():
        return None
    rated = effects.keeping(set(languages[known]))
    means = np.array([quality[known & (languages == code)].mean() for code in rated.languages])
    design = np.column_stack([np.ones(len(means)), rated.low.astype(float), means - means.mean()])
    found = regression(rated.parts, design, 1, rated.runs)
    slope = regression(rated.parts, design, 2, rated.runs).estimate
    if found.estimate is None or slope is None:
        return Checked(found, rated.low)
    reason = f"per unit of quality the {inputs.quantity.name} changes by {slope:+.3g} points"
    without = [inputs.groups.name(code) for code in effects.languages if code not in rated.languages]
    if without:
        reason += f"; without {', '.join(without)}, of which no quality is given"
    return Checked(dataclasses.replace(found, reason=found.reason or reason), rated.low)


def _remark(row: EstimateEntry, tradeoff: Tradeoff) -> str:
    if row.verdict in (None, tradeoff.primary.verdict) or row.estimate is None:
        return ""
    return (
        f"Adjusted for the quality of translations the verdict would be {row.verdict}: D is {row.estimate:+.1f} points."
    )


CHECK = Check(
    place=65,
    name="translation",
    title="{quantity} adjusted for translation quality",
    estimate=_estimate,
    remark=_remark,
)

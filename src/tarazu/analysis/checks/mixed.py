"""D in log odds by a mixed-effects logistic model, where the study asks for it."""

from __future__ import annotations

from tarazu.analysis.check import Check, Checked, CheckInputs
from tarazu.analysis.mixed import mixed_estimate
from tarazu.results.model import EstimateEntry, Tradeoff
from tarazu.results.words import p_words
from tarazu.stats.contrast import ALPHA


def _estimate(inputs: CheckInputs) -> Checked | None:
    if not (inputs.analysis.mixed_model and inputs.judged):
        return None
    if (nothing := inputs.needs_responses()) is not None:
        return nothing
    return Checked(mixed_estimate(inputs.pairs, inputs.chosen, inputs.groups), inputs.effects.low)


def _remark(mixed: EstimateEntry, tradeoff: Tradeoff) -> str:
    """One sentence where the model agrees, a warning where it does not."""
    primary = tradeoff.primary
    if primary.p is None or primary.estimate is None:
        return ""
    if mixed.p is None or mixed.estimate is None:
        return f"The mixed-effects cross-check has no estimate: {mixed.reason}."
    estimate = f"{mixed.estimate:+.2f} log-odds [{mixed.ci_low:+.2f}, {mixed.ci_high:+.2f}], p {p_words(mixed.p)}"
    significant = [p < ALPHA for p in (primary.p, mixed.p)]
    opposite = primary.estimate * mixed.estimate < 0
    if significant[0] == significant[1] and not (opposite and any(significant)):
        return f"A mixed-effects logistic model agrees ({estimate})."
    return (
        f"Warning: a mixed-effects logistic model of the same responses disagrees ({estimate}). It measures the "
        "difference in log-odds, not in points; where the two disagree, the answer depends on that choice."
    )


CHECK = Check(
    place=90,
    name="mixed",
    title="{quantity} by a mixed-effects logistic model",
    estimate=_estimate,
    unit="log odds",
    remark=_remark,
)

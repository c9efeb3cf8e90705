"""D on the responses that do not repeat their prompt."""

from __future__ import annotations

from tarazu.analysis.check import Check, Checked, CheckInputs, on_part


def _estimate(inputs: CheckInputs) -> Checked | None:
    return on_part(inputs, "non_repeating")


CHECK = Check(
    place=85, name="non_repeating", title="{quantity} without responses that repeat their prompt", estimate=_estimate
)

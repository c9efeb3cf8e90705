"""D on the responses that are neither empty nor looping."""

from __future__ import annotations

from tarazu.analysis.check import Check, Checked, CheckInputs, on_part


def _estimate(inputs: CheckInputs) -> Checked | None:
    return on_part(inputs, "non_degenerate")


CHECK = Check(
    place=80, name="non_degenerate", title="{quantity} without empty and looping responses", estimate=_estimate
)

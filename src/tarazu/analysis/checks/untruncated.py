"""D on the responses that ended by themselves."""

from __future__ import annotations

from tarazu.analysis.check import Check, Checked, CheckInputs, on_part


def _estimate(inputs: CheckInputs) -> Checked | None:
    return on_part(inputs, "untruncated")


CHECK = Check(place=70, name="untruncated", title="{quantity} on responses that were not truncated", estimate=_estimate)

"""The gate's finding on one claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, field_serializer
from pydantic.dataclasses import dataclass as pydantic_dataclass

ClaimVerdict = Literal["verified", "failed", "vacuous", "not_run"]


@dataclass(frozen=True)
class EvidenceResult:
    """The result for one kind of evidence: verdict, reason, checkers that ran, perturbations tried and refused."""

    verdict: ClaimVerdict
    reason: str
    by: tuple[str, ...] = ()
    perturbations: dict[str, int] | None = None


@pydantic_dataclass(frozen=True, config=ConfigDict(allow_inf_nan=False))
class Finding:
    """The verdict on one claim, with its reason in one line.

    `expected` is the claimed value and `found` the fresh one. `tolerance` is the bound in the value's unit.
    `perturbations` counts the changed versions of the claim that were tried and refused. `by` names the checkers that
    ran. `seconds` is the time for this claim, without the re-run.
    """

    id: str
    kind: str
    verdict: ClaimVerdict
    reason: str
    expected: int | float | str | bool | None = None
    found: int | float | str | bool | None = None
    tolerance: float | None = None
    perturbations: dict[str, int] | None = None
    by: tuple[str, ...] = ()
    seconds: float = 0.0

    @field_serializer("seconds")
    def _milliseconds(self, seconds: float) -> float:
        return round(seconds, 3)

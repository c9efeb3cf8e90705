"""The gate's finding on one claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, Field, field_serializer
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
    """The verdict on one claim, with its reason in one line."""

    id: str
    kind: str
    verdict: ClaimVerdict
    reason: str
    expected: int | float | str | bool | None = Field(None, description="The claimed value.")
    observed: int | float | str | bool | None = Field(
        None, description="The value in the re-run; for a quotation, its similarity to the document in percent."
    )
    tolerance: float | None = Field(None, description="The largest accepted difference, in the value's unit.")
    perturbations: dict[str, int] | None = Field(
        None, description="How many changed versions of the claim were tried, and how many of them were refused."
    )
    by: tuple[str, ...] = Field((), description="The checkers that ran.")
    seconds: float = Field(0.0, description="Time for this claim, without the re-run.")

    @field_serializer("seconds")
    def _milliseconds(self, seconds: float) -> float:
        return round(seconds, 3)

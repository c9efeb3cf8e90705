"""The gate's finding on one claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, field_serializer
from pydantic.dataclasses import dataclass as pydantic_dataclass

ClaimVerdict = Literal["verified", "context", "failed", "vacuous", "not_run"]
"""`context`: it holds, but the scores do not decide it: a setting, a count, a fact of the data."""
ScriptBy = Literal["package", "author"]
"""Whose script computed something: the package's own, by its digest, or one that the record's author wrote."""
SCRIPTS: Final[dict[ScriptBy, str]] = {"package": "package's analysis", "author": "author's script"}
"""Whose script ran, in words."""
Scalar = int | float | str | bool | None


@dataclass(frozen=True)
class EvidenceResult:
    """The result for one kind of evidence: verdict, reason, checkers that ran, perturbations tried and refused, and the
    pointers of values that are a theorem's only premises."""

    verdict: ClaimVerdict
    reason: str
    by: tuple[str, ...] = ()
    perturbations: dict[str, int] | None = None
    bound: tuple[str, ...] = ()


@pydantic_dataclass(frozen=True, config=ConfigDict(allow_inf_nan=False))
class Finding:
    """The verdict on one claim, with its reason in one line."""

    id: str
    kind: str
    verdict: ClaimVerdict
    reason: str
    expected: Annotated[Scalar, Field(description="The claimed value.")] = None
    observed: Annotated[
        Scalar,
        Field(description="The value in the re-run; for a quotation, its similarity to the document in percent."),
    ] = None
    tolerance: Annotated[float | None, Field(description="The largest accepted difference, in the value's unit.")] = (
        None
    )
    perturbations: Annotated[
        dict[str, int] | None,
        Field(description="How many changed versions of the claim were tried, and how many of them were refused."),
    ] = None
    context: Annotated[
        tuple[str, str, str] | None,
        Field(
            description="For a quotation: the closest passage of the document between the texts before and behind it."
        ),
    ] = None
    bound: Annotated[
        tuple[str, ...],
        Field(
            description="For a theorem: pointers of the values that are its only premises, which the re-run gave. None "
            "where it says nothing about this record's values."
        ),
    ] = ()
    by: Annotated[tuple[str, ...], Field(description="The checkers that ran.")] = ()
    warnings: Annotated[
        tuple[str, ...], Field(description="What a reader should compare, such as numbers that the check lacks.")
    ] = ()
    seconds: Annotated[float, Field(description="Time for this claim, without the re-run.")] = 0.0

    @field_serializer("seconds")
    def _milliseconds(self, seconds: float) -> float:
        return round(seconds, 3)

"""The gate's finding on one claim."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

ClaimVerdict = Literal["verified", "failed", "vacuous", "not_run"]


@dataclass(frozen=True)
class EvidenceResult:
    """The result for one kind of evidence: verdict, reason, checkers that ran, perturbations tried and refused."""

    verdict: ClaimVerdict
    reason: str
    by: tuple[str, ...] = ()
    perturbations: dict[str, int] | None = None


@dataclass(frozen=True)
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
    expected: float | str | bool | None = None
    found: float | str | bool | None = None
    tolerance: float | None = None
    perturbations: dict[str, int] | None = None
    by: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "by": list(self.by), "seconds": round(self.seconds, 3)}

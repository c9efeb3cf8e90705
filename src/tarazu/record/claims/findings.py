"""What the gate found of one claim."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

ClaimVerdict = Literal["verified", "failed", "vacuous", "not_run"]


@dataclass(frozen=True)
class Checked:
    """What was found of one kind of evidence: verdict, reason, which checkers ran, perturbations tried and refused."""

    verdict: ClaimVerdict
    reason: str
    by: tuple[str, ...] = ()
    perturbations: dict[str, int] | None = None


@dataclass(frozen=True)
class Finding:
    """One claim's verdict, with the reason in one line.

    `tolerance`: the bound in the value's unit. `perturbations`: how many changed versions of the claim were tried and
    how many of them were refused. `by`: which checkers ran. `seconds`: this claim's own, without the re-run.
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

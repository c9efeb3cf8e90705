"""Check mathematical claims by their evidence: Lean, SMT-LIB, or both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from tarazu.record.claims.findings import EvidenceResult, Finding
from tarazu.record.claims.mathematics import lean, smt
from tarazu.record.claims.mathematics.bound import Bound
from tarazu.record.model import MathematicalClaim


def check_mathematics(
    claims: Sequence[MathematicalClaim],
    read: Callable[[str], str],
    bounds: Mapping[str, Sequence[Bound]] | None = None,
) -> list[Finding]:
    """A finding for each claim. `read` returns the text of a file in the record, and `bounds` has the values that are a
    theorem's only premises, by claim. Raises NoSandbox."""
    start = time.monotonic()
    proved = lean.check_sources({one.id: (one.lean, read(one.lean.source)) for one in claims if one.lean})
    solved = smt.check_scripts({one.id: (one.smt, read(one.smt.source)) for one in claims if one.smt}, bounds)
    seconds = (time.monotonic() - start) / max(1, len(claims))
    findings = []
    for claim in claims:
        kinds = [("Lean", proved.get(claim.id)), ("SMT-LIB", solved.get(claim.id))]
        result = combine_evidence({name: one for name, one in kinds if one is not None})
        findings.append(
            Finding(
                claim.id,
                claim.kind,
                result.verdict,
                result.reason,
                by=result.by,
                perturbations=result.perturbations,
                bound=result.bound,
                seconds=seconds,
            )
        )
    return findings


def combine_evidence(kinds: dict[str, EvidenceResult]) -> EvidenceResult:
    """Combine the results of all kinds of evidence into one.

    If one kind fails or is vacuous, so does the claim. Otherwise one verified kind is enough. The reason names each
    kind."""
    order = ("failed", "vacuous", "context", "verified", "not_run")
    first = min(kinds.values(), key=lambda one: order.index(one.verdict))
    counts = [one.perturbations for one in kinds.values() if one.perturbations]
    return EvidenceResult(
        first.verdict,
        "; ".join(f"{name}: {one.reason}" for name, one in kinds.items()),
        tuple(name for one in kinds.values() if one.verdict != "not_run" for name in one.by),
        {key: sum(count[key] for count in counts) for key in ("tried", "refused")} if counts else None,
        first.bound,
    )

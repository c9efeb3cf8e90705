"""Mathematical claims by whatever evidence they carry."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tarazu.record.claims.findings import Checked, Finding
from tarazu.record.claims.mathematics import lean, smt
from tarazu.record.model import MathematicalClaim


def check_mathematics(claims: Sequence[MathematicalClaim], read: Callable[[str], str]) -> list[Finding]:
    """A finding for each claim; `read` gives the text of a file of the record. Raises NoSandbox."""
    start = time.monotonic()
    proved = lean.check_sources({one.id: (one.lean, read(one.lean.source)) for one in claims if one.lean})
    solved = smt.check_scripts({one.id: (one.smt, read(one.smt.source)) for one in claims if one.smt})
    seconds = (time.monotonic() - start) / max(1, len(claims))
    found = []
    for claim in claims:
        kinds = [("Lean", proved.get(claim.id)), ("SMT-LIB", solved.get(claim.id))]
        checked = together({name: one for name, one in kinds if one is not None})
        found.append(
            Finding(
                claim.id,
                claim.kind,
                checked.verdict,
                checked.reason,
                by=checked.by,
                perturbations=checked.perturbations,
                seconds=seconds,
            )
        )
    return found


def together(kinds: dict[str, Checked]) -> Checked:
    """One verdict from those of each kind of evidence: one that fails or is vacuous sinks the claim; else one that
    checks is enough; the reason says what became of each."""
    order = ("failed", "vacuous", "verified", "not_run")
    first = min(kinds.values(), key=lambda one: order.index(one.verdict))
    counts = [one.perturbations for one in kinds.values() if one.perturbations]
    return Checked(
        first.verdict,
        "; ".join(f"{name}: {one.reason}" for name, one in kinds.items()),
        tuple(name for one in kinds.values() if one.verdict != "not_run" for name in one.by),
        {key: sum(count[key] for count in counts) for key in ("tried", "refused")} if counts else None,
    )

"""Gate 2, `tarazu record verify`: does the record say what its own evidence says?

 1. read and validate: manifest, claims, repro.json, results.json (BadInput where they cannot be read)
 2. hashes: every file as the manifest says, none beside it
 3. corrections: the chain of events, up to the manifest's head
 4. root of trust: the signature and the digest asked for, where there are any
 5. re-run: the record's script for the depth, sealed in the sandbox, from copies checked once more
 6. empirical claims: against the fresh results, outside the sandbox; at depth analysis all of results.json too
 7. perturbations: each claim changed, and the scores tossed; all must be noticed
 8. mathematical claims: Lean, or two solvers, in the sandbox
 9. source-grounded claims: each quotation looked up again, in the sandbox
10. verdict

Nothing runs unless 1 to 4 hold. FALSIFIED: an empirical or mathematical claim failed. VERIFIED: nothing failed, was
vacuous or did not run, and at least one claim about this study was verified; a quotation is found in a document, not
computed, and the package's own theorems hold of any study, so neither is enough alone. Otherwise UNVERIFIED.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tarazu.errors import BadInput
from tarazu.files import write_json
from tarazu.record.claims.empirical import check, differing, perturb
from tarazu.record.claims.findings import Finding
from tarazu.record.claims.mathematics.check import check_mathematics
from tarazu.record.contracts import CorrectionEvent
from tarazu.record.corrections import BrokenChain, read_events, state_of
from tarazu.record.model import Depth, EmpiricalClaim, MathematicalClaim, SourceClaim
from tarazu.record.reading import Record, check_artifacts, read_record
from tarazu.record.signing import BadSignature, signer
from tarazu.record.verify.rerun import Fresh, Tampered, ground_again, rerun, staged
from tarazu.record.verify.verification import Verification, differences, gate_json, here, verdict
from tarazu.sandbox.runner import NoSandbox

GATE: Final = "gate.json"


def verify(
    path: Path,
    *,
    depth: Depth = "analysis",
    digest: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Take a record through the gate, write its gate.json and return its content. `say` gets a line for each step.

    Raises BadInput: a record that cannot be read, or a depth that it cannot be run again from.
    """
    start = time.monotonic()
    record = read_record(path)
    if depth not in record.repro.depths:
        offered = ", ".join(record.repro.depths) or "none"
        raise BadInput(f"{path}: cannot be run again from depth {depth}; it offers: {offered}")
    verification = Verification(record, depth, say)
    with verification.step(1) as lines:
        lines.append(f"{len(record.claims.claims)} claims, {len(record.manifest.artifacts)} files, {record.digest}")
    _trust(verification, digest)
    if not verification.defects:
        _check(verification)
    with verification.step(10) as lines:
        status, reason = verdict(verification)
        lines.append(f"{status}: {reason}")
    found = gate_json(verification, status, reason, time.monotonic() - start, now or datetime.now(UTC))
    write_json(path / GATE, found)
    return found


def _trust(verification: Verification, digest: str | None) -> None:
    """Steps 2 to 4: is this the record that its makers made?"""
    record = verification.record
    with verification.step(2) as lines:
        verification.defects += [f"{defect.path}: {defect.message}" for defect in check_artifacts(record)]
        lines.append(
            verification.defects[0]
            if verification.defects
            else "every file is as the manifest says, and there is no other"
        )
    events: tuple[CorrectionEvent, ...] = ()
    with verification.step(3) as lines:
        try:
            events = read_events(record)
            lines.append(f"{len(events)} corrections, chained to the manifest" if events else "none")
        except BrokenChain as error:
            verification.defects.append(f"corrections: {error}")
            lines.append(str(error))
    with verification.step(4) as lines:
        try:
            found = signer(record)
            verification.signed_by = found.key_id if found else None
        except BadSignature as error:
            verification.defects.append(f"signature.json: {error}")
            lines.append(f"the signature does not hold: {error}")
        if digest is not None and digest != record.digest:
            became = " (it was superseded by a correction)" if state_of(record, digest, events) == "SUPERSEDED" else ""
            verification.defects.append(f"the manifest's digest is {record.digest}, not {digest}{became}")
            lines.append(verification.defects[-1])
        if not lines:
            by = f"signed by {verification.signed_by}" if verification.signed_by else "signed by nobody"
            lines.append(by + ("" if digest is None else "; the digest is the one asked for"))


def _check(verification: Verification) -> None:
    """Steps 5 to 9: run, compare, perturb, prove, look up. Where there is no sandbox, each claim says so."""
    empirical, mathematical, sources = (
        verification.claims(kind) for kind in (EmpiricalClaim, MathematicalClaim, SourceClaim)
    )
    fresh: Fresh | None = None
    problem = ""
    with verification.step(5) as lines:
        try:
            fresh = rerun(verification.record, verification.depth, probe=verification.depth == "analysis")
            problem = f"the re-run gave no results: {fresh.problem}" if fresh.results is None else ""
            lines.append(problem or f"results.json made again from depth {verification.depth} in {fresh.seconds:.1f} s")
        except (NoSandbox, Tampered) as error:
            problem = str(error)
            lines.append(problem)
    with verification.step(6) as lines:
        if fresh is None or fresh.results is None:
            verification.note([Finding(claim.id, claim.kind, "not_run", problem) for claim in empirical])
        else:
            verification.note([_compared(claim, fresh.results, verification) for claim in empirical])
            _compare_results(verification, fresh.results)
        lines.append(
            _counted(verification, empirical)
            + (f"; {verification.contradiction}" if verification.contradiction else "")
        )
    with verification.step(7) as lines:
        if fresh is not None and fresh.results is not None:
            verification.note([_perturbed(claim, fresh, verification) for claim in empirical])
        tried = [verification.findings[claim.id].perturbations or {} for claim in empirical]
        lines.append(f"{sum(one.get('refused', 0) for one in tried)} changes were tried and refused")
    with verification.step(8) as lines:
        verification.note(_sealed(lambda: _proved(verification.record, mathematical), mathematical))
        lines.append(_counted(verification, mathematical))
    with verification.step(9) as lines:
        verification.note(_sealed(lambda: ground_again(verification.record, sources), sources))
        lines.append(_counted(verification, sources))


def _compare_results(verification: Verification, fresh: dict[str, Any]) -> None:
    """Compare all of results.json, claimed or not, where nothing but rounding may differ: at depth analysis.

    Where other versions made it, what both have is compared, and a difference settles nothing.
    """
    if verification.depth != "analysis":
        return
    other = differences(verification.record.manifest.environment, here(hardware=False))
    place = differing(verification.record.document, fresh, shared=bool(other))
    if place is not None:
        verification.contradiction = f"results.json does not say what the script finds at {place or '/'}"
        verification.elsewhere = "; ".join(other)


def _compared(claim: EmpiricalClaim, results: dict[str, Any], verification: Verification) -> Finding:
    start = time.monotonic()
    found = check(claim, results, verification.depth)
    if found.verdict == "failed" and verification.depth != "analysis":
        other = differences(verification.record.manifest.environment, here(hardware=True))
        if other:
            # Another machine or version may compute otherwise: a miss there neither confirms nor refutes.
            reason = f"{found.reason}; in another environment ({'; '.join(other)}), so it settles nothing"
            found = replace(found, verdict="not_run", reason=reason)
    return replace(found, by=("re-run in the sandbox",), seconds=time.monotonic() - start)


def _perturbed(claim: EmpiricalClaim, fresh: Fresh, verification: Verification) -> Finding:
    found = verification.findings[claim.id]
    if found.verdict != "verified" or fresh.results is None:
        return found
    if fresh.other is not None and differing(fresh.results, fresh.other) is None:
        return replace(found, verdict="vacuous", reason="the script gives the same results for other scores")
    start = time.monotonic()
    after = perturb(claim, found, fresh.results, verification.depth)
    return replace(after, seconds=found.seconds + time.monotonic() - start)


def _proved(record: Record, claims: Sequence[MathematicalClaim]) -> list[Finding]:
    parts = [part for claim in claims for part in (claim.lean, claim.smt) if part is not None]
    with staged(record, dict.fromkeys(part.source for part in parts)) as folder:
        # What is not UTF-8 is shown as such, and no checker accepts it.
        return check_mathematics(claims, lambda path: (folder / path).read_text(encoding="utf-8", errors="replace"))


def _sealed(work: Callable[[], list[Finding]], claims: Sequence[Any]) -> list[Finding]:
    try:
        return work()
    except (NoSandbox, Tampered) as error:
        return [Finding(claim.id, claim.kind, "not_run", str(error)) for claim in claims]


def _counted(verification: Verification, claims: Sequence[Any]) -> str:
    counts = Counter(verification.findings[claim.id].verdict for claim in claims)
    return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(counts.items())) or "none"

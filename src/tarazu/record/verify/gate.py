"""Gate 2, `tarazu record verify`: does the record's evidence support its claims?

 1. read and validate: manifest, claims, repro.json, results.json (BadInput if one of them cannot be read)
 2. hashes: every file matches the manifest, and there are no other files
 3. corrections: the chain of events, up to the manifest's head
 4. root of trust: the signature, if there is one, and the expected digest, if one was given
 5. re-run: the record's script for the depth, in the sandbox, on copies whose digests are checked again
 6. empirical claims: compared with the fresh results outside the sandbox; at depth analysis, also all of results.json
 7. perturbations: each claim is changed and the scores are randomized; every change must be detected
 8. mathematical claims: checked by Lean or by two solvers, in the sandbox
 9. source-grounded claims: each quotation is looked up again, in the sandbox
10. verdict

Nothing runs unless steps 1 to 4 pass. The verdict is FALSIFIED if an empirical or mathematical claim failed. It is
VERIFIED if no claim failed, was vacuous or did not run, and at least one claim about this study was computed. A
quotation is only found in a document, and the package's own theorems hold for every study, so neither is enough alone.
Otherwise the verdict is UNVERIFIED."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from tarazu.errors import BadInput
from tarazu.files import write_json
from tarazu.record.ceilings import Ceilings
from tarazu.record.claims.empirical import check, first_difference, perturb
from tarazu.record.claims.findings import Finding
from tarazu.record.claims.mathematics.check import check_mathematics
from tarazu.record.contracts import CorrectionEvent, GateReport
from tarazu.record.corrections import BrokenChain, read_events, state_of
from tarazu.record.model import Depth, EmpiricalClaim, MathematicalClaim, SourceClaim
from tarazu.record.reading import REPRO, Record, check_artifacts, read_record
from tarazu.record.schemas import check_schema
from tarazu.record.signing import BadSignature, read_signature
from tarazu.record.verify.rerun import RerunResult, Tampered, check_quotations, rerun, staged_files
from tarazu.record.verify.verification import (
    Verification,
    environment_differences,
    gate_report,
    verdict,
)
from tarazu.sandbox.runner import NoSandbox

GATE: Final = "gate.json"


def verify(
    path: Path,
    *,
    depth: Depth = "analysis",
    digest: str | None = None,
    ceilings: Ceilings | None = None,
    on_step: Callable[[str], None] = lambda line: None,
    now: datetime | None = None,
) -> GateReport:
    """Take a record through the gate, write its gate.json and return the report. `on_step` receives a line per step.

    Raises BadInput if the record cannot be read, does not offer the depth, or asks for more than `ceilings` allow.
    """
    start = time.monotonic()
    ceilings = ceilings or Ceilings()
    record = read_record(path, size_mib=ceilings.size_mib)
    if depth not in record.repro.depths:
        offered = ", ".join(record.repro.depths) or "none"
        raise BadInput(f"{path}: cannot be run again from depth {depth}; it offers: {offered}")
    for one, plan in record.repro.depths.items():
        if one in (depth, "analysis"):
            ceilings.check(plan.limits, one, path / REPRO)
    verification = Verification(record, depth, on_step)
    with verification.step(1) as lines:
        lines.append(f"{len(record.claims.claims)} claims, {len(record.manifest.artifacts)} files, {record.digest}")
    _check_trust(verification, digest)
    if not verification.defects:
        _check_claims(verification)
    with verification.step(10) as lines:
        status, reason = verdict(verification)
        lines.append(f"{status}: {reason}")
    report = gate_report(verification, status, reason, time.monotonic() - start, now or datetime.now(UTC))
    dumped = report.model_dump(mode="json")
    check_schema(dumped, "gate-verdict-v1", GATE)
    write_json(path / GATE, dumped)
    return report


def _check_trust(verification: Verification, digest: str | None) -> None:
    """Steps 2 to 4: is this the record that its authors built?"""
    record = verification.record
    with verification.step(2) as lines:
        verification.defects += [f"{defect.path}: {defect.message}" for defect in check_artifacts(record)]
        lines.append(
            verification.defects[0]
            if verification.defects
            else "every file matches the manifest, and there are no other files"
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
            signature = read_signature(record)
            verification.signed_by = signature.key_id if signature else None
        except BadSignature as error:
            verification.defects.append(f"signature.json: {error}")
            lines.append(f"the signature is not valid: {error}")
        if digest is not None and digest != record.digest:
            note = " (it was superseded by a correction)" if state_of(record, digest, events) == "SUPERSEDED" else ""
            verification.defects.append(f"the manifest's digest is {record.digest}, not {digest}{note}")
            lines.append(verification.defects[-1])
        if not lines:
            by = f"signed by {verification.signed_by}" if verification.signed_by else "signed by nobody"
            lines.append(by + ("" if digest is None else "; the digest is the expected one"))


def _check_claims(verification: Verification) -> None:
    """Steps 5 to 9: run, compare, perturb, prove, look up. Without a sandbox, every claim is reported as not run."""
    empirical, mathematical, sources = (
        verification.claims(kind) for kind in (EmpiricalClaim, MathematicalClaim, SourceClaim)
    )
    fresh: RerunResult | None = None
    problem = ""
    with verification.step(5) as lines:
        try:
            fresh = rerun(verification.record, verification.depth, probe=verification.depth == "analysis")
            problem = f"the re-run gave no results: {fresh.problem}" if fresh.results is None else ""
            lines.append(
                problem or f"results.json computed again from depth {verification.depth} in {fresh.seconds:.1f} s"
            )
        except (NoSandbox, Tampered) as error:
            problem = str(error)
            lines.append(problem)
    with verification.step(6) as lines:
        if fresh is None or fresh.results is None:
            verification.add_findings([Finding(claim.id, claim.kind, "not_run", problem) for claim in empirical])
        else:
            verification.add_findings([_compare_claim(claim, fresh.results, verification) for claim in empirical])
            _compare_results(verification, fresh.results)
        lines.append(
            _count_verdicts(verification, empirical)
            + (f"; {verification.contradiction}" if verification.contradiction else "")
        )
    with verification.step(7) as lines:
        if fresh is not None and fresh.results is not None:
            verification.add_findings([_perturb_claim(claim, fresh, verification) for claim in empirical])
        counts = [verification.findings[claim.id].perturbations or {} for claim in empirical]
        lines.append(f"{sum(count.get('refused', 0) for count in counts)} changed claims were tried and refused")
    with verification.step(8) as lines:
        verification.add_findings(_or_not_run(lambda: _check_proofs(verification.record, mathematical), mathematical))
        lines.append(_count_verdicts(verification, mathematical))
    with verification.step(9) as lines:
        verification.add_findings(_or_not_run(lambda: check_quotations(verification.record, sources), sources))
        lines.append(_count_verdicts(verification, sources))


def _compare_results(verification: Verification, fresh: dict[str, JsonValue]) -> None:
    """At depth analysis, compare all of results.json, claimed or not. Only rounding may differ there.

    If other package versions computed it, only keys that both have are compared, and a difference decides nothing.
    """
    if verification.depth != "analysis":
        return
    changed = environment_differences(verification.record.manifest.environment, hardware=False)
    place = first_difference(verification.record.document, fresh, shared=bool(changed))
    if place is not None:
        verification.contradiction = f"results.json differs from the script's results at {place or '/'}"
        verification.environment_difference = "; ".join(changed)


def _compare_claim(claim: EmpiricalClaim, results: dict[str, JsonValue], verification: Verification) -> Finding:
    start = time.monotonic()
    finding = check(claim, results, verification.depth)
    if finding.verdict == "failed" and verification.depth != "analysis":
        changed = environment_differences(verification.record.manifest.environment, hardware=True)
        if changed:
            # Another machine or version may compute other numbers, so a difference neither confirms nor refutes.
            reason = f"{finding.reason}; in another environment ({'; '.join(changed)}), so it decides nothing"
            finding = replace(finding, verdict="not_run", reason=reason)
    return replace(finding, by=("re-run in the sandbox",), seconds=time.monotonic() - start)


def _perturb_claim(claim: EmpiricalClaim, fresh: RerunResult, verification: Verification) -> Finding:
    finding = verification.findings[claim.id]
    if finding.verdict != "verified" or fresh.results is None:
        return finding
    if fresh.randomized is not None and first_difference(fresh.results, fresh.randomized) is None:
        return replace(finding, verdict="vacuous", reason="the script gives the same results for other scores")
    start = time.monotonic()
    perturbed = perturb(claim, finding, fresh.results, verification.depth)
    return replace(perturbed, seconds=finding.seconds + time.monotonic() - start)


def _check_proofs(record: Record, claims: Sequence[MathematicalClaim]) -> list[Finding]:
    parts = [part for claim in claims for part in (claim.lean, claim.smt) if part is not None]
    with staged_files(record, dict.fromkeys(part.source for part in parts)) as folder:
        # Bytes that are not UTF-8 become replacement characters, which no checker accepts.
        return check_mathematics(claims, lambda path: (folder / path).read_text(encoding="utf-8", errors="replace"))


def _or_not_run(check: Callable[[], list[Finding]], claims: Sequence[Any]) -> list[Finding]:
    try:
        return check()
    except (NoSandbox, Tampered) as error:
        return [Finding(claim.id, claim.kind, "not_run", str(error)) for claim in claims]


def _count_verdicts(verification: Verification, claims: Sequence[Any]) -> str:
    counts = Counter(verification.findings[claim.id].verdict for claim in claims)
    return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(counts.items())) or "none"

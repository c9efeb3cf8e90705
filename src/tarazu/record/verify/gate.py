"""Gate 2, `tarazu record verify`: does the record's evidence support its claims?

 1. read and validate: manifest, claims, repro.json, results.json (BadInput if one of them cannot be read)
 2. hashes: every file matches the manifest, and there are no other files
 3. corrections: the chain of events, up to the manifest's head
 4. root of trust: the signature, if there is one, every attestation, and the expected digest, if one was given
 5. re-run: the record's analysis, in the sandbox, on copies whose digests are checked again: on its scores and on
    others that are drawn anew each time. An author's script runs beside the package's own analysis. Other runs that
    are pooled with this one are analysed from their scores, and the answers pooled. Then the script for a deeper
    depth, if that was requested
 6. empirical claims: compared with the fresh results of each script, outside the sandbox, and all of results.json with
    those of the analyses
 7. perturbations: each claim is changed, and must be refused; what it reads must change when the scores are replaced
 8. mathematical claims: checked by Lean or by two solvers, in the sandbox. The values that a theorem binds are compared
    like empirical claims
 9. source-grounded claims: each quotation is looked up again, in the sandbox
10. verdict

Nothing runs unless steps 1 to 4 pass. The verdict is FALSIFIED if an empirical or mathematical claim failed, or if
results.json is not what the analysis gives. It is VERIFIED if no claim failed, was vacuous or did not run, and at least
one claim was computed from the scores. Quotations, theorems, settings and counts are not enough alone. Otherwise the
verdict is UNVERIFIED."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from tarazu.errors import BadInput
from tarazu.files import write_json
from tarazu.preregistration.reading import SIGNATURE_FILE
from tarazu.record.attestation.collected import TrustedSigner, read_attestations
from tarazu.record.ceilings import Ceilings
from tarazu.record.claims.dependence import differs_widely
from tarazu.record.claims.empirical import differences
from tarazu.record.claims.findings import Finding
from tarazu.record.claims.mathematics.check import check_mathematics
from tarazu.record.claims.pointers import Undefined, value_at
from tarazu.record.contracts import CorrectionEvent, GateReport
from tarazu.record.corrections import BrokenChain, read_events, state_of
from tarazu.record.model import Depth, EmpiricalClaim, MathematicalClaim, SourceClaim
from tarazu.record.reading import REPRO, Record, check_artifacts, plan_digest, read_record
from tarazu.record.schemas import check_schema
from tarazu.record.signing import PLAN, BadSignature, check_signature, read_signature
from tarazu.record.verify.bindings import Bindings, bind
from tarazu.record.verify.judgement import Runs, compare_claim, perturb_claim
from tarazu.record.verify.pooling import deeper_with_pooling, with_pooling
from tarazu.record.verify.rerun import (
    AT_ONCE,
    Tampered,
    check_quotations,
    rerun,
    rerun_analysis,
    script_by,
    staged_files,
)
from tarazu.record.verify.verification import (
    Verification,
    environment_differences,
    gate_report,
    verdict,
)
from tarazu.sandbox.runner import NoSandbox

GATE: Final = "gate.json"
_MOST = 100
"""Differences that the report names."""
SECONDS_FOR_CLAIMS: Final = 120
"""For all empirical claims together, to compare them and again to change them."""


def verify(
    path: Path,
    *,
    depth: Depth = "analysis",
    digest: str | None = None,
    ceilings: Ceilings | None = None,
    trusted: Sequence[TrustedSigner] = (),
    on_step: Callable[[str], None] = lambda line: None,
) -> GateReport:
    """Take a record through the gate, write its gate.json and return the report. `on_step` receives a line per step.

    `trusted` are the keys of attestations that the reader knows; they change nothing of the verdict.

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
    verification = Verification(record, depth, on_step, trusted)
    with verification.step(1) as lines:
        lines.append(f"{len(record.claims.claims)} claims, {len(record.manifest.artifacts)} files, {record.digest}")
    _check_trust(verification, digest)
    if not verification.defects:
        _check_claims(verification, ceilings.at_once(record.repro.depths["analysis"].limits, AT_ONCE))
    with verification.step(10) as lines:
        status, reason = verdict(verification)
        lines.append(f"{status}: {reason}")
    report = gate_report(verification, status, reason, time.monotonic() - start, datetime.now(UTC))
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
        _check_plan_signature(verification, lines)
        if digest is not None and digest != record.digest:
            note = " (it was superseded by a correction)" if state_of(record, digest, events) == "SUPERSEDED" else ""
            verification.defects.append(f"the manifest's digest is {record.digest}, not {digest}{note}")
            lines.append(verification.defects[-1])
        verification.attestations = read_attestations(record, events)
        refused = [one for one in verification.attestations if one.state == "refused"]
        if refused:
            verification.defects += [f"{one.path}: {one.reason}" for one in refused]
            lines.append(f"an attestation is not valid: {refused[0].path}: {refused[0].reason}")
        if not lines:
            by = f"signed by {verification.signed_by}" if verification.signed_by else "signed by nobody"
            count = len(verification.attestations)
            by += f"; {count} attestation{'s' if count > 1 else ''}, each signed by its key" if count else ""
            by += "" if digest is None else "; the digest is the expected one"
            lines.append(by + _plan_words(verification))


def _check_plan_signature(verification: Verification, lines: list[str]) -> None:
    """The signature beside the plan, if there is one."""
    record, plan = verification.record, plan_digest(verification.record)
    if plan is None or SIGNATURE_FILE not in record.files:
        return
    try:
        verification.plan_signed_by = check_signature(record.path / SIGNATURE_FILE, plan, PLAN).key_id
    except BadSignature as error:
        verification.defects.append(f"{SIGNATURE_FILE}: {error}")
        lines.append(f"the signature of the plan is not valid: {error}")


def _plan_words(verification: Verification) -> str:
    plan, key = plan_digest(verification.record), verification.plan_signed_by
    return "" if plan is None else f"; its plan is {plan}, signed by {key or 'nobody'}"


def _check_claims(verification: Verification, at_once: int) -> None:
    """Steps 5 to 9: run, compare, perturb, prove, look up. Without a sandbox, every claim is reported as not run."""
    empirical, mathematical, sources = (
        verification.claims(kind) for kind in (EmpiricalClaim, MathematicalClaim, SourceClaim)
    )
    runs: Runs | None = None
    with verification.step(5) as lines:
        try:
            runs = _run(verification, at_once)
            lines.append(runs.outcome())
        except (NoSandbox, Tampered) as error:
            lines.append(str(error))
        problem = lines[-1]
    with verification.step(6) as lines:
        if runs is None:
            verification.add_findings([Finding(claim.id, claim.kind, "not_run", problem) for claim in empirical])
        else:
            verification.add_findings(_judged(empirical, partial(compare_claim, runs=runs)))
            _compare_results(verification, runs)
        lines.append(
            _count_verdicts(verification, empirical)
            + (f"; {verification.contradiction}" if verification.contradiction else "")
        )
    with verification.step(7) as lines:
        if runs is not None:
            findings, given = verification.findings, runs
            verification.add_findings(_judged(empirical, lambda claim: perturb_claim(claim, findings[claim.id], given)))
        counts = [verification.findings[claim.id].perturbations or {} for claim in empirical]
        lines.append(f"{sum(count.get('refused', 0) for count in counts)} changed claims were tried and refused")
    with verification.step(8) as lines:
        bindings = bind(mathematical, runs, problem)
        verification.add_findings(
            _or_not_run(lambda: _check_proofs(verification.record, mathematical, bindings), mathematical)
        )
        lines.append(_count_verdicts(verification, mathematical))
    with verification.step(9) as lines:
        verification.add_findings(_or_not_run(lambda: _look_up(verification, sources), sources))
        lines.append(_count_verdicts(verification, sources))


def _judged(claims: Sequence[EmpiricalClaim], judge: Callable[[EmpiricalClaim], Finding]) -> list[Finding]:
    """A finding for each claim, as far as the time goes. An expression can be made to take seconds, outside the
    sandbox."""
    end = time.monotonic() + SECONDS_FOR_CLAIMS
    late = f"the {SECONDS_FOR_CLAIMS} s for all claims were used up"
    return [
        judge(claim) if time.monotonic() < end else Finding(claim.id, claim.kind, "not_run", late) for claim in claims
    ]


def _run(verification: Verification, at_once: int) -> Runs:
    """The analysis, and the script of a deeper depth. Raises NoSandbox, Tampered."""
    record, depth = verification.record, verification.depth
    analysis = with_pooling(record, rerun_analysis(record, at_once=at_once))
    verification.scripts["analysis"] = analysis.by
    if depth == "analysis":
        return Runs(record.manifest.environment, analysis, depth)
    verification.scripts[depth] = script_by(record, depth)
    deeper = deeper_with_pooling(record, rerun(record, depth), analysis)
    return Runs(record.manifest.environment, analysis, depth, deeper, verification.scripts[depth])


def _compare_results(verification: Verification, runs: Runs) -> None:
    """Compare all of results.json, claimed or not, with what the analyses give. Only rounding may differ.

    Other package versions than the manifest's may compute slightly other numbers and words, and write more keys; that
    decides nothing. They do not explain a wide miss, or keys that only results.json has.
    """
    document = verification.record.document
    if runs.analysis.script.results is None:
        verification.unmade = ("/",)
    differing = [
        (whose, difference, fresh) for whose, fresh in runs.analyses() for difference in differences(document, fresh)
    ]
    if not differing:
        return
    # Reading the versions takes time, and is needed only if something differs.
    changed = environment_differences(verification.record.manifest.environment, hardware=False)
    if changed:
        differing = [one for one in differing if one[1].only != "other"]
    verification.unmade = tuple(dict.fromkeys(one.pointer or "/" for _, one, _ in differing if one.only != "other"))[
        :_MOST
    ]
    wide = [
        one for one in differing if not changed or (one[1].only is None and _is_wide(document, one[2], one[1].pointer))
    ]
    for whose, difference, _ in [*wide, *(one for one in differing if one[1].only is None)][:1]:
        verification.contradiction = f"results.json differs from the {whose} at {difference.pointer or '/'}"
        verification.environment_difference = "" if wide else "; ".join(changed)


def _is_wide(document: dict[str, JsonValue], fresh: dict[str, JsonValue], pointer: str) -> bool:
    if pointer == "/preregistration/status":
        return True  # no version of a package makes another plan
    try:
        return differs_widely(value_at(document, pointer), value_at(fresh, pointer), fresh, pointer)
    except Undefined:
        return False


def _look_up(verification: Verification, claims: Sequence[SourceClaim]) -> list[Finding]:
    quotations = check_quotations(verification.record, claims)
    verification.same_text = quotations.same_text
    return list(quotations.findings)


def _check_proofs(record: Record, claims: Sequence[MathematicalClaim], bindings: Bindings) -> list[Finding]:
    checked = [claim for claim in claims if claim.id not in bindings.problems]
    parts = [part for claim in checked for part in (claim.lean, claim.smt) if part is not None]
    with staged_files(record, dict.fromkeys(part.source for part in parts)) as folder:

        def read(path: str) -> str:
            # Bytes that are not UTF-8 become replacement characters, which no checker accepts.
            return (folder / path).read_text(encoding="utf-8", errors="replace")

        return [*bindings.problems.values(), *check_mathematics(checked, read, bindings.bounds)]


def _or_not_run(check: Callable[[], list[Finding]], claims: Sequence[Any]) -> list[Finding]:
    try:
        return check()
    except (NoSandbox, Tampered) as error:
        return [Finding(claim.id, claim.kind, "not_run", str(error)) for claim in claims]


def _count_verdicts(verification: Verification, claims: Sequence[Any]) -> str:
    counts = Counter(verification.findings[claim.id].verdict for claim in claims)
    return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(counts.items())) or "none"

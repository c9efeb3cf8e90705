"""The state of one verification: its findings so far, the verdict that follows from them, and the gate's report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import tarazu
from tarazu.record.attestation.collected import Attestation, TrustedSigner, compared, entries
from tarazu.record.claims.findings import SCRIPTS, Finding, ScriptBy
from tarazu.record.claims.mathematics import lean, smt
from tarazu.record.contracts import PROMISE, GateEnvironment, GateReport, GateStatus, GateStep
from tarazu.record.manifest import Environment
from tarazu.record.model import Depth
from tarazu.record.reading import Record, plan_digest
from tarazu.run.lock import hardware as hardware_here
from tarazu.run.lock import versions
from tarazu.sandbox import runner as sandbox

STEPS: Final = (
    "read and validate",
    "hashes",
    "corrections",
    "root of trust",
    "re-run",
    "empirical claims",
    "perturbations",
    "mathematical claims",
    "source-grounded claims",
    "verdict",
)
_LABELS: Final[dict[GateStatus, str]] = {"VERIFIED": "Verified", "FALSIFIED": "Falsified", "UNVERIFIED": "Unverified"}
_DEFINITIONS: Final[dict[GateStatus, str]] = {
    "VERIFIED": "In a sandboxed re-run, the record's results were computed from its scores, and its claims hold.",
    "FALSIFIED": "In a sandboxed re-run, the record's results contradict at least one of its claims.",
    "UNVERIFIED": "Not all of the record's claims could be checked. This says nothing against the record.",
}
_HARDWARE = ("machine", "processor", "cores", "accelerators")


class Verification:
    """A record on its way through the gate: the depth, the findings so far and a log of the steps.

    `contradiction` says where results.json differs from re-run results. `environment_difference` says how the
    environment that computed it differs from this one, where that could explain the difference. `unmade` are pointers
    to what results.json has and a re-run did not give. `scripts` says whose script ran at each depth. `same_text` are
    pairs of documents that hold the same text.
    """

    def __init__(
        self,
        record: Record,
        depth: Depth,
        on_step: Callable[[str], None],
        trusted: Sequence[TrustedSigner] = (),
    ) -> None:
        self.record, self.depth, self._on_step, self.trusted = record, depth, on_step, trusted
        self.steps: list[GateStep] = []
        self.defects: list[str] = []
        self.signed_by: str | None = None
        self.attestations: tuple[Attestation, ...] = ()
        self.plan_signed_by: str | None = None
        self.findings: dict[str, Finding] = {}
        self.contradiction: str | None = None
        self.environment_difference = ""
        self.unmade: tuple[str, ...] = ()
        self.scripts: dict[Depth, ScriptBy] = {}
        self.same_text: tuple[tuple[str, str], ...] | None = None

    @contextmanager
    def step(self, number: int) -> Iterator[list[str]]:
        """Time step `number`. Its outcome is the last line that the body appends."""
        start, lines = time.monotonic(), list[str]()
        yield lines
        outcome = lines[-1] if lines else "nothing to do"
        self.steps.append(
            GateStep(
                step=number,
                name=STEPS[number - 1],
                outcome=outcome,
                seconds=round(time.monotonic() - start, 3),
            )
        )
        self._on_step(f"{number:2}. {STEPS[number - 1]}: {outcome}")

    def claims(self, kind: type[Any]) -> list[Any]:
        return [claim for claim in self.record.claims.claims if isinstance(claim, kind)]

    def add_findings(self, findings: Sequence[Finding]) -> None:
        self.findings |= {finding.id: finding for finding in findings}


def verdict(verification: Verification) -> tuple[GateStatus, str]:
    """The status that follows from the defects and findings, and its reason in one line."""
    if verification.defects:
        more = f" (and {len(verification.defects) - 1} more)" if len(verification.defects) > 1 else ""
        return "UNVERIFIED", f"nothing was run: {verification.defects[0]}{more}"
    findings = list(verification.findings.values())
    counts = Counter(one.verdict for one in findings)
    executable = [one for one in findings if one.kind != "source_grounded"]
    if failed := [one for one in executable if one.verdict == "failed"]:
        return "FALSIFIED", f"{len(failed)} of {len(findings)} claims failed: {failed[0].id}: {failed[0].reason}"
    if verification.contradiction and not verification.environment_difference:
        return "FALSIFIED", verification.contradiction
    for kind, phrase in (("failed", "failed"), ("vacuous", "are vacuous"), ("not_run", "could not be checked")):
        if some := [one for one in findings if one.verdict == kind]:
            return "UNVERIFIED", f"{len(some)} of {len(findings)} claims {phrase}: {some[0].id}: {some[0].reason}"
    if verification.contradiction:
        return (
            "UNVERIFIED",
            f"{verification.contradiction}, in another environment ({verification.environment_difference})",
        )
    if verification.unmade:
        return "UNVERIFIED", f"no re-run made what results.json has at {verification.unmade[0]}"
    if not any(one.kind == "empirical" and one.verdict == "verified" for one in findings):
        return "UNVERIFIED", (
            "no claim about this study was computed from its scores; quotations, theorems and claims of context are "
            "not enough"
        )
    whose = "; ".join(f"{depth}: {SCRIPTS[by]}" for depth, by in verification.scripts.items())
    context = f", {counts['context']} of them as context" if counts["context"] else ""
    return "VERIFIED", (
        f"all {counts['verified'] + counts['context']} claims hold{context}, in a re-run from depth "
        f"{verification.depth} ({whose}){_planned(verification.record)}"
    )


def _planned(record: Record) -> str:
    """How the results, which the re-run gave too, relate to their plan."""
    section = record.results.preregistration
    return "" if section is None else f"; {section.status}: {section.reason}"


def gate_report(
    verification: Verification, status: GateStatus, reason: str, seconds: float, now: datetime
) -> GateReport:
    """The verdict and its basis: steps, claims, sandbox, tools, environment."""
    verdicts = {claim: finding.verdict for claim, finding in verification.findings.items()}
    attestations = compared(verification.attestations, verdicts)
    installed = lean.lean_prefix()
    unavailable = sandbox.unavailable()
    return GateReport(
        status=status,
        label=_LABELS[status],
        definition=_DEFINITIONS[status],
        reason=reason,
        evaluated_at=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        gate="Gate 2 - Verification (formal proof or sandbox reproduction)",
        enforcement="`tarazu record verify` exits with 0 only for VERIFIED. Anyone can run it.",
        manifest=verification.record.digest,
        signed_by=verification.signed_by,
        attestations=tuple(entries(attestations, verification.signed_by, verification.trusted)),
        plan=plan_digest(verification.record),
        plan_signed_by=verification.plan_signed_by,
        intact=not verification.defects,
        defects=tuple(verification.defects),
        depth=verification.depth,
        promise=PROMISE,
        scripts=verification.scripts,
        unmade=verification.unmade,
        same_text=verification.same_text,
        steps=tuple(verification.steps),
        claims=tuple(
            verification.findings[claim.id]
            for claim in verification.record.claims.claims
            if claim.id in verification.findings
        ),
        sandbox={"unavailable": unavailable} if unavailable else sandbox.versions(),
        tools={"tarazu": tarazu.__version__, **smt.versions(), "lean": installed[1] if installed else None},
        environment=GateEnvironment(versions=versions()),
        seconds=round(seconds, 3),
    )


# --- this environment and the one that computed the results --------------------------------------


def environment_differences(there: Environment, *, hardware: bool) -> list[str]:
    """How this environment differs from the one that computed the results: for each name, the version there and here.

    `hardware` compares the machine too (which loads torch).
    """
    differences = []
    installed = versions()
    for name, version in sorted(there.versions.items()):
        other = installed.get(name)
        if other != version:
            differences.append(f"{name} {version} there, {other or 'not installed'} here")
    machine = hardware_here() if hardware else {}
    for name in _HARDWARE if hardware else ():
        if name in there.hardware and there.hardware[name] != machine.get(name):
            differences.append(f"{name} {there.hardware[name]} there, {machine.get(name)} here")
    return differences

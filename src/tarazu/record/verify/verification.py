"""One verification of a record: its findings so far, the verdict that follows from them, and gate.json."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal

import tarazu
from tarazu.record.claims.findings import Finding
from tarazu.record.claims.mathematics import lean, smt
from tarazu.record.claims.shipped import shipped_proofs
from tarazu.record.manifest import Environment
from tarazu.record.model import Depth, EmpiricalClaim, MathematicalClaim
from tarazu.record.reading import Record
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
Status = Literal["UNVERIFIED", "VERIFIED", "FALSIFIED"]
_LABELS: Final[dict[Status, str]] = {"VERIFIED": "Verified", "FALSIFIED": "Falsified", "UNVERIFIED": "Unverified"}
_DEFINITIONS: Final[dict[Status, str]] = {
    "VERIFIED": "Run again in a sealed sandbox, the record gives what it claims, and nothing that it claims failed.",
    "FALSIFIED": "Run again in a sealed sandbox, the record contradicts something that it claims.",
    "UNVERIFIED": "Not all that the record claims could be checked; this says nothing against it.",
}
_HARDWARE = ("machine", "processor", "cores", "accelerators")


class Verification:
    """A record on its way through the gate: the depth, the findings so far and an account of the steps.

    `contradiction`: where results.json is not what the script gives; `elsewhere`: how the environment that it was made
    in differs from this one.
    """

    def __init__(self, record: Record, depth: Depth, say: Callable[[str], None]) -> None:
        self.record, self.depth, self._say = record, depth, say
        self.steps: list[dict[str, Any]] = []
        self.defects: list[str] = []
        self.signed_by: str | None = None
        self.findings: dict[str, Finding] = {}
        self.contradiction: str | None = None
        self.elsewhere = ""

    @contextmanager
    def step(self, number: int) -> Iterator[list[str]]:
        """Time step `number`; the last of the lines that its body appends is its outcome."""
        start, lines = time.monotonic(), list[str]()
        yield lines
        outcome = lines[-1] if lines else "nothing to do"
        self.steps.append(
            {
                "step": number,
                "name": STEPS[number - 1],
                "outcome": outcome,
                "seconds": round(time.monotonic() - start, 3),
            }
        )
        self._say(f"{number:2}. {STEPS[number - 1]}: {outcome}")

    def claims(self, kind: type[Any]) -> list[Any]:
        return [claim for claim in self.record.claims.claims if isinstance(claim, kind)]

    def note(self, found: Sequence[Finding]) -> None:
        self.findings |= {finding.id: finding for finding in found}


def verdict(verification: Verification) -> tuple[Status, str]:
    """The status that follows from defects and findings, and its reason in one line."""
    if verification.defects:
        more = f" (and {len(verification.defects) - 1} more)" if len(verification.defects) > 1 else ""
        return "UNVERIFIED", f"nothing was run: {verification.defects[0]}{more}"
    findings = list(verification.findings.values())
    counts = Counter(one.verdict for one in findings)
    executable = [one for one in findings if one.kind != "source_grounded"]
    if failed := [one for one in executable if one.verdict == "failed"]:
        return "FALSIFIED", f"{len(failed)} of {len(findings)} claims failed: {failed[0].id}: {failed[0].reason}"
    if verification.contradiction and not verification.elsewhere:
        return "FALSIFIED", verification.contradiction
    for kind, words in (("failed", "failed"), ("vacuous", "say nothing"), ("not_run", "could not be checked")):
        if some := [one for one in findings if one.verdict == kind]:
            return "UNVERIFIED", f"{len(some)} of {len(findings)} claims {words}: {some[0].id}: {some[0].reason}"
    if verification.contradiction:
        return "UNVERIFIED", f"{verification.contradiction}, in another environment ({verification.elsewhere})"
    general = {(proof.claim.lean, proof.claim.smt) for proof in shipped_proofs()}
    own = [claim for claim in verification.claims(MathematicalClaim) if (claim.lean, claim.smt) not in general]
    if not verification.claims(EmpiricalClaim) and not own:
        return "UNVERIFIED", "no claim about this study was computed: quotations and general facts are not enough"
    return "VERIFIED", f"all {counts['verified']} claims hold, run again from depth {verification.depth}"


def gate_json(verification: Verification, status: Status, reason: str, seconds: float, now: datetime) -> dict[str, Any]:
    """gate.json: gate-verdict-v1, and what it rests on: steps, claims, sandbox, tools, environment."""
    installed = lean.lean_prefix()
    return {
        "contract": "gate-verdict-v1",
        "status": status,
        "label": _LABELS[status],
        "definition": _DEFINITIONS[status],
        "reason": reason,
        "evaluated_at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "gate": "Gate 2 - Verification (formal proof or sandbox reproduction)",
        "enforcement": "`tarazu record verify` exits with 0 for VERIFIED only; anyone can run it.",
        "manifest": verification.record.digest,
        "signed_by": verification.signed_by,
        "intact": not verification.defects,
        "defects": verification.defects,
        "depth": verification.depth,
        "steps": verification.steps,
        "claims": [
            verification.findings[claim.id].to_dict()
            for claim in verification.record.claims.claims
            if claim.id in verification.findings
        ],
        "sandbox": {"unavailable": sandbox.unavailable()} if sandbox.unavailable() else sandbox.versions(),
        "tools": {"tarazu": tarazu.__version__, **smt.versions(), "lean": installed[1] if installed else None},
        "environment": here(hardware=False),
        "seconds": round(seconds, 3),
    }


# --- where it runs, beside where the results were made -------------------------------------------


def here(*, hardware: bool) -> dict[str, Any]:
    """Versions and, where asked for (it loads torch), hardware of this machine."""
    return {"versions": versions(), **({"hardware": hardware_here()} if hardware else {})}


def differences(there: Environment, now: dict[str, Any]) -> list[str]:
    """What is not the same here as where the results were made, by name: version there, version here. Hardware is
    compared where `now` has it."""
    found = []
    for name, version in sorted(there.versions.items()):
        other = now["versions"].get(name)
        if other != version:
            found.append(f"{name} {version} there, {other or 'not installed'} here")
    for name in _HARDWARE if "hardware" in now else ():
        if name in there.hardware and there.hardware[name] != now["hardware"].get(name):
            found.append(f"{name} {there.hardware[name]} there, {now['hardware'].get(name)} here")
    return found

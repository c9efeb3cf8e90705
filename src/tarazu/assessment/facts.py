"""The public facts that an assessment is made of, and values of results.json that may be a stranger's.

A record's results.json is checked for its schema's name only, so nothing here trusts its shape: what is not there, or
is of another type, is None, an empty mapping or an empty list.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

from pydantic import Field, ValidationError

from tarazu.errors import BadInput
from tarazu.readers import read_json
from tarazu.record.claims.findings import ClaimVerdict
from tarazu.record.claims.shipped import shipped_proofs
from tarazu.record.contracts import CorrectionEvent, GateVerdict, Output
from tarazu.record.corrections import BrokenChain, read_events
from tarazu.record.model import Claim, Depth, EmpiricalClaim, Lean, MathematicalClaim, Smt, SourceClaim
from tarazu.record.reading import Defect, Record, check_artifacts, validation_message

GATE: Final = "gate.json"
RATES: Final = ("HmR", "HpR", "CAS")
_LARGEST: Final = 1e12
"""A number past it is no rate, count or estimate of a study."""


class GateFinding(Output):
    """What gate.json says of a claim."""

    id: str
    verdict: ClaimVerdict
    reason: str
    by: tuple[str, ...] = ()


class Gate(GateVerdict):
    """gate.json as an assessment and a page read it."""

    manifest: str = Field(description="Digest of the manifest that the gate saw.")
    depth: Depth
    intact: bool
    claims: tuple[GateFinding, ...]
    tools: dict[str, Any] = Field(default_factory=dict)
    signed_by: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A record, what its files are against the manifest, its corrections, and the gate's verdict on this manifest.

    `chain` says why the corrections are not those of the manifest; None where they are. `gate` is None where the gate
    has not run, or ran on another manifest: then `stale` is true.
    """

    record: Record
    defects: tuple[Defect, ...]
    events: tuple[CorrectionEvent, ...]
    chain: str | None
    gate: Gate | None
    stale: bool

    @property
    def intact(self) -> bool:
        """Whether every file is as the manifest says, and the corrections end where it says."""
        return not self.defects and self.chain is None and (self.gate is None or self.gate.intact)

    @property
    def status(self) -> str:
        """The gate's status; UNVERIFIED where it has not run."""
        return self.gate.status if self.gate is not None else "UNVERIFIED"

    @property
    def claims(self) -> tuple[Claim, ...]:
        return self.record.claims.claims

    @cached_property
    def findings(self) -> dict[str, GateFinding]:
        """The gate's findings by claim."""
        return {} if self.gate is None else {finding.id: finding for finding in self.gate.claims}

    def verdict(self, claim: Claim) -> ClaimVerdict:
        found = self.findings.get(claim.id)
        return "not_run" if found is None else found.verdict

    @cached_property
    def own(self) -> tuple[Claim, ...]:
        """Claims about this work: all but the package's own theorems, which hold of any."""
        return tuple(
            claim
            for claim in self.claims
            if not isinstance(claim, MathematicalClaim) or (claim.lean, claim.smt) not in _general_proofs()
        )

    @cached_property
    def verified(self) -> tuple[Claim, ...]:
        """Claims about this work that the gate verified. A quotation that stands in its document is not among them:
        that it was said is verified, not that it is so."""
        return tuple(
            claim
            for claim in self.own
            if not isinstance(claim, SourceClaim) and self.intact and self.verdict(claim) == "verified"
        )

    @property
    def results(self) -> dict[str, Any]:
        return self.record.results

    @property
    def empirical(self) -> tuple[EmpiricalClaim, ...]:
        return tuple(claim for claim in self.claims if isinstance(claim, EmpiricalClaim))

    @property
    def sources(self) -> tuple[SourceClaim, ...]:
        return tuple(claim for claim in self.claims if isinstance(claim, SourceClaim))


@cache
def _general_proofs() -> frozenset[tuple[Lean | None, Smt | None]]:
    return frozenset((proof.claim.lean, proof.claim.smt) for proof in shipped_proofs())


def read_facts(record: Record) -> Facts:
    """Digests, corrections and gate.json of a record; nothing of it is executed. Reads every file once.

    Raises BadInput for a gate.json that is none.
    """
    events: tuple[CorrectionEvent, ...] = ()
    chain = None
    try:
        events = read_events(record)
    except BrokenChain as error:
        chain = str(error)
    gate = _gate(record)
    stale = gate is not None and gate.manifest != record.digest
    return Facts(
        record=record,
        defects=tuple(check_artifacts(record)),
        events=events,
        chain=chain,
        gate=None if stale else gate,
        stale=stale,
    )


def _gate(record: Record) -> Gate | None:
    if GATE not in record.files:
        return None
    path = record.path / GATE
    try:
        return Gate.model_validate(read_json(path))
    except ValidationError as error:
        raise BadInput(f"{path}: {validation_message(error)}; run `tarazu record verify` again") from None


# --- results.json, whatever it holds --------------------------------------------------------------


def place(results: Any, *keys: str) -> Any:
    """What stands at `keys`; None where nothing does."""
    for key in keys:
        if not isinstance(results, dict):
            return None
        results = results.get(key)
    return results


def mapping(results: Any, *keys: str) -> dict[str, Any]:
    found = place(results, *keys)
    return found if isinstance(found, dict) else {}


def rows(results: Any, *keys: str) -> list[dict[str, Any]]:
    """The objects of the list at `keys`."""
    found = place(results, *keys)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def number(results: Any, *keys: str) -> float | None:
    found = place(results, *keys)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return float(found) if abs(found) < _LARGEST else None


def text(results: Any, *keys: str) -> str | None:
    found = place(results, *keys)
    return found if isinstance(found, str) else None


def overlap_checked(results: Any) -> bool:
    """Whether the pairs that arms were trained on, the study's or an arm's own, were compared with its prompts."""
    data = mapping(results, "data")
    return place(data, "overlap") is not None or bool(mapping(data, "arm_pairs"))


def arm_rates(results: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(arm, rate, entry) of every rate over languages that has a value."""
    for arm, entry in sorted(mapping(results, "arms").items()):
        for rate in RATES:
            found = mapping(entry, rate)
            if number(found, "value") is not None:
                yield arm, rate, found


def has_interval(entry: Any, value: str = "value") -> bool:
    """Whether an entry has a value and an interval that holds it."""
    low, middle, high = (number(entry, key) for key in ("ci_low", value, "ci_high"))
    return low is not None and middle is not None and high is not None and low <= middle <= high

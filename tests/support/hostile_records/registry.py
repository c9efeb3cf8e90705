"""What a hostile record is, how it is made, and what must come of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gate_records import reseal

from tarazu.errors import BadInput
from tarazu.record.model import Depth
from tarazu.record.verify.gate import verify

Outcome = Literal["UNVERIFIED", "FALSIFIED", "BAD INPUT", "VERIFIED"]
"""VERIFIED is for records beside the hostile ones: honest ones of the same form, which must not be refused."""


@dataclass(frozen=True)
class HostileRecord:
    """`build(honest, out)` makes the record `out` from a copy of the record `honest`, which `base` names: one with
    drafted claims, or an import with one claim and one quotation.

    `attack` is the attack's number in docs/threats.md. `reason` is part of the verdict's reason, or of the error.
    """

    name: str
    attack: int
    build: Callable[[Path, Path], None]
    outcome: Outcome
    reason: str = ""
    base: Literal["drafted", "imported"] = "imported"
    depth: Depth = "analysis"


class Registry:
    """The hostile records of one module, in the order of their definitions."""

    def __init__(self) -> None:
        self.records: list[HostileRecord] = []

    def add(
        self,
        attack: int,
        outcome: Outcome,
        reason: str = "",
        *,
        base: Literal["drafted", "imported"] = "imported",
        depth: Depth = "analysis",
    ) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
        """Register a function that spoils a copy of an honest record in place. Then sizes and digests in its manifest
        are made anew, as any author can."""

        def register(spoil: Callable[[Path], None]) -> Callable[[Path], None]:
            def build(honest: Path, out: Path) -> None:
                shutil.copytree(honest, out)
                spoil(out)
                reseal(out)

            name = spoil.__name__.replace("_", "-")
            self.records.append(HostileRecord(name, attack, build, outcome, reason, base, depth))
            return spoil

        return register


@dataclass(frozen=True)
class GateOutcome:
    """What the gate says of a record: its status and reason, or BAD INPUT and the error."""

    status: str
    reason: str


def outcome_of(record: Path, depth: Depth = "analysis") -> GateOutcome:
    try:
        report = verify(record, depth=depth)
    except BadInput as error:
        return GateOutcome("BAD INPUT", str(error))
    return GateOutcome(report.status, report.reason)

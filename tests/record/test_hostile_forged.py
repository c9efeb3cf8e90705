"""Every record that says what its scores do not is refused, for the right reason; docs/threats.md lists the attacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from gate_records import drafted_record, imported_record, share_sealed_work
from hostile_records.forged import HOSTILE
from hostile_records.registry import HostileRecord, outcome_of


@pytest.mark.parametrize("hostile", HOSTILE.records, ids=lambda hostile: hostile.name)
def test_forged_records_are_refused(hostile: HostileRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    honest = (drafted_record if hostile.base == "drafted" else imported_record)(tmp_path)
    hostile.build(honest, tmp_path / "hostile")
    outcome = outcome_of(tmp_path / "hostile", hostile.depth)
    assert outcome.status == hostile.outcome, outcome
    assert hostile.reason in outcome.reason

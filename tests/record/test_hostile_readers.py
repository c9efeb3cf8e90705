"""Records that would mislead readers of their files are refused, for the right reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from gate_records import imported_record, share_sealed_work
from hostile_records.readers import HOSTILE
from hostile_records.registry import HostileRecord, outcome_of


@pytest.mark.parametrize("hostile", HOSTILE.records, ids=lambda hostile: hostile.name)
def test_misleading_records_are_refused(
    hostile: HostileRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_sealed_work(monkeypatch)
    hostile.build(imported_record(tmp_path), tmp_path / "hostile")
    outcome = outcome_of(tmp_path / "hostile")
    assert outcome.status == hostile.outcome, outcome
    assert hostile.reason in outcome.reason

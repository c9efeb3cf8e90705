"""Records that ask for more than is allowed are refused in seconds, by the gate and by every other reader."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from gate_records import imported_record, share_sealed_work
from hostile_records.registry import HostileRecord, outcome_of
from hostile_records.resources import HOSTILE

from tarazu.cli import main
from tarazu.record.verify import gate


@pytest.mark.parametrize("hostile", HOSTILE.records, ids=lambda hostile: hostile.name)
def test_records_that_ask_for_too_much_are_refused(
    hostile: HostileRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    share_sealed_work(monkeypatch)
    hostile.build(imported_record(tmp_path), tmp_path / "records" / "hostile")
    start = time.monotonic()
    outcome = outcome_of(tmp_path / "records" / "hostile", hostile.depth)
    assert outcome.status == hostile.outcome, outcome
    assert re.search(hostile.reason.replace("*", r"\*"), outcome.reason), outcome
    # Other readers end as soon, with one line where they refuse.
    for arguments in (["record", "show"], ["record", "assess"]):
        code = main([*arguments, str(tmp_path / "records" / "hostile")])
        assert code == 0 or (code == 2 and len(capsys.readouterr().err.splitlines()) == 1)
    assert main(["site", "build", str(tmp_path / "records"), "--out", str(tmp_path / "site")]) in (0, 1)
    assert time.monotonic() - start < 120


def test_claims_are_judged_as_far_as_the_time_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = imported_record(tmp_path)
    assert outcome_of(record).status == "VERIFIED"
    monkeypatch.setattr(gate, "SECONDS_FOR_CLAIMS", 0)
    outcome = outcome_of(record)
    assert outcome.status == "UNVERIFIED" and "the 0 s for all claims were used up" in outcome.reason

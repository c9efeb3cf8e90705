"""No spoilt file gives a traceback, takes long or needs much memory: `make test` tries some, `make proof` 20,000."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import pytest
from spoilt import Report, honest, run_command, share_work, spoilt_bytes, spoilt_value, try_spoilt, unchanged

SECONDS, MIB = 10.0, 1024
PARTS = 20


def spoil(folder: Path, monkeypatch: pytest.MonkeyPatch, *, seed: int, numbers: range, every: bool) -> Report:
    share_work(monkeypatch, folder)
    source = honest(folder)
    same = unchanged(source)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    report = try_spoilt(source, folder, seed=seed, numbers=numbers, every=every)
    print(f"\n{dict(sorted(report.ends.items()))}; slowest {report.slowest}; {report.mib} MiB, {before} before")
    assert report.faults == [], f"{len(report.faults)} faults:\n" + "\n".join(report.faults[:20])
    assert report.slowest[0] < SECONDS, report.slowest
    assert report.mib < before + MIB
    assert same()
    return report


def test_a_sample_of_spoilt_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = spoil(tmp_path, monkeypatch, seed=1, numbers=range(200), every=False)
    # Each command is tried, and most of what is spoilt is noticed.
    assert {end.rpartition(" ")[0] for end in report.ends} == {"show", "verify", "assess", "import", "site build"}
    assert report.ends["show 2"] > 10 and report.ends["verify 1"] + report.ends["verify 2"] > 10


@pytest.mark.proof
@pytest.mark.parametrize("part", range(PARTS))
def test_twenty_thousand_spoilt_files(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(tmp_path, monkeypatch, seed=2, numbers=range(1000 * part, 1000 * (part + 1)), every=True)


def test_faults_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: a command that raises, or says too much, is a fault."""
    import spoilt

    monkeypatch.setattr(spoilt, "main", lambda arguments: 1 // 0)
    assert "ZeroDivisionError" in run_command([])[1]
    monkeypatch.setattr(spoilt, "main", lambda arguments: 3)
    assert run_command([])[1] == "exit code 3"
    monkeypatch.setattr(spoilt, "main", lambda arguments: 2)
    assert "not one plain line" in run_command([])[1]


def test_files_are_spoilt() -> None:
    rng = random.Random(1)
    assert sum(spoilt_bytes(rng, b'{"a": [1, 2, 3]}') != b'{"a": [1, 2, 3]}' for _ in range(200)) > 180
    assert sum(spoilt_value(rng, {"a": [1, 2, 3]}) != {"a": [1, 2, 3]} for _ in range(200)) > 150

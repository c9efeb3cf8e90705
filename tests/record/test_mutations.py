"""Every spoilt record is refused, half of them sealed again; no unchanged one is. A sample in `make test`, 1,000 in
`make proof`."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from gate_records import drafted_record, reseal, share_sealed_work
from mutations import spoil

from tarazu.errors import BadInput
from tarazu.record.corrections import correct
from tarazu.record.reading import read_record
from tarazu.record.verify.gate import verify


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record with drafted claims, the package's proofs, and two corrections."""
    share_sealed_work(monkeypatch)
    made = drafted_record(tmp_path)
    correct(made, kind="METADATA", note="A first correction.", fields=["work.title"])
    correct(made, kind="ARTIFACT", note="A second correction.", fields=["report.html"])
    return made


def gate_of(record: Path, digest: str | None = None) -> str:
    """The gate's status; records that cannot be read at all are refused before it."""
    try:
        found: dict[str, Any] = verify(record, digest=digest)
    except BadInput:
        return "BAD INPUT"
    return str(found["status"])


def refused(record: Path, folder: Path, *, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """Gate statuses of `count` spoilt copies, every second one sealed again, and the changes that passed."""
    statuses, passed = Counter[str](), []
    for number in range(count):
        copy = Path(shutil.copytree(record, folder / "spoilt"))
        resealed = number % 2 == 1
        told = spoil(random.Random(f"{seed} {number}"), copy, resealed=resealed)
        status = gate_of(copy)
        statuses[f"{'sealed again' if resealed else 'as it lies'}: {status}"] += 1
        if status == "VERIFIED":
            passed.append(f"{number}, {'sealed again' if resealed else 'as it lies'}: {told}")
        shutil.rmtree(copy)
    return statuses, passed


def test_spoilt_records_are_refused_and_whole_ones_are_not(record: Path, tmp_path: Path) -> None:
    assert gate_of(record) == "VERIFIED"
    statuses, passed = refused(record, tmp_path, seed=1, count=60)
    assert passed == []
    assert sum(statuses.values()) == 60 and statuses["sealed again: FALSIFIED"] > 5
    assert gate_of(record) == "VERIFIED"


@pytest.mark.proof
def test_a_thousand_spoilt_records_are_refused(record: Path, tmp_path: Path) -> None:
    assert gate_of(record) == "VERIFIED"
    statuses, passed = refused(record, tmp_path, seed=2, count=1000)
    print()
    for status, count in sorted(statuses.items()):
        print(f"{count:4} {status}")
    assert passed == [] and sum(statuses.values()) == 1000
    assert all(gate_of(record) == "VERIFIED" for _ in range(10))


@pytest.mark.proof
def test_other_scores_under_new_seals_fall_to_the_rerun(record: Path, tmp_path: Path) -> None:
    for number in range(3):
        copy = Path(shutil.copytree(record, tmp_path / f"scores-{number}"))
        table = pq.read_table(copy / "scores.parquet")
        row = random.Random(number).randrange(table.num_rows)
        rewards = table.column("reward").to_pylist()
        rewards[row] = 9.0 if rewards[row] < -2 else -9.0
        column = table.column_names.index("reward")
        pq.write_table(table.set_column(column, "reward", [rewards]), copy / "scores.parquet")
        reseal(copy)
        assert gate_of(copy) == "FALSIFIED"


def test_what_new_seals_can_hide_falls_to_the_digest(record: Path, tmp_path: Path) -> None:
    # The list in docs/records.md: without a digest or a signature, these pass.
    digest = read_record(record).digest

    def words(copy: Path) -> None:
        (copy / "report.html").write_text("a better story", encoding="utf-8")

    def statement(copy: Path) -> None:
        path = copy / "claims.json"
        path.write_text(path.read_text(encoding="utf-8").replace("HmR of base is", "HmR of sft is"), encoding="utf-8")

    def history(copy: Path) -> None:
        shutil.rmtree(copy / "superseded")
        (copy / "corrections.jsonl").write_text("", encoding="utf-8")
        path = copy / "manifest.json"
        head = read_record(copy).manifest.corrections.head
        text = (
            path.read_text(encoding="utf-8")
            .replace('"count": 2', '"count": 0')
            .replace(f'"head": "{head}"', '"head": null')
        )
        path.write_text(text, encoding="utf-8")

    for hidden in (words, statement, history):
        copy = Path(shutil.copytree(record, tmp_path / hidden.__name__))
        hidden(copy)
        reseal(copy)
        assert gate_of(copy) == "VERIFIED", hidden.__name__
        assert gate_of(copy, digest) == "UNVERIFIED", hidden.__name__
    assert gate_of(record, digest) == "VERIFIED"

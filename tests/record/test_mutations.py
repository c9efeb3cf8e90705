"""Every tampered record is refused, even with recomputed digests, and unchanged records are not.

`make test` tries a sample, and `make proof` tries 1,000 records.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from gate_records import drafted_record, reseal, share_sealed_work
from mutations import tamper

from tarazu.errors import BadInput
from tarazu.record.corrections import correct
from tarazu.record.reading import read_record
from tarazu.record.verify.gate import verify


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record with drafted claims, the package's proofs and two corrections."""
    share_sealed_work(monkeypatch)
    record = drafted_record(tmp_path)
    correct(record, kind="METADATA", note="A first correction.", fields=["work.title"])
    correct(record, kind="ARTIFACT", note="A second correction.", fields=["report.html"])
    return record


def gate_of(record: Path, digest: str | None = None) -> str:
    """The gate's status. Records that cannot be read are refused before it."""
    try:
        return verify(record, digest=digest).status
    except BadInput:
        return "BAD INPUT"


def try_tampering(record: Path, folder: Path, *, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """Gate statuses of `count` tampered copies, half of them with recomputed digests, and the changes that passed."""
    statuses, passed = Counter[str](), []
    for number in range(count):
        copy = Path(shutil.copytree(record, folder / "tampered"))
        resealed = number % 2 == 1
        change = tamper(random.Random(f"{seed} {number}"), copy, resealed=resealed)
        status = gate_of(copy)
        statuses[f"{'digests recomputed' if resealed else 'digests kept'}: {status}"] += 1
        if status == "VERIFIED":
            passed.append(f"{number}, {'digests recomputed' if resealed else 'digests kept'}: {change}")
        shutil.rmtree(copy)
    return statuses, passed


def test_tampered_records_are_refused_and_unchanged_ones_are_not(record: Path, tmp_path: Path) -> None:
    assert gate_of(record) == "VERIFIED"
    statuses, passed = try_tampering(record, tmp_path, seed=1, count=60)
    assert passed == []
    assert sum(statuses.values()) == 60 and statuses["digests recomputed: FALSIFIED"] > 5
    assert gate_of(record) == "VERIFIED"


def try_compositions(record: Path, folder: Path, *, seed: int, count: int) -> list[str]:
    """The compositions of two to four changes, with digests recomputed after each, that the gate takes for VERIFIED."""
    passed = []
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        copy = Path(shutil.copytree(record, folder / "composed"))
        changes = [tamper(rng, copy, resealed=True) for _ in range(rng.randint(2, 4))]
        if gate_of(copy) == "VERIFIED":
            passed.append(f"{number}: {changes}")
        shutil.rmtree(copy)
    return passed


def test_compositions_of_changes_are_refused(record: Path, tmp_path: Path) -> None:
    assert gate_of(record) == "VERIFIED"
    assert try_compositions(record, tmp_path, seed=3, count=12) == []


@pytest.mark.proof
def test_three_hundred_compositions_are_refused(record: Path, tmp_path: Path) -> None:
    assert try_compositions(record, tmp_path, seed=4, count=300) == []


@pytest.mark.proof
def test_a_thousand_tampered_records_are_refused(record: Path, tmp_path: Path) -> None:
    assert gate_of(record) == "VERIFIED"
    statuses, passed = try_tampering(record, tmp_path, seed=2, count=1000)
    print()
    for status, count in sorted(statuses.items()):
        print(f"{count:4} {status}")
    assert passed == [] and sum(statuses.values()) == 1000
    assert all(gate_of(record) == "VERIFIED" for _ in range(10))


@pytest.mark.proof
def test_the_rerun_detects_changed_scores_with_recomputed_digests(record: Path, tmp_path: Path) -> None:
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


def test_the_expected_digest_detects_what_recomputed_digests_hide(record: Path, tmp_path: Path) -> None:
    # docs/records.md lists these changes. They pass without an expected digest or a signature.
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

"""A hundred and thirty changes of an attested record: none leaves it at a level that it does not deserve.

Each has the outcome that follows from docs/records.md. `make test` tries every tenth, `make proof` all.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from attestation_mutations import Attested, Mutation
from attestation_situations import ATTESTATION_MUTATIONS, numbers
from attesting import from_training, named, new_key, put
from gate_records import drafted_record, share_sealed_work
from planned_study import planned_records

from tarazu.assessment.assess import assess
from tarazu.assessment.facts import read_facts
from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.record.attestation.collected import TrustedSigner
from tarazu.record.reading import read_record
from tarazu.record.signing import sign as sign_record
from tarazu.record.verify.gate import verify


@pytest.fixture
def attested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attested:
    """A record that its author signed, that the gate found VERIFIED, and that a second key attests from training."""
    share_sealed_work(monkeypatch)
    for seed, name in enumerate(("author", "second", "third"), 1):
        new_key(tmp_path / f"{name}.pem", seed)
    record = drafted_record(tmp_path)
    sign_record(read_record(record), tmp_path / "author.pem")
    report = verify(record)
    second = tmp_path / "second.pem"
    file = put(record, from_training(report, second), second)
    verify(record)
    return Attested(record=record, file=file, report=report, keys=tmp_path, rng=numbers(""))


def trusted(keys: Path) -> tuple[TrustedSigner, ...]:
    """The worst case: a reader who knows both keys, the author's too."""
    return named("A lab elsewhere", keys / "second.pem"), named("The author", keys / "author.pem")


def level(record: Path, keys: Path) -> int:
    return assess(read_facts(read_record(record), trusted(keys))).verification_levels.paper_level


def outcome(one: Attested) -> str:
    """What the gate and the levels make of a record, before the gate runs again and after it."""
    try:
        before = level(one.record, one.keys)
        status = verify(one.record, trusted=trusted(one.keys)).status
        after = level(one.record, one.keys)
    except BadInput:
        return "bad input"
    if max(before, after) > 5:
        return f"L{before} before the gate, L{after} after it"
    return {("UNVERIFIED", 0): "refused", ("VERIFIED", 5): "lower"}.get((status, after), f"{status} at L{after}")


def try_all(base: Attested, mutations: Iterable[Mutation]) -> tuple[Counter[str], list[str]]:
    """The outcomes, and the changes whose outcome is another than it must be."""
    outcomes, wrong = Counter[str](), []
    for mutation in mutations:
        folder = base.keys / "copy"
        shutil.copytree(base.keys, folder, ignore=shutil.ignore_patterns("copy"))
        file = folder / base.file.relative_to(base.keys)
        rng = numbers(mutation.name)
        one = Attested(record=folder / "record", file=file, report=base.report, keys=folder, rng=rng)
        mutation.change(one)
        found = outcome(one)
        outcomes[found] += 1
        if found != mutation.outcome:
            wrong.append(f"{mutation.name}: {found}, not {mutation.outcome}")
        shutil.rmtree(folder)
    return outcomes, wrong


def test_every_tenth_change_of_an_attested_record(attested: Attested) -> None:
    assert level(attested.record, attested.keys) == 6  # unchanged
    outcomes, wrong = try_all(attested, ATTESTATION_MUTATIONS[::10])
    assert wrong == [] and outcomes["refused"] >= 5
    assert level(attested.record, attested.keys) == 6


@pytest.mark.proof
def test_every_change_of_an_attested_record(attested: Attested) -> None:
    assert len({mutation.name for mutation in ATTESTATION_MUTATIONS}) == 130
    outcomes, wrong = try_all(attested, ATTESTATION_MUTATIONS)
    print()
    for found, count in sorted(outcomes.items()):
        print(f"{count:4} {found}")
    assert wrong == []
    assert level(attested.record, attested.keys) == 6


@pytest.mark.proof
def test_a_real_rerun_from_responses_by_a_second_key_reaches_level_6(tmp_path: Path) -> None:
    """No written statement: `record attest` generates the responses again. By the author's key, it stays at L5."""
    keys = {name: new_key(tmp_path / f"{name}.pem", seed) for seed, name in enumerate(("author", "second"), 1)}
    for signer, reached in (("author", 5), ("second", 6)):
        record = Path(shutil.copytree(planned_records() / "confirmatory", tmp_path / signer / "record"))
        sign_record(read_record(record), keys["author"])
        command = ["record", "attest", str(record), "--key", str(keys[signer]), "--depth", "responses"]
        assert main(command) == 0
        assert verify(record, trusted=trusted(tmp_path)).status == "VERIFIED"
        assert level(record, tmp_path) == reached

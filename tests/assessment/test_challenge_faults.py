"""The planted faults: each is where its key says, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from gate_records import drafted_record, edit
from shared_folder import shared_folder

from tarazu.assessment.challenge.cases import make_cases
from tarazu.assessment.challenge.faults import FAULTS
from tarazu.assessment.challenge.paper import TEXTS, Paper, paper_of, write_record
from tarazu.assessment.challenge.prompt import prompt_of
from tarazu.errors import BadInput
from tarazu.record.model import Value
from tarazu.record.reading import Record, check_artifacts, read_record
from tarazu.record.signing import SIGNATURE


@cache
def record() -> Record:
    return read_record(drafted_record(shared_folder("challenged")))


def parts(paper: Paper) -> dict[str, object]:
    """Every place with what it says."""
    return {name: getattr(paper, name) for name in TEXTS} | {claim.id: claim for claim in paper.claims}


def line(paper: Paper, begins: str) -> str:
    """The line of the prompt about a place: what a language model sees of it."""
    return next((one for one in prompt_of(paper).splitlines() if one.startswith(begins)), "")


def test_there_are_fifty_and_ten_clean_ones() -> None:
    cases = make_cases(paper_of(record()), 0)
    assert len(FAULTS) == len({fault.id for fault in FAULTS}) == 50
    assert [case.kind for case in cases].count("clean") == 10 and len(cases) == 60
    assert {fault.kind for fault in FAULTS} == {"number", "vacuous", "wording", "text"}


def test_each_differs_from_the_record_at_its_place_alone() -> None:
    original = parts(paper_of(record()))
    for case in make_cases(paper_of(record()), 7):
        planted = parts(case.paper)
        if case.place is None:
            assert all(planted[name] == original[name] for name in planted), case.id
            continue
        changed = {name for name in planted.keys() | original.keys() if planted.get(name) != original.get(name)}
        assert changed == {case.place}, case.id
        assert case.place in case.paper.places
        words = f"{case.place}: "
        assert line(case.paper, words) != line(paper_of(record()), words), case.id


@pytest.mark.parametrize("kind", ["number", "wording"])
def test_values_contradict_the_results_or_agree_with_them(kind: str) -> None:
    document = json.loads((record().path / "results.json").read_text(encoding="utf-8"))
    for case in make_cases(paper_of(record()), 0):
        if case.kind != kind or case.place is None:
            continue
        check = case.paper.claim(case.place).check
        if isinstance(check, Value):
            value = document
            for step in check.pointer.split("/")[1:]:
                value = value[step]
            agrees = value == check.value
            assert agrees == (kind == "wording"), case.id


def test_the_written_copy_is_in_order_and_the_original_unchanged(tmp_path: Path) -> None:
    own = record()
    before = {path: (own.path / path).read_bytes() for path in own.files}
    case = make_cases(paper_of(own), 0)[0]
    copy = read_record(write_record(own, case.paper, tmp_path / "copy"))
    assert check_artifacts(copy) == [] and SIGNATURE not in copy.files
    assert paper_of(copy) == case.paper
    assert before == {path: (own.path / path).read_bytes() for path in read_record(own.path).files}


def test_the_seed_decides_the_order_alone() -> None:
    one, again, other = (make_cases(paper_of(record()), seed) for seed in (1, 1, 2))
    assert one == again != other
    unordered = [[(case.id, case.place, parts(case.paper)) for case in cases if case.place] for cases in (one, other)]
    assert unordered[0] == unordered[1]
    assert [case.id for case in make_cases(paper_of(record()), 0, 5)][-1] == "clean-1"


def test_a_record_that_lacks_what_a_fault_needs_is_refused() -> None:
    paper = paper_of(record())
    without = replace(paper, claims=tuple(claim for claim in paper.claims if claim.id != "primary-p"))
    with pytest.raises(BadInput, match="the fault p-value needs the claim primary-p, which this record does not have"):
        make_cases(without, 0)


def test_a_changed_record_is_refused(tmp_path: Path) -> None:
    changed = drafted_record(tmp_path)
    edit(changed / "results.json", lambda results: results.update(sentence="Better."))
    with pytest.raises(BadInput, match="results.json"):
        paper_of(read_record(changed))

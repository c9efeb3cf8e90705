"""More than a hundred changes of a preregistered record: none leaves it VERIFIED and confirmatory.

Each has the outcome that follows from docs/preregistration.md. `make test` tries a few, `make proof` all.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from gate_records import share_sealed_work
from plan_mutations import PlanMutation
from plan_situations import PLAN_MUTATIONS
from planned_study import planned_records

from tarazu.assessment.caps import caps
from tarazu.errors import BadInput
from tarazu.record.reading import read_record
from tarazu.record.verify.gate import verify

FEW = (
    "threshold of harmlessness: alone",
    "date: and the manifest",
    "margin: everything",
    "signature: zeros",
    "signature: made for a record",
    "hidden: plan under another name",
    "hidden: results without it",
    "responses without the plan's mark, honestly",
)
"""Of every kind; those that need an analysis of their own take a second or two."""


@pytest.fixture(autouse=True)
def _share(monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)


def outcome(record: Path) -> str:
    try:
        report = verify(record)
    except BadInput:
        return "bad input"
    if report.status != "VERIFIED":
        return {"UNVERIFIED": "refused", "FALSIFIED": "falsified"}[report.status]
    section = json.loads((record / "results.json").read_text(encoding="utf-8")).get("preregistration")
    if section is not None and section["status"] == "confirmatory":
        return "VERIFIED and confirmatory"
    assert "exploratory" in {cap.id for cap in caps(read_record(record))}
    return "exploratory"


def try_all(folder: Path, mutations: Iterable[PlanMutation]) -> tuple[Counter[str], list[str]]:
    """The outcomes, and the changes whose outcome is another than it must be."""
    outcomes, wrong = Counter[str](), []
    for mutation in mutations:
        record = Path(shutil.copytree(planned_records() / mutation.base, folder / "copy" / "record"))
        mutation.change(record)
        found = outcome(record)
        outcomes[found] += 1
        if found != mutation.outcome:
            wrong.append(f"{mutation.name}: {found}, not {mutation.outcome}")
        shutil.rmtree(folder / "copy")
    return outcomes, wrong


def test_a_few_changes_of_a_plan(tmp_path: Path) -> None:
    few = [mutation for mutation in PLAN_MUTATIONS if mutation.name in FEW]
    assert len(few) == len(FEW)
    outcomes, wrong = try_all(tmp_path, few)
    assert wrong == [] and set(outcomes) == {"bad input", "refused", "falsified", "exploratory"}


@pytest.mark.proof
def test_every_change_of_a_plan(tmp_path: Path) -> None:
    assert outcome(Path(shutil.copytree(planned_records() / "confirmatory", tmp_path / "record"))) == (
        "VERIFIED and confirmatory"
    )
    names = {mutation.name for mutation in PLAN_MUTATIONS}
    assert len(names) == len(PLAN_MUTATIONS) >= 100
    outcomes, wrong = try_all(tmp_path, PLAN_MUTATIONS)
    print()
    for found, count in sorted(outcomes.items()):
        print(f"{count:4} {found}")
    assert wrong == []

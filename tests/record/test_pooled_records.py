"""A record of several runs pooled: the gate analyses each run from its scores, and pools the answers itself."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from gate_records import edit, reseal, share_sealed_work
from made_up_scores import random_rows, write_csv
from shared_folder import shared_folder

from tarazu.assessment.assess import assess
from tarazu.assessment.facts import read_facts
from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.record.reading import read_record
from tarazu.record.verify.gate import verify
from tarazu.site.record_page import IN_RECORD, render_record

DATE = ["--date", "2026-11-26"]


@functools.cache
def made() -> Path:
    """A folder with three runs, their pool, and its record."""
    folder = shared_folder("pool")
    runs = []
    for seed in (1, 2, 3):
        table = write_csv(folder / f"{seed}.csv", random_rows(seed))
        runs.append(str(folder / f"model-{seed}"))
        assert main(["analyze", str(table), "--out", runs[-1], "--set", "analysis.draws=200"]) == 0
    assert main(["pool", *runs, "--out", str(folder / "pooled")]) == 0
    named = [argument for run in runs for argument in ("--run", run)]
    assert main(["record", "build", str(folder / "pooled"), *named, "--out", str(folder / "record"), *DATE]) == 0
    return folder


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    share_sealed_work(monkeypatch)
    return Path(shutil.copytree(made() / "record", tmp_path / "record"))


def test_a_pool_is_verified_from_the_scores_of_its_runs(record: Path) -> None:
    report = verify(record)
    assert report.status == "VERIFIED", report.reason
    by_id = {claim.id: claim for claim in report.claims}
    pool = json.loads((record / "pool.json").read_text(encoding="utf-8"))
    assert by_id["pooled-d"].verdict == "verified"
    assert by_id["pooled-d"].observed == pytest.approx(pool["pooled"]["estimate"], abs=1e-9)
    assert {by_id[name].verdict for name in by_id if name.startswith("pooled-")} <= {"verified", "context"}
    facts = read_facts(read_record(record))
    page = render_record(facts, assess(facts), IN_RECORD)
    plot = page[page.index("Several runs pooled") : page.index("All numbers of the pool")]
    assert plot.count("<svg") == 5 and "model-3" in plot and "a further model" in plot and " style=" not in plot
    assert pool["sentence"] in facts.record.manifest.work.abstract
    listed = {artifact.path: artifact.role for artifact in facts.record.manifest.artifacts}
    assert listed["pool.json"] == listed["runs/3/results.json"] == "results" and listed["pool.html"] == "report"
    assert listed["runs/2/scores.parquet"] == "scores" and list(facts.record.repro.depths) == ["analysis"]


def change_d(document: Any) -> None:
    document["pooled"]["estimate"] += 5


def rename(document: Any) -> None:
    document["runs"][1]["name"] = "another model"


def test_a_pool_that_its_runs_do_not_give_is_falsified(record: Path) -> None:
    edit(record / "pool.json", change_d)
    reseal(record)
    report = verify(record)
    assert report.status == "FALSIFIED", report.reason
    assert report.unmade[0].startswith("/pool/")
    facts = read_facts(read_record(record))
    assert "Several runs pooled" not in render_record(facts, assess(facts), IN_RECORD)


def claim_d(record: Path) -> None:
    """Claim what pool.json says."""
    estimate = json.loads((record / "pool.json").read_text(encoding="utf-8"))["pooled"]["estimate"]

    def change(document: Any) -> None:
        next(one for one in document["claims"] if one["id"] == "pooled-d")["check"]["value"] = estimate

    edit(record / "claims.json", change)


def test_a_claim_that_follows_a_made_up_pool_is_falsified(record: Path) -> None:
    edit(record / "pool.json", change_d)
    claim_d(record)
    reseal(record)
    report = verify(record)
    finding = next(claim for claim in report.claims if claim.id == "pooled-d")
    assert report.status == "FALSIFIED" and finding.verdict == "failed"


def test_results_of_another_run_are_not_taken_from_the_author(record: Path) -> None:
    def change(results: Any) -> None:
        results["tradeoff"]["primary"]["estimate"] += 5

    edit(record / "runs" / "2" / "results.json", change)
    reseal(record)
    report = verify(record)
    assert report.status == "FALSIFIED" and "/pool_runs/0/tradeoff/primary/estimate" in report.reason


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda record: (record / "runs/2/scores.parquet").unlink(), "runs/2/scores.parquet"),
        (lambda record: edit(record / "pool.json", lambda pool: pool["runs"].pop()), "pooled-d: computed"),
        (lambda record: edit(record / "pool.json", lambda pool: pool.update(runs=pool["runs"] * 9)), "27 runs"),
        (lambda record: edit(record / "pool.json", lambda pool: pool["runs"][0].update(name="model-2")), "names of"),
        (lambda record: edit(record / "pool.json", lambda pool: pool.update(more=1)), "pool.json"),
        (lambda record: edit(record / "pool.json", rename), "/pool/remarks"),
        (
            lambda record: shutil.copytree(record / "runs" / "2", record / "runs" / "3", dirs_exist_ok=True),
            "the runs cannot be pooled",
        ),
        (
            lambda record: edit(
                record / "repro" / "repro.json", lambda repro: repro["depths"]["analysis"]["inputs"].append("pool.json")
            ),
            "states what the re-run must compute itself",
        ),
    ],
)
def test_spoilt_pools(spoil: Any, reason: str, record: Path) -> None:
    spoil(record)
    try:
        reseal(record)
        report = verify(record)
    except (BadInput, FileNotFoundError) as error:
        assert reason in str(error)
    else:
        assert report.status != "VERIFIED" and reason in report.reason, report.reason


def test_a_pool_is_built_from_its_own_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made()
    runs = [str(folder / f"model-{seed}") for seed in (1, 2, 3)]
    build = ["record", "build", str(folder / "pooled"), "--out", str(tmp_path / "out"), *DATE]
    for given, reason in (
        ([], "name each of them with --run"),
        (runs[:2], "pools 3 runs, and 2 are given"),
        (runs[::-1], "is not the pool of these runs in this order"),
    ):
        capsys.readouterr()
        assert main([*build, *(argument for run in given for argument in ("--run", run))]) == 2
        errors = capsys.readouterr().err
        assert reason in errors and len(errors.splitlines()) == 1 and not (tmp_path / "out").exists()
    assert main(["record", "build", runs[0], "--run", runs[1], "--out", str(tmp_path / "out")]) == 2
    assert "has no pool.json" in capsys.readouterr().err

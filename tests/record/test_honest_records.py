"""No false alarm: records of honest studies of many shapes are VERIFIED."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import pytest
from gate_records import CITATION, share_sealed_work
from made_up_scores import HIGH, LOW, Row, random_rows

from tarazu.record.build.assemble import AuthorInput, build_from_run
from tarazu.record.verify.gate import verify
from tarazu.run.analyze import AnalysisOptions, analyze_file


def write(path: Path, rows: list[Row]) -> Path:
    columns = sorted({column for row in rows for column, value in row.items() if value is not None})
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    return path


def study_of(number: int, folder: Path) -> dict[str, Any]:
    """A table of scores of a random shape, the arms to compare, and known answers where it has some."""
    choose = random.Random(number)
    languages = (*choose.sample(HIGH, choose.randint(1, 6)), *choose.sample(LOW, choose.randint(1, 6)))
    arms = ("base", *choose.sample(("dpo", "sft", "Model-7B", "a b", "ß", "x_y.z"), choose.randint(1, 3)))
    rows = random_rows(number, languages, arms, choose.randint(6, 20))
    kinds = choose.choice((("harmful", "benign"), ("harmful", "benign"), ("harmful",), ("benign",)))
    rows = [row for row in rows if row["kind"] in kinds and choose.random() > choose.choice((0, 0, 0.05))]
    if choose.random() < 0.3:
        rows = [{**row, "reward": None, "label": int(row["reward"] > -2.5)} for row in rows]
    if choose.random() < 0.4:
        rows = [
            {**row, "prompt": f"Request {row['prompt_id']}?", "response": "I will help you. " * choose.randint(0, 4)}
            for row in rows
        ]
    known = None
    if choose.random() < 0.5:
        pairs = [(code, kind, choose.gauss(-1, 1), choose.gauss(-4, 1)) for code in languages for kind in kinds * 6]
        answers = [dict(zip(("language", "kind", "reward_good", "reward_bad"), pair, strict=True)) for pair in pairs]
        known = write(folder / "known.csv", answers)
    return {"scores": write(folder / "scores.csv", rows), "primary": arms[1], "known": known}


def is_verified(number: int, folder: Path) -> str | None:
    """What the gate says of the study's record other than VERIFIED."""
    folder.mkdir()
    study = study_of(number, folder)
    options = AnalysisOptions(overrides=["analysis.draws=100"], primary=study["primary"])
    results = analyze_file(study["scores"], options, out=folder / "run", known=study["known"])
    build_from_run(folder / "run", folder / "record", AuthorInput(citation=CITATION))
    report = verify(folder / "record")
    assert results.sentence
    return None if report.status == "VERIFIED" else f"{number}: {report.status}: {report.reason}"


def test_a_sample_of_honest_records_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    assert [wrong for number in range(2) if (wrong := is_verified(number, tmp_path / str(number)))] == []


@pytest.mark.proof
def test_two_hundred_honest_records_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    assert [wrong for number in range(200) if (wrong := is_verified(number, tmp_path / str(number)))] == []

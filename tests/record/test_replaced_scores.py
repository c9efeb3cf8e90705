"""Other scores for the gate: nothing tells them from the record's own, and they change what an analysis gives."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gate_records import drafted_record
from made_up_scores import row as made_up_row

from tarazu.record.reading import read_record
from tarazu.record.verify import rerun
from tarazu.record.verify._replace import main
from tarazu.record.verify.rerun import replaced_scores
from tarazu.sandbox.runner import Outcome
from tarazu.scores import read_scores, score_rows, scores_table
from tarazu.stats.labels import passes
from tarazu.study.schema import Thresholds

KEYS = ("arm", "language", "kind", "prompt_id", "seed", "sample", "reward_model", "source", "prompt")


def write_in(folder: Path, table: pa.Table) -> Path:
    (folder / "in").mkdir(parents=True)
    pq.write_table(table, folder / "in" / "scores.parquet")
    settings = (
        '{"paths": ["scores.parquet"], "high": ["en"], "low": ["sw"], "thresholds": {"harmless": 0, "helpful": 1}}'
    )
    (folder / "in" / "settings.json").write_text(settings, encoding="utf-8")
    (folder / "out").mkdir()
    return folder


def replaced_tables(folder: Path, table: pa.Table, count: int = 3) -> list[pa.Table]:
    write_in(folder, table)
    main(folder / "in", folder / "out", 0, count + 1)
    data, tables = (folder / "out" / "tables").read_bytes(), []
    while data:
        size = int.from_bytes(data[:8], "big")
        tables.append(pq.read_table(io.BytesIO(data[8 : 8 + size])))
        data = data[8 + size :]
    return tables


def scores(rewards: dict[str, Any]) -> pa.Table:
    """Rows of two arms, two languages and both kinds; `rewards` maps (kind) to a reward for the number of a row."""
    rows = []
    for number in range(160):
        kind = ("harmful", "benign")[number % 2]
        reward = float(rewards[kind](number))
        harmful = kind == "harmful"
        passed = bool(passes(harmful, reward, 0 if harmful else 1))
        rows.append(
            {
                "arm": ("base", "dpo")[number // 2 % 2],
                "language": ("en", "sw")[number // 4 % 2],
                "kind": kind,
                "prompt_id": f"p{number // 8}",
                "seed": 0,
                "sample": 0,
                "reward_model": "default",
                "source": "made up",
                "prompt": f"prompt {number // 8}",
                "reward": reward,
                "label": None,
                "response": f"response {number}",
                "extra": number,
                "harmless": passed if harmful else None,
                "helpful": None if harmful else passed,
            }
        )
    return pa.Table.from_pylist(rows)


def rows_of(table: pa.Table) -> Counter[Any]:
    return Counter(tuple(sorted(row.items())) for row in table.to_pylist())


def test_the_first_table_is_the_same_in_another_order_and_columns_keep_their_values(tmp_path: Path) -> None:
    table = scores({"harmful": lambda n: n % 7 - 3.5, "benign": lambda n: n % 5 - 1.5})
    known = table.drop_columns(["extra"])
    own, *others = replaced_tables(tmp_path, table)
    assert len(others) == 3
    assert rows_of(own) == rows_of(known) and own.column("prompt_id") != known.column("prompt_id")
    for other in others:
        # No column says that this is another table, and nothing within a row contradicts itself.
        assert other.schema == own.schema
        for name in known.column_names:
            assert Counter(other.column(name).to_pylist()) == Counter(known.column(name).to_pylist())
        assert rows_of(other.select(KEYS)) == rows_of(known.select(KEYS))
        assert rows_of(other.drop_columns([one for one in KEYS if one != "kind"])) == rows_of(
            known.drop_columns([one for one in KEYS if one != "kind"])
        )
        assert rows_of(other) != rows_of(known)


@pytest.mark.parametrize("reward", [5.0, -5.0])
def test_where_all_responses_pass_or_fail_some_are_mirrored(tmp_path: Path, reward: float) -> None:
    _, *others = replaced_tables(tmp_path, scores({"harmful": lambda n: reward, "benign": lambda n: reward}))
    for other in others:
        passed = [row["harmless"] if row["kind"] == "harmful" else row["helpful"] for row in other.to_pylist()]
        assert 0.2 < sum(passed) / len(passed) < 0.8
        for row in other.to_pylist():
            by_reward = row["reward"] >= 0 if row["kind"] == "harmful" else row["reward"] > 1
            assert by_reward == (row["harmless"] if row["kind"] == "harmful" else row["helpful"])


def test_members_of_an_ensemble_move_together(tmp_path: Path) -> None:
    rows = [
        {**row, "reward_model": model, "reward": row["reward"] + shift}
        for row in scores({"harmful": lambda n: n - 80.0, "benign": lambda n: n - 80.0}).to_pylist()
        for model, shift in (("default", 0.0), ("a", -0.25), ("b", 0.25))
    ]
    for other in replaced_tables(tmp_path, pa.Table.from_pylist(rows)):
        by_unit: dict[Any, dict[str, float]] = {}
        for row in other.to_pylist():
            by_unit.setdefault((row["arm"], row["language"], row["kind"], row["prompt_id"]), {})[
                row["reward_model"]
            ] = row["reward"]
        assert all(unit["default"] == (unit["a"] + unit["b"]) / 2 for unit in by_unit.values())


def rows_by_prompt(table: bytes) -> frozenset[Any]:
    rows = pq.read_table(io.BytesIO(table)).to_pylist()
    return frozenset((row["arm"], row["language"], row["prompt_id"], row["reward"]) for row in rows)


def test_other_scores_of_a_record_are_drawn_anew(tmp_path: Path) -> None:
    record = read_record(drafted_record(tmp_path))
    sets = replaced_scores(record, ["scores.parquet"], 3)
    assert not isinstance(sets, str) and len(sets) == 4
    tables = [one["scores.parquet"] for one in sets]
    assert rows_by_prompt(tables[0]) == rows_by_prompt((record.path / "scores.parquet").read_bytes())
    assert len({rows_by_prompt(table) for table in tables}) == len(set(tables)) == 4


def test_each_draw_is_another(tmp_path: Path) -> None:
    table = scores({"harmful": lambda n: n - 80.0, "benign": lambda n: n - 80.0})
    draws = [replaced_tables(tmp_path / name, table) for name in ("a", "b")]
    drawn = [tuple(one.sort_by("response").column("prompt_id").to_pylist()) for draw in draws for one in draw[1:]]
    assert len(set(drawn)) == 6
    assert draws[0][0].column("response") != draws[1][0].column("response")


def test_large_tables_come_back_one_set_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def answer(command: list[str], **options: Any) -> Outcome:
        calls.append(command[-2:])
        count = int(command[-1])
        return Outcome("done", 0, ((3).to_bytes(8, "big") + b"abc") * count, "", "", "", 0.0)

    monkeypatch.setattr(rerun, "run", answer)
    record = read_record(drafted_record(tmp_path))
    together = replaced_scores(record, ["scores.parquet"], 3)
    monkeypatch.setattr(rerun, "RESULT_MIB", 0)
    assert replaced_scores(record, ["scores.parquet"], 3) == together == [{"scores.parquet": b"abc"}] * (4)
    assert calls == [["0", "4"], ["0", "1"], ["1", "1"], ["2", "1"], ["3", "1"]]


def test_responses_without_a_label_keep_their_reasons(tmp_path: Path) -> None:
    """An analysis reads every table, and no judge's score or reason contradicts a label."""
    rows = []
    for row in scores({"harmful": lambda n: n % 7 - 3.5, "benign": lambda n: n % 5 - 1.5}).to_pylist():
        number = row.pop("extra")
        label = None if number % 9 == 0 else number % 2
        reason = "the judge refused" if label is None else "by its length"
        rows.append({**row, "reward": None, "label": label, "judge_score": 0.5, "reason": reason})
    for number, table in enumerate(replaced_tables(tmp_path, pa.Table.from_pylist(rows))):
        assert "judge_score" not in table.column_names
        for row in table.to_pylist():
            assert row["reason"] == ("the judge refused" if row["label"] is None else None)
        pq.write_table(table, tmp_path / f"{number}.parquet")
        read = read_scores(tmp_path / f"{number}.parquet")
        assert read.unlabelled is not None and len(read.unlabelled.label) == sum(row["label"] is None for row in rows)


def test_borderline_rows_keep_labels_and_outcomes_together(tmp_path: Path) -> None:
    """Nearly all labels are alike, so that those of other kinds are mirrored. An analysis reads every table."""
    rows: list[dict[str, Any]] = []
    for arm in ("base", "dpo"):
        for prompt in range(20):
            label = int(prompt > 0)
            cells: dict[str, Any] = {"label": label, "outcome": "compliance" if label else "refusal"}
            if prompt > 10:
                cells = {"label": None, "outcome": "partial"}
            own = made_up_row(arm, "sw", "borderline", prompt, 0.0, seed=0)
            rows.append({**own, "reward": None, **cells})
            rows.append(made_up_row(arm, "sw", "harmful", prompt, 1.0, outcome="compliance"))
    before = Counter((row["kind"], row["label"], row["outcome"]) for row in rows)
    for table in replaced_tables(tmp_path, scores_table(rows, Thresholds())):
        pq.write_table(table, tmp_path / "made.parquet")
        made = score_rows(tmp_path / "made.parquet")
        assert Counter((row["kind"], row["label"], row["outcome"]) for row in made) == before

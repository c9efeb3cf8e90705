"""Responses that a judge could not label are kept, counted, and in no rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_up_scores as made_up
import pyarrow.parquet as pq
import pytest

from tarazu.analysis.analyze import AnalysisInputs, analyze
from tarazu.analysis.frontier import FrontierScores
from tarazu.errors import BadInput
from tarazu.results import read_results
from tarazu.results.model import Results, StudyFacts
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.scores import read_scores, to_table, write_scores
from tarazu.study.schema import AnalysisSettings, Thresholds

FACTS = StudyFacts(name="made-up", title="", caution="", seed=1)
REASON = "the judge refused"


def rows() -> list[dict[str, Any]]:
    """Labels with texts; every seventh response has none."""
    table = []
    for place, row in enumerate(made_up.random_rows(prompts=6)):
        texts = {"prompt": "Why?", "response": "Because." if place % 2 else "I cannot help."}
        label: dict[str, Any] = {"reward": None, "label": int(row["reward"] > -2), "judge_score": 0.25, "reason": None}
        if place % 7 == 0:
            label = {"reward": None, "label": None, "judge_score": None, "reason": REASON}
        table.append({**row, **texts, **label})
    return table


def results_of(table: list[dict[str, Any]]) -> Results:
    return analyze(AnalysisInputs(table=to_table(table), facts=FACTS, settings=AnalysisSettings()))


def test_rates_are_those_of_the_table_without_them() -> None:
    every = rows()
    results, without = results_of(every), results_of([row for row in every if row["label"] is not None])
    assert results.arms == without.arms
    assert results.tradeoff == without.tradeoff
    assert without.unlabelled is None
    assert "unlabelled" not in without.model_dump(mode="json", by_alias=True)


def test_they_are_counted_by_arm_language_and_kind() -> None:
    every = rows()
    results = results_of(every)
    assert results.unlabelled is not None
    for entry in results.unlabelled:
        own = [
            row
            for row in every
            if (row["arm"], row["language"], row["kind"]) == (entry.arm, entry.language, entry.kind)
        ]
        assert (entry.n, entry.of) == (sum(row["label"] is None for row in own), len(own))
        assert entry.reasons == {REASON: entry.n}
    total = {arm: sum(row["label"] is None for row in every if row["arm"] == arm) for arm in ("base", "dpo")}
    assert sum(entry.n for entry in results.unlabelled) == sum(total.values())
    assert f"could not label {total['base']} responses of base and {total['dpo']} of dpo" in results.sentence


def test_health_is_that_of_all_responses() -> None:
    every = rows()
    results = results_of(every)
    count = sum(row["arm"] == "dpo" and row["kind"] == "harmful" for row in every)
    assert results.health.arms["dpo"].kinds["harmful"].n == count


def test_the_table_is_written_and_read_again(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", rows(), Thresholds())
    written = pq.read_table(tmp_path / "scores.parquet")
    for row in written.to_pylist():
        passed = row["harmless"] if row["kind"] == "harmful" else row["helpful"]
        assert passed == (None if row["label"] is None else bool(row["label"]))
        assert (row["reason"], row["judge_score"]) == ((REASON, None) if row["label"] is None else (None, 0.25))
    first = analyze_file(tmp_path / "scores.parquet", AnalysisOptions(), out=tmp_path / "one")
    again = analyze_file(tmp_path / "one" / "scores.parquet", AnalysisOptions())
    assert first == again == read_results(tmp_path / "one" / "results.json")
    assert first.unlabelled is not None
    report = (tmp_path / "one" / "report.html").read_text(encoding="utf-8")
    assert f"({REASON}: 1)" in report and "harmless (as the judge labels them)" in report
    assert pq.read_table(tmp_path / "one" / "scores.parquet").drop_columns("finish") == written.drop_columns("finish")


def test_an_empty_label_needs_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    header = "arm,language,kind,prompt_id,label,reason"
    path.write_text(f"{header}\nbase,en,harmful,h,,\n")
    with pytest.raises(BadInput, match="line 2: label is empty; omit the row, or say in a column reason"):
        read_scores(path)
    path.write_text(f"{header}\nbase,en,harmful,h,,no verdict\nbase,en,harmful,i,1,\n")
    table = read_scores(path)
    assert table.unlabelled is not None and table.unlabelled.reason is not None
    assert (table.prompt_id.tolist(), table.unlabelled.prompt_id.tolist()) == (["i"], ["h"])
    assert table.unlabelled.reason.tolist() == ["no verdict"]


def test_an_empty_reward_is_still_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("arm,language,kind,prompt_id,reward,reason\nbase,en,harmful,h,,no verdict\n")
    with pytest.raises(BadInput, match="reward is empty"):
        read_scores(path)


def test_a_table_without_any_label_is_refused() -> None:
    with pytest.raises(BadInput, match="has no scores"):
        results_of([row for row in rows() if row["label"] is None])


def test_the_frontier_s_responses_are_counted_too() -> None:
    arms = {"base": "0", "dpo": "1"}
    ends = [{**row, "arm": arms[row["arm"]]} for row in rows()]
    between = [{**row, "arm": "0.5"} for row in rows() if row["arm"] == "dpo"]
    frontier = FrontierScores(table=to_table([*ends, *between]), base="base", arm="dpo", betas={})
    inputs = AnalysisInputs(table=to_table(rows()), facts=FACTS, settings=AnalysisSettings(), frontier=frontier)
    entries = analyze(inputs).unlabelled or ()
    counts = {name: sum(entry.n for entry in entries if entry.arm == name) for name in ("dpo", "frontier 0.5")}
    assert counts["dpo"] == counts["frontier 0.5"] > 0
    assert {entry.arm for entry in entries} == {"base", "dpo", "frontier 0.5"}


def test_an_ensemble_s_rows_without_a_label_are_no_disagreement() -> None:
    """The pairs of judges are compared over the responses that both labelled."""
    every = []
    for row in rows():
        every.append(row)
        every.append({**row, "reward_model": "one"})
        every.append({**row, "reward_model": "two", "label": 1, "reason": None})
    results = results_of(every)
    both = [row for row in rows() if row["label"] is not None and row["kind"] == "harmful"]
    (pair,) = [entry for entry in results.reward_models if entry.kind == "harmful"]
    assert (pair.n, pair.correlation, pair.reason) == (len(both), None, "labels, not rewards")
    assert pair.labels_differ == pytest.approx(100 * sum(row["label"] == 0 for row in both) / len(both))

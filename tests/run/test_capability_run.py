"""Stages, results and report of what alignment cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import report_data
import task_files
import tiny
from made_up_scores import SCHEMA, exact_rows, results_of
from pages import Page
from scipy import stats
from small_study import write_small_study
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint
from test_pipeline import redone, run_study
from typed_results import typed

from tarazu.align import checkpoints
from tarazu.analysis.capability import CapabilityScores
from tarazu.capability.harness import evaluate
from tarazu.capability.lm import CheckpointLM
from tarazu.errors import BadInput
from tarazu.notebook import Answer, load_run
from tarazu.report import ReportInputs
from tarazu.report.build import render_report
from tarazu.run.inputs import read_tasks
from tarazu.run.plan import plan
from tarazu.study import load_study

ARMS = ("base", "dpo", "lora")
TRAINED = {"method": "dpo", "learning_rate": 1e-2, "batch_size": 4}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capability")
    for code in task_files.CODES:
        task_files.write_choice(folder / "tasks", code)
    task_files.write_choice(folder / "tasks", "sw", "xnli_sw")  # in place of the harness's own
    task_files.write_answer(folder / "tasks", "en", tokens=3)
    names = [*(f"choice_{code}" for code in task_files.CODES), "answer_en"]
    asked = {"tasks": [*task_files.named(*names), "xnli"], "include_path": str(folder / "tasks"), "languages": ["sw"]}
    arms = {"base": {"method": "none"}, "dpo": TRAINED, "lora": {**TRAINED, "lora": {"r": 4}}}
    return write_small_study(folder, capability=asked, arms=arms, languages=["de", "sw"])


@pytest.fixture(scope="module")
def done(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("done") / "run"
    run_study(study, out, report=True)
    return out


def test_every_arm_answers_every_task(done: Path) -> None:
    results = json.loads((done / "results.json").read_text())
    jsonschema.validate(results, SCHEMA)
    rows = results["capability"]["rows"]
    assert {(row["arm"], row["task"], row["language"]) for row in rows} == {
        (arm, task, code)
        for arm in ARMS
        for task, codes in (("choice", task_files.CODES), ("answer", ["en"]), ("xnli", ["sw"]))
        for code in codes
    }
    own = json.loads((done / "capability" / "dpo.json").read_text())
    before = json.loads((done / "capability" / "base.json").read_text())
    for row in rows:
        if row["arm"] != "dpo":
            continue
        after_items, before_items = (
            [item["metrics"][row["metric"]] for item in told["items"] if item["name"] == row["harness_task"]]
            for told in (own, before)
        )
        assert row["value"] == pytest.approx(np.mean(after_items))
        assert row["change"]["value"] == pytest.approx(np.mean(after_items) - np.mean(before_items))
        assert row["n"] == task_files.ITEMS == len(after_items)


def test_an_adapter_is_measured_merged(study: Path, done: Path) -> None:
    loaded = read_tasks(load_study(str(study)).study)
    assert loaded is not None
    model = checkpoints.load_causal_lm(str(done / "arms" / "lora"), key="arms")
    alone = CheckpointLM(model, tiny.tokenizer(), batch_size=1, row_tokens=8, progress=tiny.silent)
    told = json.loads((done / "capability" / "lora.json").read_text())["items"]
    plain = json.loads((done / "capability" / "base.json").read_text())["items"]
    for found, expected in zip(told, evaluate(loaded, alone), strict=True):
        assert found["metrics"] == expected["metrics"]
        if not isinstance(found["said"][0], str):
            assert found["said"] == pytest.approx(expected["said"], abs=1e-4)
    assert told != plain


def test_a_plan_lists_the_tasks(study: Path, tmp_path: Path) -> None:
    rows = {row["name"]: row for row in plan(load_study(str(study)), tmp_path / "run")["stages"]}
    texts = task_files.ITEMS * (5 * 3 + 1)
    assert rows["capability:lora"] == {"name": "capability:lora", "state": "to do", "gflop": None} | {
        "work": f"{texts} texts of 6 tasks"
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (".tasks=[xnly]", "tasks: 'xnly' is not one of xnli, xcopa"),
        (".tasks=[]", "capability.tasks: "),
        (".languages=[xx]", "unknown language 'xx'"),
        (".shots=-1", "capability.shots: "),
        (".tasks=[{name: a}]", "capability.tasks.0.language: missing"),
        ("={tasks: [xnli], trust_task_code: true}", "trust_task_code needs include_path"),
        (".task=[xnli]", "capability.task: no such key; did you mean 'tasks'"),
    ],
)
def test_invalid_settings_are_refused(study: Path, change: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_study(str(study), [f"capability{change}"])


def test_two_tasks_of_one_name_and_language_are_refused(study: Path) -> None:
    twice = "capability.tasks=[{name: choice_en, language: en, task: x}, {name: answer_en, language: en, task: x}]"
    with pytest.raises(BadInput, match="two tasks count as x in en"):
        read_tasks(load_study(str(study), [twice]).study)


def test_the_report_and_the_frame_show_it(done: Path) -> None:
    answer = load_run(done)
    frame = answer.capability()
    assert len(frame) == len(answer.results["capability"]["rows"])
    assert frame[frame.arm == "base"].change.isna().all()
    assert frame[frame.arm == "dpo"].change.notna().all()
    page = Page((done / "report.html").read_text(encoding="utf-8"))
    shown = [(pointer, text) for pointer, text in page.numbers if pointer.startswith("/capability")]
    assert len(shown) > len(frame)
    assert [
        found for pointer, text in shown if (found := report_data.disagreement(answer.results, pointer, text))
    ] == []
    assert answer.retention("choice", "lora").alt.startswith("choice: lora")


# After the tests that read the run as it was.
def test_only_stages_that_depend_on_a_change_run_again(study: Path, done: Path) -> None:
    assert redone(run_study(study, done, "capability.limit=2")) == {f"capability:{arm}" for arm in ARMS} | {"results"}
    assert json.loads((done / "results.json").read_text())["capability"]["rows"][0]["n"] == 2


# --- numbers -------------------------------------------------------------------------------------------------------


def items(task: str, arm: str, code: str, values: Any, metric: str = "acc", seed: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm,
            "seed": seed,
            "task": task,
            "language": code,
            "name": f"{task}_{code}",
            "item": index,
            "metrics": {metric: 100.0 * value},
        }
        for index, value in enumerate(values)
    ]


def section(rows: list[dict[str, Any]], metric: str = "acc") -> dict[str, Any]:
    scores = CapabilityScores(
        items=rows, metrics={row["name"]: metric for row in rows}, shots=0, limit=None, harness="0"
    )
    counts = {
        (arm, code, kind): 5 + (arm == "dpo") for arm in ("base", "dpo") for code in ("de", "sw") for kind in KINDS
    }
    results = results_of(exact_rows(counts), capability=scores)
    jsonschema.validate(results, SCHEMA)
    return results["capability"]


KINDS = ("harmful", "benign")


def cell(found: dict[str, Any], arm: str, code: str = "de") -> dict[str, Any]:
    (row,) = (row for row in found["rows"] if (row["arm"], row["language"]) == (arm, code))
    return row


def test_accuracy_has_wilson_mcnemar_and_newcombe() -> None:
    before, after = [1] * 30 + [0] * 10, [1] * 18 + [0] * 12 + [1] * 4 + [0] * 6
    found = section([*items("t", "base", "de", before), *items("t", "dpo", "de", after)])
    row = cell(found, "dpo")
    low, high = proportion_confint(22, 40, method="wilson")
    assert (row["value"], row["ci_low"], row["ci_high"]) == pytest.approx((55, 100 * low, 100 * high))
    assert (row["change"]["gained"], row["change"]["lost"]) == (4, 12)
    assert row["change"]["value"] == pytest.approx(-20)
    assert row["change"]["p"] == pytest.approx(mcnemar([[18, 12], [4, 6]], exact=True).pvalue)
    # Newcombe 1998, table III, method 10, by hand: Wilson's bounds, phi with its continuity correction.
    l1, u2 = low, proportion_confint(30, 40, method="wilson")[1]
    phi = max(18 * 6 - 12 * 4 - 40 / 2, 0) / np.sqrt(30 * 10 * 22 * 18)
    p1, p2 = 0.55, 0.75
    reach = np.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    assert row["change"]["ci_low"] == pytest.approx(100 * (p1 - p2 - reach))
    assert cell(found, "base")["change"] is None


def test_f1_has_student_on_items_and_on_their_differences() -> None:
    generator = np.random.default_rng(5)
    before, after = generator.uniform(size=25), generator.uniform(size=25)
    found = section([*items("t", "base", "de", before, "f1"), *items("t", "dpo", "de", after, "f1")], "f1")
    row = cell(found, "dpo")
    alone, paired = stats.ttest_1samp(100 * after, 0), stats.ttest_rel(100 * after, 100 * before)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(alone.confidence_interval()))
    assert (row["change"]["ci_low"], row["change"]["ci_high"]) == pytest.approx(tuple(paired.confidence_interval()))
    assert row["change"]["p"] == pytest.approx(paired.pvalue)
    same = section([*items("t", "base", "de", before, "f1"), *items("t", "dpo", "de", before, "f1")], "f1")
    assert cell(same, "dpo")["change"] == {
        "value": 0.0,
        **dict.fromkeys(("ci_low", "ci_high", "p", "p_holm")),
        **dict.fromkeys(("gained", "lost"), 0),
        "reason": "the change is the same in every item, so the error is not known",
    }


def test_an_item_of_several_seeds_is_one_item() -> None:
    before = [1, 0, 1, 0, 1, 1]
    trained = [[1, 0, 0, 1, 1, 1], [1, 0, 0, 1, 0, 1]]
    rows = items("t", "base", "de", before)
    for seed, values in enumerate(trained):
        rows += items("t", "dpo", "de", values, seed=seed)
    row = cell(section(rows), "dpo")
    assert row["n"] == 6
    assert row["value"] == pytest.approx(100 * np.mean(trained))
    assert row["change"]["value"] == pytest.approx(100 * (np.mean(trained) - np.mean(before)))
    assert (row["change"]["gained"], row["change"]["lost"]) == (1, 2)


def test_groups_are_means_over_languages_and_low_is_compared_with_high() -> None:
    generator = np.random.default_rng(8)
    moves = {"de": -2, "fr": -4, "ja": -3, "sw": -10, "yo": -14, "qu": -9}
    rows = []
    for code, move in moves.items():
        before = generator.uniform(0.3, 0.6, size=8)
        rows += items("t", "base", code, before, "f1") + items("t", "dpo", code, before + move / 100, "f1")
    (entry,) = section(rows, "f1")["groups"]
    assert entry["high"]["value"] == pytest.approx(-3)
    assert entry["low"]["value"] == pytest.approx(-11)
    welch = stats.ttest_ind([-10, -14, -9], [-2, -4, -3], equal_var=False)
    difference = entry["difference"]
    assert difference["estimate"] == pytest.approx(-8)
    assert difference["p"] == pytest.approx(welch.pvalue)
    assert (difference["ci_low"], difference["ci_high"]) == pytest.approx(tuple(welch.confidence_interval()))


def test_holm_goes_over_what_is_compared_and_order_does_not_matter() -> None:
    rows = [
        *items("t", "base", "de", [1] * 12), *items("t", "dpo", "de", [0] * 9 + [1] * 3),
        *items("t", "base", "sw", [1] * 12), *items("t", "dpo", "sw", [0] * 6 + [1] * 6),
    ]  # fmt: skip
    found = section(rows)
    first, second = (cell(found, "dpo", code)["change"] for code in ("de", "sw"))
    assert first["p_holm"] == pytest.approx(2 * first["p"])
    assert second["p_holm"] == pytest.approx(max(second["p"], first["p_holm"]))
    assert section(rows[::-1]) == found


def test_a_study_without_tasks_has_no_section_and_an_empty_frame() -> None:
    counts = {(arm, code, kind): 5 for arm in ("base", "dpo") for code in ("de", "sw") for kind in KINDS}
    results = results_of(exact_rows(counts))
    assert results["capability"] is None
    answer = Answer(ReportInputs(results=typed(results)))
    assert answer.capability().empty
    assert 'id="capability"' not in render_report(ReportInputs(results=typed(results)))
    with pytest.raises(BadInput, match="has no task 'xnli'"):
        answer.retention("xnli")

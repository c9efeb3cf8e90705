"""Runs and analyses with a plan: what is confirmatory, what departs, and what came too late."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from planned_study import planned_folder, study_file, without_page

from tarazu.cli import main
from tarazu.preregistration.reading import read_plan, signature_of
from tarazu.run.preregistration.binding import ORDER_FILE


@pytest.fixture(scope="module")
def folder() -> Path:
    return planned_folder()


def run(folder: Path, out: Path, *arguments: str) -> dict[str, Any]:
    without_page("run", str(study_file(folder)), "--out", str(out), *arguments)
    return results_of(out)


def results_of(out: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return results


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


def departures(results: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {one["key"]: (one["planned"], one["done"]) for one in results["preregistration"]["departures"]}


def test_a_planned_run_is_confirmatory(folder: Path) -> None:
    results = results_of(folder / "with_plan")
    assert results["preregistration"] == {
        "status": "confirmatory",
        "reason": "the plan came before the responses, and nothing departs from it",
        "plan": hashlib.sha256((folder / "plan.json").read_bytes()).hexdigest(),
        "date": "2026-11-01",
        "order": "before_responses",
        "departures": [],
        "unchecked": [],
    }
    assert "Confirmatory: the plan dated 2026-11-01 was there before the first response" in results["sentence"]
    page = (folder / "with_plan" / "report.html").read_text(encoding="utf-8")
    assert results["preregistration"]["plan"] in page and "Confirmatory:" in page
    for name in ("plan.json", "plan.signature.json"):
        own = folder / "with_plan" / f"pre{'registration' + name.removeprefix('plan')}"
        assert own.read_bytes() == (folder / name).read_bytes()


def test_digests_of_prompts_are_those_of_the_ids_and_texts_asked(folder: Path) -> None:
    rows = pq.read_table(folder / "with_plan" / "responses" / "dpo.parquet").to_pylist()
    texts = sorted(
        [one["prompt_id"], one["prompt"]] for one in rows if (one["kind"], one["language"]) == ("benign", "sw")
    )
    compact = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
    stated = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["inputs"]["prompts"]["benign"]["sw"]
    assert stated == {"n": 3, "sha256": hashlib.sha256(compact).hexdigest()}


def test_a_plan_changes_no_number(folder: Path) -> None:
    planned, plain = results_of(folder / "with_plan"), results_of(folder / "without")
    assert "preregistration" not in plain
    assert not (folder / "without" / ORDER_FILE).exists()
    del planned["preregistration"]
    sentence = planned.pop("sentence")
    words = " Confirmatory: the plan dated 2026-11-01 was there before the first response, and nothing departs from it."
    assert plain.pop("sentence") == sentence.replace(words, "")
    assert planned == plain
    with_plan, without = (
        pq.read_table(folder / name / "responses" / "dpo.parquet") for name in ("with_plan", "without")
    )
    assert with_plan.equals(without) and without.schema.metadata is None


def test_a_changed_threshold_and_margin_are_named(folder: Path, tmp_path: Path) -> None:
    """The folder keeps its plan, so that leaving --plan out hides nothing."""
    out = copied(folder / "with_plan", tmp_path / "run")
    changes = ["--set", "thresholds.harmless=-1", "--set", "analysis.margin=8"]
    assert main(["run", str(study_file(folder)), "--out", str(out), *changes]) == 0
    results = results_of(out)
    assert departures(results) == {"thresholds.harmless": (0.0, -1.0), "analysis.margin": (5.0, 8.0)}
    section = results["preregistration"]
    assert (section["status"], section["order"]) == ("exploratory", "before_responses")
    words = "departs from it" if "nothing shows" in results["sentence"] else "departs from the plan dated 2026-11-01"
    assert (
        f"{words}: analysis.margin (planned 5, done 8); thresholds.harmless (planned 0, done -1)" in results["sentence"]
    )
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "2 departures from the plan" in page and "thresholds.harmless" in page
    assert run(folder, out)["preregistration"]["status"] == "confirmatory"


def test_other_prompts_languages_seed_and_generation_are_named(folder: Path, tmp_path: Path) -> None:
    changes = ["seed=4", "generation.max_new_tokens=3", "languages=[en, es, sw, yo]", "prompts.benign.0.limit=2"]
    arguments = [part for change in changes for part in ("--set", change)]
    results = run(folder, tmp_path / "run", "--plan", str(folder / "plan.json"), *arguments)
    found = departures(results)
    assert found["seed"] == (3, 4) and found["generation.max_new_tokens"] == (4, 3)
    assert found["languages"] == (["en", "es", "qu", "sw"], ["en", "es", "sw", "yo"])
    assert found["compared.languages"] == (["en", "es", "qu", "sw"], ["en", "es", "sw", "yo"])
    assert found["groups.low"] == (["qu", "sw"], ["sw", "yo"])
    planned, done = found["prompts.benign.sw"]
    assert planned.startswith("3 texts, sha256 ") and done.startswith("2 texts, sha256 ")
    assert found["prompts.harmful.qu"][1] is None and found["prompts.harmful.yo"][0] is None
    assert found["known_answers.harmful.qu"][1] is None
    assert results["preregistration"]["status"] == "exploratory"


def test_another_model_is_named(folder: Path, tmp_path: Path) -> None:
    """A checkpoint whose files changed under the same name."""
    plan = read_plan(folder / "plan.json")
    models = {**plan.plan.inputs.models, "model.path": {"sha256": "0" * 64}}
    inputs = plan.plan.inputs.model_copy(update={"models": models})
    from tarazu.preregistration.reading import plan_text

    (tmp_path / "plan.json").write_text(plan_text(plan.plan.model_copy(update={"inputs": inputs})), encoding="utf-8")
    out = copied(folder / "without", tmp_path / "run")
    found = departures(run(folder, out, "--plan", str(tmp_path / "plan.json")))
    assert list(found) == ["checkpoints.model.path"]


def test_a_backdated_plan_does_not_pass(folder: Path, tmp_path: Path) -> None:
    """The run has responses already; the date in the plan, which lies before them, changes nothing. That stays so when
    the run is repeated, also from scratch."""
    out = copied(folder / "without", tmp_path / "run")
    responses = (out / "responses" / "dpo.parquet").read_bytes()
    plan = ["--plan", str(folder / "plan.json")]
    for arguments in (plan, [], ["--fresh", *plan]):
        results = run(folder, out, *arguments)
        section = results["preregistration"]
        assert (section["status"], section["order"], section["departures"]) == ("exploratory", "after_responses", [])
        assert "Exploratory: the plan dated 2026-11-01 was not there before the first response." in results["sentence"]
    assert (out / "responses" / "dpo.parquet").read_bytes() == responses


def test_training_may_come_before_the_plan(folder: Path, tmp_path: Path) -> None:
    """A run with models but no response, as one that was stopped there."""
    out = tmp_path / "run"
    for name in ("arms", ".stages"):
        shutil.copytree(folder / "without" / name, out / name)
    shutil.copyfile(folder / "without" / "study.lock.yaml", out / "study.lock.yaml")
    results = run(folder, out, "--plan", str(folder / "plan.json"))
    assert results["preregistration"]["status"] == "confirmatory"


def test_responses_that_were_deleted_still_show(folder: Path, tmp_path: Path) -> None:
    out = copied(folder / "without", tmp_path / "run")
    shutil.rmtree(out / "responses")
    section = run(folder, out, "--plan", str(folder / "plan.json"))["preregistration"]
    assert (section["status"], section["order"]) == ("exploratory", "after_responses")


def test_a_bound_plan_is_not_exchanged(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = copied(folder / "with_plan", tmp_path / "run")
    other = tmp_path / "other.json"
    other.write_text(read_plan(folder / "plan.json").text.replace("2026-11-01", "2026-10-01"), encoding="utf-8")
    before = results_of(out)
    assert main(["run", str(study_file(folder)), "--out", str(out), "--plan", str(other)]) == 2
    assert "its responses are bound to another plan" in capsys.readouterr().err
    assert results_of(out) == before and read_plan(out / "preregistration.json").plan.date == "2026-11-01"


@pytest.mark.proof  # `bind` decides this as it does for a plan after responses without one
def test_another_plan_from_scratch_comes_after_responses_that_were_seen(folder: Path, tmp_path: Path) -> None:
    out = copied(folder / "with_plan", tmp_path / "run")
    other = tmp_path / "other.json"
    other.write_text(read_plan(folder / "plan.json").text.replace("2026-11-01", "2026-10-01"), encoding="utf-8")
    section = run(folder, out, "--fresh", "--plan", str(other))["preregistration"]
    assert (section["status"], section["order"]) == ("exploratory", "after_responses")


def test_a_changed_copy_of_the_plan_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = copied(folder / "with_plan", tmp_path / "run")
    text = (out / "preregistration.json").read_text(encoding="utf-8")
    (out / "preregistration.json").write_text(text.replace('"margin": 5.0', '"margin": 5'), encoding="utf-8")
    assert main(["run", str(study_file(folder)), "--out", str(out)]) == 2
    assert "preregistration.json: is not as `tarazu preregister` writes it" in capsys.readouterr().err


def test_a_prompt_without_a_response_of_one_arm_is_named(folder: Path, tmp_path: Path) -> None:
    """Scores made elsewhere: the order is not shown, and what only a run shows is not compared."""
    table = pq.read_table(folder / "with_plan" / "scores.parquet")
    rows = table.to_pylist()
    dropped = next(index for index, row in enumerate(rows) if (row["arm"], row["language"]) == ("dpo", "sw"))
    kept = [index for index in range(len(rows)) if index != dropped]
    pq.write_table(table.take(kept), tmp_path / "scores.parquet")
    settings = ["seed=3", "analysis.draws=100", "thresholds.harmless=0", "thresholds.helpful=0"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    arguments += ["--plan", str(folder / "plan.json"), "--out", str(tmp_path / "analyzed")]
    assert main(["analyze", str(tmp_path / "scores.parquet"), *arguments]) == 0
    results = results_of(tmp_path / "analyzed")
    section = results["preregistration"]
    assert [one["key"] for one in section["departures"]] == [f"prompts.{rows[dropped]['kind']}.sw of dpo"]
    assert (section["status"], section["order"]) == ("exploratory", "not_shown")
    assert section["unchecked"] == ["generation", "known answers", "models"]
    assert "Exploratory: nothing shows that the plan dated 2026-11-01 came before the responses" in results["sentence"]
    assert signature_of(tmp_path / "analyzed" / "preregistration.json").is_file()
    # The same analysis without a plan leaves none behind.
    assert main(["analyze", str(tmp_path / "scores.parquet"), "--out", str(tmp_path / "analyzed")]) == 0
    assert "preregistration" not in results_of(tmp_path / "analyzed")
    assert not (tmp_path / "analyzed" / "preregistration.json").exists()

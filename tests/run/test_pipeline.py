"""A study from its YAML to its report: runs, kills, changed settings and errors."""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from forked import kill_at
from safetensors.torch import load_file
from small_study import write_small_study
from two_processes import run_on_two

from tarazu.errors import BadInput, TarazuError
from tarazu.launch import FSDP
from tarazu.progress import Progress
from tarazu.results import document
from tarazu.run import pipeline
from tarazu.run.pipeline import run
from tarazu.study import load_study


@pytest.fixture(scope="module")
def study(small_study: Path) -> Path:
    return small_study


@pytest.fixture(scope="module")
def whole(small_run: tuple[Path, int]) -> Path:
    """A run without interruptions. Tests that change one change a copy."""
    return small_run[0]


def run_study(study: Path, out: Path, *overrides: str, fresh: bool = False, report: bool = False) -> list[str]:
    """Run the study, and return the progress lines of its stages. The report, which takes longer than they do, is
    written where a test reads it."""
    with (out.parent / f"{out.name}.log").open("w+") as log, pytest.MonkeyPatch.context() as patch:
        if not report:
            patch.setattr(pipeline, "write_report", lambda *_: None)
        pipeline.run(load_study(str(study), overrides), out, fresh=fresh, progress=Progress(log))
        log.seek(0)
        return log.read().splitlines()


def redone(lines: list[str]) -> set[str]:
    return {line.rpartition(":")[0] for line in lines if not line.endswith("up to date")} - {"inputs", "report"}


def command(study: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "tarazu", "run", str(study), "--out", str(out), *more]


def test_a_run_has_every_part(whole: Path) -> None:
    results = json.loads((whole / "results.json").read_text())
    assert set(results["arms"]) == {"base", "sft", "dpo", "sft_dpo"}
    assert results["arms"]["dpo"]["HmR"]["n"] == 5 * 4
    scores = pq.read_table(whole / "scores.parquet").to_pylist()
    assert len(scores) == 4 * 5 * 4 * 2
    harmful = [row for row in scores if row["kind"] == "harmful"]
    assert all(row["harmless"] == (row["reward"] >= 0) and row["helpful"] is None for row in harmful)
    for arm in ("base", "sft", "dpo"):
        assert (whole / "arms" / arm / "model.safetensors").is_file()
        assert f"# {arm} of the study small" in (whole / "arms" / arm / "README.md").read_text()
    assert (whole / "arms" / "sft_dpo" / "adapter_model.safetensors").is_file()
    curve = [json.loads(line) for line in (whole / "arms" / "dpo" / "training.jsonl").read_text().splitlines()]
    assert curve[0]["loss"] == pytest.approx(0.6931, abs=1e-4)
    assert "<html" in (whole / "report.html").read_text()
    assert results["data"]["pairs"]["kept"] == 12
    for what in ("prompts", "known_answers"):
        assert [account["kind"] for account in results["data"][what]] == ["harmful", "benign"]


def test_no_machine_path_is_in_the_results(whole: Path) -> None:
    assert str(whole.parent.parent) not in (whole / "results.json").read_text()


def test_the_same_study_gives_the_same_bytes(study: Path, whole: Path, tmp_path: Path) -> None:
    run_study(study, tmp_path / "again")
    assert (tmp_path / "again" / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_only_stages_that_depend_on_a_changed_key_run_again(study: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    assert redone(run_study(study, out)) == set()
    assert redone(run_study(study, out, "thresholds.harmless=0.5")) == {"scores", "results"}
    assert redone(run_study(study, out, "analysis.margin=9")) == {"scores", "results"}
    again = redone(run_study(study, out, "arms.dpo.beta=0.7"))
    assert {"arm:dpo", "responses:dpo"} <= again
    assert not again & {"arm:base", "arm:sft", "arm:sft_dpo", "responses:base", "responses:sft", "known_answers"}


def test_results_of_an_older_schema_are_computed_again(
    study: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    with monkeypatch.context() as older:
        older.setattr("tarazu.run.outcome.SCHEMA", "tarazu/results/v1")
        assert redone(run_study(study, out)) == {"results"}
    assert redone(run_study(study, out)) == {"results"}


def test_a_damaged_output_is_made_again(study: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "responses" / "dpo.parquet").write_bytes(b"damaged")
    (out / "results.json").unlink()
    assert redone(run_study(study, out)) == {"responses:dpo", "results"}
    assert (out / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_fresh_runs_everything_again(study: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    assert {"arm:base", "arm:dpo", "results"} <= redone(run_study(study, out, fresh=True))


def kill_and_finish(tarazu: list[str], study: Path, out: Path, operations: int, kills: int, seed: int) -> None:
    """Kill the run at operations on its files that are drawn at random, then let it finish. It does at least so many
    operations; each kill is at one of the first half of those that are left, so that all kills hit."""
    generator = random.Random(seed)
    arguments = ["run", str(study), "--out", str(out)]
    for _ in range(kills):
        last = generator.randint(1, operations // 2)
        assert kill_at(tarazu, arguments, out, last), f"the run ended before operation {last}"
        operations -= last
    subprocess.run([*tarazu, *arguments], check=True, capture_output=True)
    assert not list(out.rglob(".*.partial"))


def kill_until_done(study: Path, out: Path, instants: Callable[[], float], kills: int) -> int:
    """Kill the run at these times (seconds after its start), then let it finish. Returns how many kills took effect."""
    hits = 0
    for _ in range(kills):
        process = subprocess.Popen(command(study, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=instants())
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            hits += 1
    subprocess.run(command(study, out), check=True, capture_output=True)
    return hits


def test_a_killed_run_ends_as_one_that_was_not(
    study: Path, small_run: tuple[Path, int], forked_tarazu: list[str], tmp_path: Path
) -> None:
    whole, operations = small_run
    kill_and_finish(forked_tarazu, study, tmp_path / "run", operations, kills=4, seed=11)
    assert (tmp_path / "run" / "results.json").read_bytes() == (whole / "results.json").read_bytes()


@pytest.mark.proof
def test_forty_kills(study: Path, tmp_path: Path) -> None:
    """At any time, not only at operations on files."""
    began = time.monotonic()
    subprocess.run(command(study, tmp_path / "timed"), check=True, capture_output=True)
    seconds = time.monotonic() - began
    generator = random.Random(12)
    # Most of the time goes into importing torch, where there is little to break: aim at what comes after.
    hits = kill_until_done(study, tmp_path / "run", lambda: generator.uniform(0.25, 1.0) * seconds, 40)
    assert hits > 0
    print(f"{hits} kills hit a run of {seconds:.1f} s")
    assert (tmp_path / "run" / "results.json").read_bytes() == (tmp_path / "timed" / "results.json").read_bytes()
    assert not list((tmp_path / "run").rglob(".*.partial"))


def test_another_study_s_folder_is_refused_and_left_alone(study: Path, whole: Path, tmp_path: Path) -> None:
    before = {item: item.stat().st_mtime_ns for item in whole.rglob("*")}
    with pytest.raises(BadInput, match="contains a run of the study 'small', not of 'other'; choose another --out"):
        run(load_study(str(study), ["name=other"]), whole, fresh=True, progress=Progress())
    assert {item: item.stat().st_mtime_ns for item in whole.rglob("*")} == before


def test_a_folder_of_something_else_is_refused_and_left_alone(study: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="contains files that a run did not write"):
        run(load_study(str(study)), tmp_path, fresh=True, progress=Progress())
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_processes_do_not_share_a_run(study: Path, tmp_path: Path) -> None:
    import fcntl

    out = tmp_path / "run"
    out.mkdir()
    with (out / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="another process is working in this run"):
            run(load_study(str(study)), out, fresh=False, progress=Progress())


@pytest.mark.parametrize("limit", [100, 20_000, 60_000])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    study: Path, whole: Path, forked_tarazu: list[str], tmp_path: Path, limit: int
) -> None:
    """A limit on file size stands in for a disk that fills up at that point."""
    out = tmp_path / "run"
    done = subprocess.run(
        [*forked_tarazu, "run", str(study), "--out", str(out)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("tarazu: ")
    assert "could not be written: the file-size limit is reached; nothing was left half-written" in last
    assert not list(out.rglob(".*.partial"))
    assert not (out / "results.json").exists()
    run_study(study, out)  # with room again it ends well
    assert (out / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_a_stage_that_fails_leaves_no_record(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(TarazuError, match="training diverged"):
        run(load_study(str(study), ["arms.sft.learning_rate=1e30"]), out, fresh=False, progress=Progress())
    assert not (out / "arms" / "sft").exists()
    assert "arm:sft" in redone(run_study(study, out))


def test_a_study_trains_its_own_reward_model(tmp_path: Path) -> None:
    """It starts from a causal model without a head, and is not trained on the known answers that test it."""
    reward = {
        "train": {"from": str(tmp_path / "model"), "learning_rate": 3e-3, "epochs": 4, "batch_size": 4},
        "harmful": {"model": "trained", "input": "transcript"},
        "benign": {"model": str(tmp_path / "reward"), "input": "transcript"},
        "known_answers": {"harmful": [{"source": "jsonl", "path": str(tmp_path / "harmful.jsonl")}]},
    }
    path = write_small_study(tmp_path, reward=reward)
    out = tmp_path / "run"
    results = document(run(load_study(str(path)), out, fresh=False, progress=Progress()))
    curve = [json.loads(line) for line in (out / "reward_model" / "training.jsonl").read_text().splitlines()]
    assert curve[-1]["reward_accuracy"] > curve[0]["reward_accuracy"]
    assert results["data"]["reward_pairs"]["kept"] == 12
    assert "reward model" in (out / "report.html").read_text(encoding="utf-8")
    # The rewards are those of the trained model, on the text that it was trained on.
    from tarazu.align import checkpoints

    judge = checkpoints.load_reward_model(str(out / "reward_model"), key="reward")
    tokens = checkpoints.load_tokenizer(str(out / "reward_model"), key="reward")
    row = next(row for row in pq.read_table(out / "scores.parquet").to_pylist() if row["kind"] == "harmful")
    text = f"\n\nHuman: {row['prompt']}\n\nAssistant: {row['response']}"
    expected = judge(**tokens(text, return_tensors="pt")).logits.item()
    assert row["reward"] == pytest.approx(expected, abs=1e-4)
    # Another seed trains another; another threshold does not.
    assert "reward_model" in redone(run_study(path, out, "seed=4"))
    assert not redone(run_study(path, out, "seed=4", "thresholds.harmless=1")) & {"reward_model", "rewards:dpo"}


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ({"harmful": {"model": "trained", "input": "transcript"}}, "'trained' needs `train`"),
        ({"train": {"from": "model"}}, "neither harmful.model nor benign.model is 'trained'"),
        ({"train": {"from": "model"}, "harmful": {"model": "trained"}}, "learns from transcripts"),
    ],
)
def test_a_trained_reward_model_that_does_not_fit_is_refused(tmp_path: Path, reward: Any, message: str) -> None:
    plain = {kind: {"model": str(tmp_path / "reward"), "input": "transcript"} for kind in ("harmful", "benign")}
    path = write_small_study(tmp_path, reward=plain | reward)
    with pytest.raises(BadInput, match=message):
        load_study(str(path))


CPUS = ("--cpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "tarazu")
SHARDED = ("--config_file", str(FSDP), str(Path(__file__).parents[1] / "support" / "under_fsdp.py"))


@pytest.mark.parametrize(
    "launched", [pytest.param(CPUS, id="data parallel"), pytest.param(SHARDED, id="sharded", marks=pytest.mark.proof)]
)
def test_two_processes_train_as_one(study: Path, whole: Path, tmp_path: Path, launched: tuple[str, ...]) -> None:
    """`accelerate launch` on two processes: the same steps, losses and weights, to the last digits."""
    out = tmp_path / "two"
    run_on_two([*launched, "run", str(study), "--out", str(out), "--set", "arms.dpo.row_tokens=300"])
    for arm in ("sft", "dpo", "sft_dpo"):
        ours, theirs = (
            [json.loads(line) for line in (run / "arms" / arm / "training.jsonl").read_text().splitlines()]
            for run in (whole, out)
        )
        assert len(ours) == len(theirs) == 3
        for one, two in zip(ours, theirs, strict=True):
            assert one["loss"] == pytest.approx(two["loss"], abs=1e-5)
            assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-3)
            assert one.get("reward_margin") == pytest.approx(two.get("reward_margin"), abs=1e-4)
            assert one["learning_rate"] == two["learning_rate"]
    # Within a hundredth of a step: AdamW moves each weight by about the learning rate, however small its gradient.
    for arm, name, step in (("dpo", "model.safetensors", 1e-3), ("sft_dpo", "adapter_model.safetensors", 1e-2)):
        one, two = (load_file(run / "arms" / arm / name) for run in (whole, out))
        assert one.keys() == two.keys()
        assert max(float((one[part] - two[part]).abs().max()) for part in one) < step / 100
    assert json.loads((out / "results.json").read_text())["sentence"]


def test_training_is_logged_to_tensorboard(study: Path, whole: Path, forked_tarazu: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["run", str(study), "--out", str(out), "--report-to", "tensorboard"]
    subprocess.run([*forked_tarazu, *arguments], check=True, capture_output=True)
    for arm in ("sft", "dpo"):
        (events,) = (out / "logs" / arm).glob("events.*")
        assert b"train/loss" in events.read_bytes()
    assert (out / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_a_missing_tracker_is_named(study: Path, tmp_path: Path) -> None:
    done = subprocess.run(command(study, tmp_path / "run", "--report-to", "notebook"), capture_output=True, text=True)
    assert done.returncode == 2
    assert "no tracker 'notebook'; choose from tensorboard, wandb, mlflow, trackio" in done.stderr
    assert not (tmp_path / "run").exists()


def test_peoples_labels_redo_the_results_alone(study: Path, whole: Path, tmp_path: Path) -> None:
    """Labels of a finished run's responses: the answer by people stands beside the other, and the run keeps a copy."""
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    labels = tmp_path / "labels.csv"
    scores = pq.read_table(out / "scores.parquet").to_pylist()
    names = ("arm", "language", "kind", "prompt_id", "seed", "sample")
    lines = [",".join([*(str(row[name]) for name in names), "me", str(index % 2)]) for index, row in enumerate(scores)]
    labels.write_text("\n".join([",".join([*names, "rater", "label"]), *lines]), encoding="utf-8")
    assert redone(run_study(study, out, f"ratings={labels}", report=True)) == {"ratings", "results"}
    results = json.loads((out / "results.json").read_text())
    assert results["agreement"]["responses"] == len(scores)
    assert any(row["quantity"] == "tilt_people" for row in results["tradeoff"]["sensitivity"])
    assert "tilt by people" in (out / "report.html").read_text()
    with pytest.raises(BadInput, match=r"ratings: .*gone\.csv: no such file; without labels yet, run with --set"):
        run_study(study, out, f"ratings={tmp_path / 'gone.csv'}")
    with pytest.raises(BadInput, match=r"analysis\.labels: people decide, but the study has no ratings"):
        run_study(study, out, "analysis.labels=people")

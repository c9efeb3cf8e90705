"""Several training seeds: each has other weights and draws, and the first has the same results as it has alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from test_pipeline import CPUS, command, kill_and_finish, redone, run_study
from two_processes import run_on_two

from tarazu.align import checkpoints
from tarazu.run.plan import plan
from tarazu.seeds import derived_seed
from tarazu.study import load_study
from tarazu.study.replicates import Replicate, labels, parent_of, replicates, seeds_of

FURTHER = {"sft@1", "dpo@1", "sft_dpo@1"}


@pytest.fixture(scope="module")
def study(small_study: Path) -> Path:
    return small_study


@pytest.fixture(scope="module")
def twice(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two seeds, from an empty folder."""
    out = tmp_path_factory.mktemp("twice") / "run"
    run_study(study, out, "seeds=2", report=True)
    return out


def test_a_second_seed_adds_stages_and_changes_none_of_the_first(
    study: Path, small_run: tuple[Path, int], twice: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_run[0], out)
    alone = (out / "results.json").read_bytes()
    stages = {f"{kind}:{name}" for kind in ("arm", "responses", "rewards") for name in FURTHER}
    assert redone(run_study(study, out, "seeds=2")) == stages | {"scores", "results"}
    assert (out / "results.json").read_bytes() == (twice / "results.json").read_bytes() != alone
    assert redone(run_study(study, out, "seeds=1")) == {"scores", "results"}
    assert (out / "results.json").read_bytes() == alone


def test_every_trained_arm_has_other_weights_with_another_seed(twice: Path) -> None:
    for arm, file in (("sft", "model"), ("dpo", "model"), ("sft_dpo", "adapter_model")):
        one, two = (load_file(twice / "arms" / name / f"{file}.safetensors") for name in (arm, f"{arm}@1"))
        assert one.keys() == two.keys()
        assert any(not torch.equal(one[name], two[name]) for name in one)
    assert not (twice / "arms" / "base@1").exists()


def test_a_chain_stays_within_its_seed(twice: Path) -> None:
    """sft_dpo of the second seed is an adapter on the sft of the second seed, by a path relative to the run."""
    config = json.loads((twice / "arms" / "sft_dpo@1" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "../sft@1"
    merged = checkpoints.load_causal_lm(str(twice / "arms" / "sft_dpo@1"), key="arms").state_dict()
    name = "model.decoder.layers.0.fc1.weight"  # not adapted
    assert torch.equal(merged[name], load_file(twice / "arms" / "sft@1" / "model.safetensors")[name])
    assert not torch.equal(merged[name], load_file(twice / "arms" / "sft" / "model.safetensors")[name])
    # One reference for base, whatever the seed; one for each seed's sft.
    assert len(list((twice / "reference").glob("*.parquet"))) == 3
    for name in ("dpo", "dpo@1", "sft_dpo@1"):
        first = json.loads((twice / "arms" / name / "training.jsonl").read_text().splitlines()[0])
        assert first["loss"] == pytest.approx(0.6931, abs=1e-4)
    assert "# dpo@1 of the study small" in (twice / "arms" / "dpo@1" / "README.md").read_text()


def test_scores_contain_every_seed(twice: Path) -> None:
    rows = pq.read_table(twice / "scores.parquet").to_pylist()
    counts = {(row["arm"], row["seed"]) for row in rows}
    assert counts == {("base", 0)} | {(arm, seed) for arm in ("sft", "dpo", "sft_dpo") for seed in (0, 1)}
    assert len(rows) == 7 * 5 * 4 * 2
    texts = {seed: [row["response"] for row in rows if row["arm"] == "dpo" and row["seed"] == seed] for seed in (0, 1)}
    assert texts[0] != texts[1]
    assert json.loads((twice / "results.json").read_text())["arms"]["dpo"]["HmR"]["n"] == 2 * 5 * 4


def test_the_report_shows_the_training_of_every_seed(twice: Path) -> None:
    page = (twice / "report.html").read_text(encoding="utf-8")
    for label in ("dpo, seed 0", "dpo, seed 1", "sft_dpo, seed 1"):
        assert f"Training of {label}:" in page
    assert "Training of dpo:" not in page


def test_a_killed_run_with_seeds_ends_as_one_that_was_not(
    study: Path, small_run: tuple[Path, int], twice: Path, forked_tarazu: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(study.read_text() + "seeds: 2\n")
    kill_and_finish(forked_tarazu, path, tmp_path / "run", small_run[1], kills=3, seed=4)
    assert (tmp_path / "run" / "results.json").read_bytes() == (twice / "results.json").read_bytes()


def test_two_processes_train_every_seed(study: Path, twice: Path, tmp_path: Path) -> None:
    run_on_two([*CPUS, *command(study, tmp_path / "run", "--set", "seeds=2")[3:]])
    for arm, file in (("sft@1", "model"), ("dpo@1", "model"), ("sft_dpo@1", "adapter_model")):
        one, two = (load_file(run / "arms" / arm / f"{file}.safetensors") for run in (twice, tmp_path / "run"))
        assert max(float((one[part] - two[part]).abs().max()) for part in one) < 1e-5


def test_a_plan_lists_every_seed(study: Path, tmp_path: Path) -> None:
    stages = {row["name"]: row for row in plan(load_study(str(study), ["seeds=3"]), tmp_path / "run")["stages"]}
    for name in ("dpo", "dpo@1", "dpo@2"):
        assert {f"arm:{name}", f"responses:{name}", f"rewards:{name}"} <= stages.keys()
    assert "arm:base@1" not in stages
    # base's reference is there after the first seed: 6 operations per weight and token in place of 8.
    assert stages["arm:dpo@1"]["gflop"] == pytest.approx(stages["arm:dpo"]["gflop"] * 6 / 8)
    assert stages["arm:sft_dpo@1"]["gflop"] == stages["arm:sft_dpo"]["gflop"]


def test_replicates_of_ready_and_trained_arms(study: Path) -> None:
    ready = ["seeds=2", "arms.copy={from: dpo, method: none}", "arms.again={from: base, method: none}"]
    settings = load_study(str(study), ready).study
    assert {arm: seeds_of(settings, arm) for arm in ("base", "again", "sft", "dpo", "copy")} == {
        "base": 1,
        "again": 1,
        "sft": 2,
        "dpo": 2,
        "copy": 2,  # of another model each
    }
    assert parent_of(settings, Replicate(arm="copy", seed=1)) == Replicate(arm="dpo", seed=1)
    assert parent_of(settings, Replicate(arm="dpo", seed=1)) == Replicate(arm="base")
    order = [replicate.name for replicate in replicates(settings)]
    assert order == ["base", "sft", "dpo", "sft_dpo", "copy", "again", "sft@1", "dpo@1", "sft_dpo@1", "copy@1"]
    assert labels(settings)[Replicate(arm="dpo", seed=1)] == "dpo, seed 1"
    assert labels(settings)[Replicate(arm="base")] == "base"


def test_each_seed_has_its_own_draws() -> None:
    first, others = Replicate(arm="dpo"), [Replicate(arm="dpo", seed=seed) for seed in range(1, 50)]
    for use in (("train", "dpo"), ("generate", 0), ("generate", 1)):
        assert first.uses(*use) == use  # as before there were seeds
    seeds = {
        derived_seed(7, *replicate.uses(*use))
        for replicate in [first, *others]
        for use in (("train", "dpo"), ("generate", 0), ("generate", 1))
    }
    assert len(seeds) == 150

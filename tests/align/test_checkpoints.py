"""Unusable checkpoints are refused with one line that names the study's key."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from transformers import BertForSequenceClassification

from tarazu.align import checkpoints
from tarazu.errors import BadInput
from tarazu.files import tree_sha256


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(tiny.saved(tiny.opt(), tmp_path / "model"))


def test_a_complete_checkpoint_is_identified_by_its_bytes(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    first = checkpoints.identity(str(folder), None, "model.path")
    assert checkpoints.identity(str(tmp_path / "copy"), None, "model.path") == first
    tiny.saved(tiny.opt(seed=1), tmp_path / "copy")
    assert checkpoints.identity(str(tmp_path / "copy"), None, "model.path") != first


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "has no config.json"),
        ("tokenizer.json", "has no tokenizer"),
        ("model.safetensors", "has no safetensors weights"),
    ],
)
def test_an_incomplete_checkpoint_is_refused(folder: Path, missing: str, message: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(BadInput, match=rf"^model.path: .*{message}"):
        checkpoints.resolve(str(folder), "model.path")


def test_pickled_weights_are_not_loaded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(tiny.opt().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match="pickled weights are not loaded"):
        checkpoints.load_causal_lm(str(folder), key="model.path")


@pytest.mark.parametrize("damage", [b"", b"{", b"\x00" * 64], ids=["empty", "broken", "zeros"])
@pytest.mark.parametrize("part", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_file_gives_one_line(folder: Path, part: str, damage: bytes) -> None:
    (folder / part).write_bytes(damage)
    with pytest.raises(BadInput, match=r"^model.path: ") as caught:
        checkpoints.load_tokenizer(str(folder), key="model.path")
        checkpoints.load_causal_lm(str(folder), key="model.path")
    assert "\n" not in str(caught.value)


def test_a_language_model_is_not_accepted_as_a_reward_model(folder: Path) -> None:
    with pytest.raises(BadInput, match="lacks the weights score.weight"):
        checkpoints.load_reward_model(str(folder), key="reward.harmful.model")


def test_a_classifier_with_two_outputs_is_not_accepted_as_a_reward_model(tmp_path: Path) -> None:
    model = tiny.pair_reward()
    config = model.config
    config.num_labels = 2
    folder = tiny.saved(BertForSequenceClassification(config), tmp_path / "two")
    with pytest.raises(BadInput, match="gives 2 outputs; a reward model gives one"):
        checkpoints.load_reward_model(folder, key="reward.benign.model")


def test_names_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"model.path: \./nowhere: no such folder"):
        checkpoints.identity("./nowhere", None, "model.path")
    with pytest.raises(BadInput, match="model.path: no built-in checkpoint 'builtin:none'"):
        checkpoints.identity("builtin:none", None, "model.path")
    with pytest.raises(BadInput, match="model.path: nobody/nothing: not a local folder, and the Hub did not answer"):
        checkpoints.identity("nobody/nothing", None, "model.path")


def test_equal_adapters_are_equal_files(tmp_path: Path) -> None:
    """The order of Python sets differs between processes, but the files do not."""
    code = (
        "import sys, tiny; from pathlib import Path; from tarazu.align.checkpoints import save; import peft, torch;"
        "torch.manual_seed(0);"
        "model = peft.get_peft_model(tiny.opt(), peft.LoraConfig(target_modules=['q_proj', 'v_proj', 'fc1']));"
        "save(model, tiny.tokenizer(), Path(sys.argv[1]), base='nowhere');"
        "print(list({'q_proj', 'v_proj', 'fc1'}))"
    )
    folders, orders = [], set()
    for seed in ("1", "3"):
        folders.append(tmp_path / seed)
        folders[-1].mkdir()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code, str(folders[-1])], env=environment, check=True, capture_output=True
        )
        orders.add(done.stdout.splitlines()[-1])
    assert len(orders) == 2
    assert len({tree_sha256(folder) for folder in folders}) == 1

"""A killed training resumes from its last checkpoint and ends with the same weights to the bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tarazu.files import tree_sha256

METHODS = {
    "sft": "SFTArm(method='sft', batch_size=4, epochs=8, learning_rate=1e-3, model_dropout=0.1)",
    "dpo": "DPOArm(method='dpo', batch_size=4, epochs=8, learning_rate=1e-3)",
    "lora": "DPOArm(method='dpo', batch_size=4, epochs=8, learning_rate=1e-3, lora={'r': 4, 'dropout': 0.1})",
}

# Trains with a checkpoint at every step, and writes the weights and the curve. Prints the step from which training
# resumed and the seconds that it took. If the third argument is positive, kills itself when that share of the steps is
# done, or after the first step if more are, and a part of a step's time (the fourth argument) has passed.
TRAINING = """
import json, os, signal, sys, threading, time, tiny
from pathlib import Path
from tarazu.align.checkpoints import save
from tarazu.align.tokens import tokenize_pairs
from tarazu.conversation.formats import Format
from tarazu.align.train import train
from tarazu.align.trainer import TrainingRun
from tarazu.study.schema import DPOArm, SFTArm
folder, out, share, part = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
began, ending = [], []
def progress(done, total, state):
    if "loss" in state and not began:
        began.append(time.monotonic())
        print(done - 1, flush=True)
    elif began and share and not ending and done >= share * total:
        step = (time.monotonic() - began[0]) / max(1, done)
        ending.append(threading.Timer(part * step, os.kill, (os.getpid(), signal.SIGKILL)))
        ending[0].start()
pairs, _ = tokenize_pairs(tiny.pairs(12), Format(tiny.tokenizer()), max_length=512)
run = TrainingRun(pad_id=1, seed=3, progress=progress, folder=folder, checkpoint_seconds=0.0)
model, curve = train(tiny.opt(), pairs, {arm}, run)
print(time.monotonic() - began[0] if began else 0, flush=True)
out.mkdir()
save(model, tiny.tokenizer(), out, base="nowhere")
(out / "curve.json").write_text(json.dumps(curve, sort_keys=True))
os._exit(0)
"""


def training(
    forked: list[str], method: str, folder: Path, out: Path, share: float = 0.0, part: float = 0.0
) -> list[float]:
    """The step from which training resumed and, if it finished, the seconds that it took. It is killed when a share of
    its steps is done and a part of a step's time has passed."""
    code = TRAINING.replace("{arm}", METHODS[method])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])}
    command = [*forked, "-c", code, str(folder), str(out), str(share), str(part)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return [float(line) for line in done.stdout.split()]


def check(forked: list[str], method: str, tmp_path: Path, kills: int, seed: int) -> None:
    _, seconds = training(forked, method, tmp_path / "uninterrupted-folder", tmp_path / "uninterrupted")
    generator = random.Random(seed)
    folder, out = tmp_path / "folder", tmp_path / "out"
    starts = []
    for _ in range(kills):
        starts += training(forked, method, folder, out, generator.uniform(0.05, 0.5), generator.random())[:1]
        if out.exists():
            break
    if not out.exists():
        starts += training(forked, method, folder, out)[:1]
    print(f"{method}: resumed from steps {starts[1:]} of a training of {seconds:.1f} s")
    assert max(starts[1:]) > 0
    assert tree_sha256(out) == tree_sha256(tmp_path / "uninterrupted")


@pytest.mark.parametrize("method", ["sft", "lora"])
def test_a_killed_training_ends_like_an_uninterrupted_one(
    method: str, forked_tarazu: list[str], tmp_path: Path
) -> None:
    check(forked_tarazu, method, tmp_path, kills=2, seed=5)


@pytest.mark.proof
@pytest.mark.parametrize("method", METHODS)
def test_many_kills(method: str, forked_tarazu: list[str], tmp_path: Path) -> None:
    check(forked_tarazu, method, tmp_path, kills=15, seed=6)


def test_training_does_not_resume_from_an_incomplete_checkpoint(tmp_path: Path) -> None:
    from tarazu.align.trainer import last_complete_checkpoint

    for step, complete in ((3, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if complete:
            (tmp_path / f"checkpoint-{step}" / "complete").touch()
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert not (tmp_path / "checkpoint-11").exists()
    assert last_complete_checkpoint(tmp_path / "nothing") is None

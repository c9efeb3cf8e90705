"""Shards of responses: they survive a kill, are not requested again, and the final bytes are the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import tiny

from tarazu.errors import TarazuError
from tarazu.files import file_sha256
from tarazu.respond.engine import Request, Response
from tarazu.run.responses import answer_in_shards

REQUESTS = [Request(ids=(1,) * (1 + index % 7), budget=4, seed=index) for index in range(23)]


class Parrot:
    """Answers with the request's seed, and fails at shard `fail_at`."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.requested: list[int] = []
        self.opened = 0
        self.fail_at = fail_at

    @contextmanager
    def open(self) -> Iterator[Any]:
        self.opened += 1
        yield self

    def answer(self, requests: Sequence[Request], progress: Any) -> tuple[list[Response], dict[str, int]]:
        if self.fail_at == len(self.requested):
            raise TarazuError("the server went away")
        self.requested.append(len(requests))
        progress(len(requests), len(requests), "responses")
        responses = [Response(text=f"Nr. {one.seed} ⚖", finish="eos", tokens=one.seed) for one in requests]
        return responses, {"odd": sum(one.seed % 2 for one in requests)}


def answered(parrot: Parrot, folder: Path, of: str = "a", progress: Any = tiny.silent) -> Any:
    return answer_in_shards(parrot.open, REQUESTS, folder=folder, fingerprint=of, progress=progress, size=5)


def test_responses_have_the_order_of_the_requests(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    parrot = Parrot()
    responses, notes = answered(parrot, tmp_path / "s", progress=lambda done, of, _: steps.append((done, of)))
    assert [one.tokens for one in responses] == list(range(23))
    assert notes == {"odd": 11}
    assert parrot.requested == [5, 5, 5, 5, 3]
    assert steps == [(5, 23), (10, 23), (15, 23), (20, 23), (23, 23)]


def test_finished_shards_survive_the_failure_of_an_engine(tmp_path: Path) -> None:
    expected = answered(Parrot(), tmp_path / "other")
    with pytest.raises(TarazuError, match="went away"):
        answered(Parrot(fail_at=2), tmp_path / "s")
    again = Parrot()
    assert answered(again, tmp_path / "s") == expected
    assert again.requested == [5, 5, 3]
    none = Parrot()
    assert answered(none, tmp_path / "s") == expected
    assert none.opened == 0


def test_shards_with_another_fingerprint_are_not_used(tmp_path: Path) -> None:
    answered(Parrot(), tmp_path / "s", of="a")
    again = Parrot()
    answered(again, tmp_path / "s", of="b")
    assert again.requested == [5, 5, 5, 5, 3]


# Answers 60 prompts in shards of 6 with a real model, and records each requested shard. Kills itself the given number
# of seconds after the first shard, if that is more than 0.
RESPONDING = """
import os, signal, sys, threading, time, tiny
from pathlib import Path
from tarazu.data.rows import Prompt
from tarazu.files import clear_leftovers
from tarazu.run import responses
from tarazu.run.responses import Answerer, write_responses
from tarazu.respond._transformers import TransformersEngine
from tarazu.study import load_study
from tarazu.study.replicates import Replicate
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
clear_leftovers(folder)
responses.answer_in_shards.__kwdefaults__["size"] = 6
answer = TransformersEngine.answer
began = []
def noted(self, requests, progress):
    with open(folder / "requested", "a") as stream:
        stream.write(f"{requests[0].seed}\\n")
    if not began:
        began.append(time.monotonic())
        if seconds:
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return answer(self, requests, progress)
TransformersEngine.answer = noted
study = load_study("demo", ["generation.max_new_tokens=24", "generation.sampling={temperature: 1.0}",
                            "generation.samples=2"]).study
prompts = [Prompt(prompt_id=str(i), language="en", kind="benign", source="t", text="word " * (i % 9 + 1))
           for i in range(30)]
answerer = Answerer(study=study, replicate=Replicate(arm="base"), prompts=prompts, folder=Path(sys.argv[3]),
                    load_model=lambda: tiny.perturbed(tiny.opt(), seed=1, size=0.4))
write_responses(folder / "responses" / "base.parquet", answerer, "x", lambda *_: None)
print(time.monotonic() - began[0] if began else 0.0, flush=True)
os._exit(0)
"""


def responding(forked: list[str], folder: Path, model: str, kill_after: float = 0.0) -> float | None:
    """Seconds from the first shard to the end; None if it was killed."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(tiny.__file__).parent), *sys.path])}
    command = [*forked, "-c", RESPONDING, str(folder), str(kill_after), model]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return float(done.stdout) if done.returncode == 0 else None


def killed_at_random(forked: list[str], tmp_path: Path, kills: int, seed: int) -> None:
    model = tiny.saved(tiny.opt(), tmp_path / "model")
    seconds = responding(forked, tmp_path / "undisturbed", model)
    assert seconds is not None
    folder = tmp_path / "killed"
    draw = random.Random(seed)
    ended = 0
    for _ in range(kills):
        if responding(forked, folder, model, draw.uniform(0.1, 0.8) * seconds) is not None:
            ended += 1
            break
    if not ended:
        assert responding(forked, folder, model) is not None
    parquet = Path("responses") / "base.parquet"
    assert file_sha256(folder / parquet) == file_sha256(tmp_path / "undisturbed" / parquet)
    assert [item.name for item in (folder / "responses").iterdir()] == ["base.parquet"]
    requested = (folder / "requested").read_text().splitlines()
    shards = (tmp_path / "undisturbed" / "requested").read_text().splitlines()
    assert len(shards) == 10
    # Only the shard that a kill interrupted is requested again.
    assert [one for one, _ in groupby(requested)] == shards
    assert len(requested) <= len(shards) + kills


def test_a_killed_stage_repeats_no_finished_shard_and_gives_the_same_result(
    forked_tarazu: list[str], tmp_path: Path
) -> None:
    killed_at_random(forked_tarazu, tmp_path, kills=1, seed=1)


@pytest.mark.proof
def test_many_kills(forked_tarazu: list[str], tmp_path: Path) -> None:
    killed_at_random(forked_tarazu, tmp_path, kills=15, seed=2)

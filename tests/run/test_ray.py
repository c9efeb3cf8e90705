"""A study on a Ray cluster of two nodes: the same bytes as in one process, also where workers and nodes are killed."""

from __future__ import annotations

import io
import os
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
import torch
import yaml
from small_study import write_small_study

from tarazu.cli import main
from tarazu.errors import BadInput, MissingExtra
from tarazu.files import file_sha256
from tarazu.progress import Progress
from tarazu.run import _ray, pipeline
from tarazu.run.pipeline import run
from tarazu.study import load_study

# Read when ray is imported: the cluster listens on this machine's loopback only, reports to nobody, and does not give
# way to all else (nice 15), which on a busy machine is to stand still.
os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
# Ray holds back a message that repeats another within these seconds, and prints it when it shuts down: the second
# worker that dies is always such a case.
os.environ["RAY_DEDUP_LOGS_AGG_WINDOW_S"] = "3600"

LIMIT = 300.0
"""How many seconds to wait for something that takes a few on an idle machine."""
OVERRIDES = ("generation.samples=13", "generation.sampling={temperature: 1.0}", "arms.dpo.epochs=4")
"""520 responses of an arm, which make two shards; and an arm whose training is long enough to be killed."""
BEGINS = re.compile(r"(.+): begins on (first|second) \(process (\d+)\)")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its judge of harmful prompts is a guard, which gives labels."""
    folder = tmp_path_factory.mktemp("small")
    path = write_small_study(folder)
    guard = tiny.saved(tiny.classifier({0: "fine", 1: "violent"}), folder / "guard")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["reward"]["harmful"] = {"kind": "guard", "model": guard, "bad_labels": ["violent"]}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def without_reports() -> Iterator[None]:
    """The command's process draws them, as everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "write_report", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def here(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("here") / "run"
    run(load_study(str(study), OVERRIDES), out, fresh=False, progress=Progress(io.StringIO()))
    torch.set_num_threads(threads)
    return out


@pytest.fixture(autouse=True)
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of Ray's files. Not tmp_path: the paths of its sockets may have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder, "ray")


@pytest.fixture
def cluster(ray_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one processor each; none of their processes outlives the test."""
    from ray.cluster_utils import Cluster

    before = {process.pid for process in psutil.Process().children(recursive=True)}
    ray_folder.mkdir()  # `Cluster` writes the file with its address into it and does not create it
    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.1"}
    head = {**node, "node_name": "first", "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    threads = torch.get_num_threads()
    try:
        nodes.second = nodes.add_node(**node, node_name="second")
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        torch.set_num_threads(1)
        yield nodes
    finally:
        torch.set_num_threads(threads)
        family = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
        nodes.shutdown()
        _, alive = psutil.wait_procs(family, timeout=30)
        for process in alive:
            process.kill()


class Log(io.StringIO):
    """The progress of a run, which calls a function when a task begins, with the task's label, node and process id."""

    def __init__(self, on_begin: Callable[[str, str, int], None]) -> None:
        super().__init__()
        self.on_begin = on_begin

    def write(self, text: str) -> int:
        if found := BEGINS.fullmatch(text.strip()):
            self.on_begin(found[1], found[2], int(found[3]))
        return super().write(text)

    def counts(self, pattern: str) -> Counter[str]:
        return Counter(found[1] for line in self.getvalue().splitlines() if (found := re.fullmatch(pattern, line)))


def wait_for(path: Path) -> None:
    end = time.monotonic() + LIMIT
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.005)


class Killer:
    """Kills the workers of one training and of one shard while they work, once each."""

    def __init__(self, out: Path) -> None:
        self.left = {
            "arm:dpo": out / ".training" / "dpo" / "of",
            "responses:sft, 1 of 2": out / "responses" / ".sft.shards" / "of",
        }
        self.out = out
        self.finished: dict[Path, int] = {}

    def __call__(self, label: str, _: str, pid: int) -> None:
        if label not in self.left:
            return
        wait_for(self.left.pop(label))
        assert "ray::" in " ".join(psutil.Process(pid).cmdline())
        os.kill(pid, signal.SIGKILL)
        records = [*self.out.glob(".stages/*.json"), *self.out.glob("responses/*.parquet")]
        self.finished |= {path: path.stat().st_mtime_ns for path in records}


def check_same(out: Path, here: Path) -> None:
    files = ["results.json", "scores.parquet", "known_answers.parquet", "data.json"]
    files += [f"{kind}/{arm}.parquet" for kind in ("responses", "rewards") for arm in ("base", "sft", "dpo", "sft_dpo")]
    files += [f"arms/{arm}/model.safetensors" for arm in ("base", "sft", "dpo")]
    for name in (*files, "arms/sft_dpo/adapter_model.safetensors"):
        assert file_sha256(out / name) == file_sha256(here / name), name
    assert not list(out.rglob(".*.partial"))
    assert not list(out.rglob(".*.shards"))


def works(pid: int) -> bool:
    """Whether a process of this program is still running. One that has ended but has not been waited for is not."""
    try:
        return "tarazu" in " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:  # or a zombie, which psutil counts among them
        return False


def test_killed_workers_lose_nothing_and_no_work_is_repeated(
    study: Path, here: Path, cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    killer = Killer(out)
    log = Log(killer)
    loaded = load_study(str(study), OVERRIDES)
    run(loaded, out, fresh=False, progress=Progress(log), executor="ray")
    said = log.getvalue()
    assert capsys.readouterr().out == ""  # that is for results
    assert not killer.left, said
    check_same(out, here)
    # Each stage and shard ended once, and began once more for each time that its worker died.
    ended = log.counts(r"(.+): [\d.]+ s on (?:first|second)")
    begun = log.counts(BEGINS.pattern)
    died = log.counts(r"(.+): its worker on \w+ died; starting it again")
    assert set(ended.values()) == {1}, said
    assert begun == {label: 1 + died.get(label, 0) for label in ended}, said
    # A worker that is hit may have gone on to another task, which then dies in place of the first.
    assert 1 <= sum(died.values()) <= 2, said
    assert {"responses:dpo", "responses:dpo, 1 of 2", "responses:dpo, 2 of 2", "rewards:base"} <= set(ended)
    assert set(re.findall(r" s on (\w+)\n", said)) == {"first", "second"}, said
    # What was there when a worker was killed is the same file still.
    assert killer.finished
    assert {path: path.stat().st_mtime_ns for path in killer.finished} == killer.finished

    # The run folder is one like any other: nothing is left to do for a single process.
    again = io.StringIO()
    run(loaded, out, fresh=False, progress=Progress(again))
    assert all(line.endswith("up to date") for line in again.getvalue().splitlines()[1:-1]), again.getvalue()

    # What a worker refuses is one line for the user, and nothing of the run is left running.
    other = tmp_path / "other"
    sets = [text for one in (*OVERRIDES, "arms.sft.learning_rate=1e30") for text in ("--set", one)]
    assert main(["run", str(study), "--out", str(other), *sets, "--executor", "ray"]) == 2
    told = capsys.readouterr().err
    assert told.splitlines()[-1].startswith("tarazu: ")
    assert "training diverged" in told.splitlines()[-1]
    assert "Traceback" not in told
    pids = [int(found[3]) for found in BEGINS.finditer(told)]
    assert pids
    assert not [pid for pid in pids if works(pid)]
    assert not (other / "arms" / "sft").exists()
    assert not list(other.rglob(".*.partial"))

    # A stage computes with as many threads as the command has: more than a node has processors is refused.
    torch.set_num_threads(2)
    with pytest.raises(BadInput, match="torch has 2 threads here, .* more than 1 CPUs; set OMP_NUM_THREADS to 1"):
        run(loaded, tmp_path / "third", fresh=False, progress=Progress(io.StringIO()), executor="ray")


@pytest.mark.proof
def test_a_node_that_dies_loses_nothing(study: Path, here: Path, cluster: Any, tmp_path: Path) -> None:
    hit: list[str] = []

    def remove_second(label: str, node: str, _: int) -> None:
        if node == "second" and not hit:
            hit.append(label)
            cluster.remove_node(cluster.second, allow_graceful=False)

    log = Log(remove_second)
    run(load_study(str(study), OVERRIDES), tmp_path / "run", fresh=False, progress=Progress(log), executor="ray")
    assert hit, log.getvalue()
    assert f"{hit[0]}: its worker on second died; starting it again" in log.getvalue()
    check_same(tmp_path / "run", here)


@pytest.mark.proof
def test_without_an_address_a_local_cluster_is_started_and_stopped(
    study: Path, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    log = io.StringIO()
    run(load_study(str(study), OVERRIDES), tmp_path / "run", fresh=False, progress=Progress(log), executor="ray")
    torch.set_num_threads(threads)
    check_same(tmp_path / "run", here)
    left = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
    assert not psutil.wait_procs(left, timeout=30)[1]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("RAY_ADDRESS", "ray://localhost:10001", "RAY_ADDRESS: give the address of the cluster itself"),
        ("RAY_ADDRESS", "127.0.0.1:1", "nothing answers at 127.0.0.1:1 .*; is the cluster running"),
        ("WORLD_SIZE", "2", "does not work under `accelerate launch`"),
    ],
)
def test_unusable_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadInput, match=message):
        _ray.need_ray()


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ray, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'tarazu\[ray\]'"):
        _ray.need_ray()

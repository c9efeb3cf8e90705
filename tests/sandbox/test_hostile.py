"""Hostile scripts run in the sandbox under small limits: each is contained, and what it tried is reported.

Every script in tests/sandbox/hostile/ reports which of its attempts succeeded. The tests also inspect the host, because
a script's own report cannot be trusted.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gate_records import edit, imported_record, reseal

import tarazu
from tarazu.errors import BadInput
from tarazu.record.claims.empirical import BadResults, read_results
from tarazu.record.reading import check_artifacts, read_record
from tarazu.record.verify.gate import verify
from tarazu.record.verify.rerun import Tampered, rerun
from tarazu.sandbox import runner
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, Outcome, run, unavailable

HOSTILE = Path(__file__).parent / "hostile"
SMALL = Limits(seconds=20, memory_mib=256, file_mib=16, processes=48)
# Only the time limit ends some scripts, so the limit is how long those tests take.
BRIEF = SMALL.model_copy(update={"seconds": 1})


def attack(name: str, folder: Path, limits: Limits = SMALL, target: str = "") -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((HOSTILE / name).read_bytes())
    (folder / "target.txt").write_text(target, encoding="utf-8")
    folder.chmod(0o755)
    return run([PYTHON, f"{FOLDER}/{name}", FOLDER, OUT], folder=folder, limits=limits)


def succeeded(outcome: Outcome) -> list[str]:
    """The attempts that the script reports as successful. It must have run to its end, or its report says nothing."""
    assert outcome.ended == "done" and outcome.result is not None, outcome
    attempts = json.loads(outcome.result)["succeeded"]
    assert isinstance(attempts, list)
    return attempts


def command_lines() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def test_this_machine_has_a_sandbox() -> None:
    # Without a sandbox every test below would be vacuous, so a machine that runs the tests must have one.
    assert unavailable() is None


def test_every_hostile_script_has_a_test() -> None:
    # Each script must be named in this file.
    source = Path(__file__).read_text(encoding="utf-8")
    scripts = sorted(path.name for path in HOSTILE.glob("*.py"))
    assert len(scripts) == 25
    assert [name for name in scripts if f'"{name}"' not in source] == []


def test_the_network_cannot_be_reached(tmp_path: Path) -> None:
    name, heard = f"tarazu-test-{os.getpid()}", []
    with (
        socket.create_server(("127.0.0.1", 0)) as host,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        port = host.getsockname()[1]
        datagrams.bind(("127.0.0.1", port))
        abstract.bind("\0" + name)
        abstract.listen()
        for listening in (host, datagrams, abstract):
            listening.settimeout(0.05)
        # The targets are real: from outside the sandbox they can be reached.
        socket.create_connection(("127.0.0.1", port)).close()
        host.accept()
        assert succeeded(attack("network.py", tmp_path / "in", target=f"{port} {name}")) == []
        for listening, hear in (
            (host, host.accept),
            (abstract, abstract.accept),
            (datagrams, lambda: datagrams.recv(9)),
        ):
            try:
                heard.append((listening, hear()))
            except TimeoutError:
                continue
    assert heard == []


def test_secrets_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARAZU_TEST_SECRET", "TARAZU_TEST_SECRET")
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret", encoding="utf-8")
    secret.chmod(0o644)
    assert succeeded(attack("read_secrets.py", tmp_path / "in", target=str(secret))) == []


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    before = Path(tarazu.__file__).read_bytes()
    assert succeeded(attack("write_outside.py", tmp_path / "in", target=str(tmp_path))) == []
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "target.txt", "write_outside.py"]
    assert Path(tarazu.__file__).read_bytes() == before


def test_privileges_cannot_be_gained(tmp_path: Path) -> None:
    assert succeeded(attack("gain_privileges.py", tmp_path)) == []


def test_a_fork_bomb_stays_within_its_processes(tmp_path: Path) -> None:
    most, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            most[0] = max(most[0], sum("fork_without_end.py" in line for line in command_lines()))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for attempt in range(5):  # a busy machine may not come to fork in its second
        outcome = attack("fork_without_end.py", tmp_path / str(attempt), BRIEF)
        assert outcome.ended == "timeout" and "its 1 s" in outcome.problem
        if most[0] > 3:
            break
    stop.set()
    watcher.join()
    # The arguments of bubblewrap's two processes contain the name too. The limit does not count them.
    assert 3 < most[0] <= SMALL.processes + 3
    assert not any("fork_without_end.py" in line for line in command_lines())


def test_memory_of_one_process_is_bounded(tmp_path: Path) -> None:
    outcome = attack("eat_memory.py", tmp_path)
    assert outcome.ended == "failed" and "MemoryError" in outcome.problem


def test_memory_of_all_processes_together_is_bounded(tmp_path: Path) -> None:
    outcome = attack("eat_memory_together.py", tmp_path)
    assert outcome.ended == "memory" and "256 MiB" in outcome.problem


def test_disk_use_is_bounded_and_stays_in_memory(tmp_path: Path) -> None:
    outcome = attack("eat_disk.py", tmp_path)
    assert outcome.result is not None, outcome
    # /tmp and /dev/shm hold a little less than file_mib each: the file systems need some of it.
    assert 0 < json.loads(outcome.result)["written_mib"] <= 2 * SMALL.file_mib


def test_memory_of_the_kernel_is_refused(tmp_path: Path) -> None:
    assert succeeded(attack("kernel_memory.py", tmp_path)) == []


def test_the_attempts_on_the_kernel_succeed_outside(tmp_path: Path) -> None:
    # Otherwise the test above would be vacuous. (Only those that hold nothing after the program has ended.)
    done = subprocess.run([PYTHON, HOSTILE / "kernel_memory.py", "", tmp_path], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    attempts = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["succeeded"]
    assert {"full buffers of socket pairs", "a large pipe", "memfd", "watches", "an event loop's pair"} <= set(attempts)


def test_empty_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MOST_FILES", 2000)
    outcome = attack("many_files.py", tmp_path)
    assert outcome.ended == "memory" and "its 2000 files" in outcome.problem and outcome.seconds < 10


def test_files_of_the_host_are_not_counted() -> None:
    # While a sandbox is set up, its root is still the host's.
    assert runner.files_in(Path("/")) == 0 and runner.files_in(None) == 0


@pytest.mark.parametrize("name", ["run_for_ever.py", "sleep_for_ever.py", "noise.py"])
def test_time_and_output_are_bounded(name: str, tmp_path: Path) -> None:
    outcome = attack(name, tmp_path, BRIEF)
    # One second, plus the time that a busy machine needs to start and stop the program.
    assert outcome.ended == "timeout" and outcome.seconds < 10
    assert max(len(outcome.stdout), len(outcome.stderr)) <= 64 * 1024


def test_printed_output_is_not_a_result(tmp_path: Path) -> None:
    outcome = attack("print_fake_result.py", tmp_path)
    assert (outcome.ended, outcome.result, outcome.problem) == ("done", None, "it wrote no result")
    assert "tarazu/results/v2" in outcome.stdout


@pytest.mark.parametrize("name", ["forge_answer.py", "kill_the_launcher.py"])
def test_a_broken_answer_is_not_a_result(name: str, tmp_path: Path) -> None:
    outcome = attack(name, tmp_path)
    assert outcome.result is None and outcome.problem


def test_a_daemon_is_ended_with_the_run(tmp_path: Path) -> None:
    outcome = attack("leave_daemon.py", tmp_path)
    assert succeeded(outcome) == []
    assert not any("tarazu-left-behind" in line for line in command_lines())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("result_is_a_link.py", "cannot be read"),
        ("folder_is_a_link.py", "no result"),
        ("result_is_a_pipe.py", "not a plain file"),
        ("result_is_a_folder.py", "not a plain file"),
        ("result_is_huge.py", "larger than"),
    ],
)
def test_only_a_plain_file_counts_as_a_result(name: str, reason: str, tmp_path: Path) -> None:
    outcome = attack(name, tmp_path, SMALL.model_copy(update={"file_mib": 80}))
    assert outcome.result is None and reason in outcome.problem


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("result_is_not_finite.py", "NaN is not JSON"),
        ("result_is_deep.py", "too deeply"),
        ("result_says_it_twice.py", "duplicate key"),
    ],
)
def test_hostile_results_are_refused(name: str, reason: str, tmp_path: Path) -> None:
    outcome = attack(name, tmp_path)
    assert outcome.result is not None
    with pytest.raises(BadResults, match=reason):
        read_results(outcome.result)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("manifest.json", lambda one: one["artifacts"][0].update(path="../outside")),
        ("manifest.json", lambda one: one["artifacts"][0].update(path="/etc/passwd")),
        ("manifest.json", lambda one: one["artifacts"][0].update(path="repro/../../outside")),
        ("manifest.json", lambda one: one["artifacts"][0].update(path="repro\\..\\outside")),
        ("repro/repro.json", lambda one: one["depths"]["analysis"].update(script="../outside.py")),
        ("repro/repro.json", lambda one: one["depths"]["analysis"].update(inputs=["/etc/shadow"])),
        ("repro/repro.json", lambda one: one["depths"]["analysis"].update(inputs=["claims.json"])),
        ("repro/repro.json", lambda one: one["depths"]["analysis"]["limits"].update(seconds=10**9)),
        ("claims.json", lambda one: one["claims"][1].update(source="../../outside.md")),
    ],
)
def test_paths_that_leave_the_record_are_bad_input(file: str, change: Any, tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    edit(record / file, change)
    with pytest.raises(BadInput):
        verify(record)
    assert not (record / "gate.json").exists()


@pytest.mark.parametrize("name", ["scores.parquet", "repro/analysis.py", "sources/study.md", "more", "gate.json"])
def test_links_in_a_record_are_bad_input(name: str, tmp_path: Path) -> None:
    # A link is refused even if its target has the right digest: the target can change after the check.
    record = imported_record(tmp_path)
    outside = tmp_path / "outside"
    outside.write_bytes((record / name).read_bytes() if (record / name).exists() else b"x")
    (record / name).unlink(missing_ok=True)
    (record / name).symlink_to(outside)
    with pytest.raises(BadInput, match="is a link"):
        verify(record)
    assert outside.exists()


@pytest.mark.parametrize("name", ["scores.parquet", "repro/analysis.py"])
def test_what_changes_after_its_check_is_not_run(name: str, tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    with (record / "repro" / "analysis.py").open("a", encoding="utf-8") as script:
        script.write("# the author's own\n")  # the package's script is not taken from the record
    reseal(record)
    checked = read_record(record)
    assert not check_artifacts(checked)
    (record / name).write_text("print('other')", encoding="utf-8")
    with pytest.raises(Tampered, match=re.escape(name)):
        rerun(checked, "analysis")

"""Control groups around the sandbox, on a folder that has the files of one. No test moves a process of this machine.

What the kernel does with the limits is not tested. These tests say which limits are set, that a command enters its
group before it starts, and that a machine without control groups is noticed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gate_records import imported_record, share_sealed_work

from tarazu.record.verify import verification
from tarazu.record.verify.gate import verify
from tarazu.sandbox import cgroup, runner
from tarazu.sandbox.cgroup import PER_PROCESS, Entry, Grouping, NoGroup, delegated, group_below
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import OUT, PYTHON, NoSandbox, run

LIMITS = Limits(seconds=20, memory_mib=1024, file_mib=16, processes=32)
WRITES = [PYTHON, "-c", f"open('{OUT}/results.json', 'w').write('done')"]


def group_of(root: Path, path: str, *, controllers: str, shared: str, processes: str = "") -> Path:
    """A folder with the files of a control group, and the file that names it, as the kernel shows them."""
    folder = root / path.lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("cgroup.controllers", controllers),
        ("cgroup.subtree_control", shared),
        ("cgroup.procs", processes),
    ):
        (folder / name).write_text(text, encoding="ascii")
    (root / "own").write_text(f"4:memory:/old\n0::{path}\n", encoding="ascii")
    return folder


def made(parent: Path) -> list[Path]:
    return [folder for folder in parent.iterdir() if folder.name.startswith("tarazu-")]


def test_a_group_that_shares_out_memory_and_tasks_is_used(tmp_path: Path) -> None:
    folder = group_of(tmp_path, "/user/mine.scope", controllers="cpu memory pids", shared="memory pids")
    assert delegated(tmp_path, tmp_path / "own") == folder
    (trial,) = made(folder)
    assert (trial / "memory.max").read_text() == str((4096 + 1024 + 128) << 20)
    assert (trial / "pids.max").read_text() == str(64 + 8)
    assert (trial / "memory.swap.max").read_text() == "0"


def test_a_group_of_this_process_alone_is_divided(tmp_path: Path) -> None:
    folder = group_of(tmp_path, "/mine.scope", controllers="memory pids", shared="", processes=f"{os.getpid()}\n")
    assert delegated(tmp_path, tmp_path / "own") == folder
    assert (folder / "cgroup.subtree_control").read_text() == "+memory +pids"
    moved = [one for one in made(folder) if not (one / "memory.max").exists()]
    assert [(one / "cgroup.procs").read_text() for one in moved] == [str(os.getpid())]


@pytest.mark.parametrize(
    ("path", "controllers", "shared"),
    [("/a", "cpu", ""), ("/a", "memory", "memory"), ("/a", "", ""), ("/../a", "memory pids", "memory pids")],
)
def test_other_groups_are_not_used(path: str, controllers: str, shared: str, tmp_path: Path) -> None:
    group_of(tmp_path / "root", path, controllers=controllers, shared=shared)
    assert delegated(tmp_path / "root", tmp_path / "root" / "own") is None
    assert delegated(tmp_path / "absent", tmp_path / "root" / "own") is None
    assert delegated(tmp_path / "root", tmp_path / "no such file") is None


def test_a_limit_that_is_not_kept_is_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = group_of(tmp_path, "/a", controllers="memory pids", shared="memory pids")
    monkeypatch.setattr(cgroup.secrets, "token_hex", lambda size: "full")
    (folder / "tarazu-full").mkdir()
    assert delegated(tmp_path, tmp_path / "own") is None  # the name is taken
    monkeypatch.setattr(Path, "write_text", lambda *arguments, **options: 0)
    monkeypatch.setattr(cgroup.secrets, "token_hex", lambda size: "lost")
    with pytest.raises(NoGroup), group_below(folder, LIMITS):
        pass


def limited_by(monkeypatch: pytest.MonkeyPatch, grouping: Grouping) -> None:
    monkeypatch.setattr(runner, "how_limited", lambda: grouping)


def test_a_program_enters_its_group_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = tmp_path / "group"
    parent.mkdir()
    limited_by(monkeypatch, Grouping("cgroup", lambda limits: group_below(parent, limits)))
    inputs = tmp_path / "inputs"
    inputs.mkdir(mode=0o755)
    assert run(WRITES, folder=inputs, limits=LIMITS).result == b"done"
    (group,) = made(parent)
    assert (group / "cgroup.procs").read_text() == "0\n"  # the kernel reads 0 as the process that writes
    assert (group / "memory.max").read_text() == str((1024 + 16 + 128) << 20)
    assert (group / "pids.max").read_text() == str(32 + 8)


def test_a_program_that_cannot_enter_its_group_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def closed(limits: Limits) -> Iterator[Entry]:
        with group_below(tmp_path, limits) as entry:
            Path(entry.prefix[-1]).mkdir()  # so that nothing can be written there
            yield entry

    limited_by(monkeypatch, Grouping("cgroup", closed))
    tmp_path.chmod(0o755)
    outcome = run(WRITES, folder=tmp_path, limits=LIMITS)
    assert (outcome.ended, outcome.result) == ("failed", None)


def test_an_end_for_want_of_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n", encoding="ascii")
    assert cgroup._ran_out(tmp_path) is True
    (tmp_path / "memory.events").write_text("oom 0\noom_kill 0\n", encoding="ascii")
    assert cgroup._ran_out(tmp_path) is False and cgroup._ran_out(tmp_path / "absent") is False


def test_a_group_that_cannot_be_made_is_no_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited_by(monkeypatch, Grouping("cgroup", lambda limits: group_below(tmp_path / "gone", limits)))
    with pytest.raises(NoSandbox, match="the control group cannot be made"):
        run(WRITES, folder=tmp_path, limits=LIMITS)


def test_a_scope_must_have_its_limits(tmp_path: Path) -> None:
    """A program in the place of systemd-run; the real one needs systemd."""
    folder = tmp_path / "scope"
    folder.mkdir()
    program = tmp_path / "systemd-run"
    program.write_text(
        '#!/bin/sh\necho "$@" > "$(dirname "$0")/arguments"\nwhile [ "$1" != -- ]; do shift; done\nshift; exec "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    assert cgroup._has_limits((str(program), "--scope"), tmp_path) is False  # nothing has limits there
    assert f"-p MemoryMax={(4096 + 1024 + 128) << 20} -p MemorySwapMax=0 -p TasksMax=72 --" in (
        (tmp_path / "arguments").read_text()
    )
    own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    here = tmp_path / next((line[3:] for line in own if line.startswith("0::")), "/").lstrip("/")
    here.mkdir(parents=True, exist_ok=True)
    (here / "memory.max").write_text(f"{(4096 + 1024 + 128) << 20}\n", encoding="ascii")
    (here / "pids.max").write_text("72\n", encoding="ascii")
    assert cgroup._has_limits((str(program), "--scope"), tmp_path) is True
    (here / "pids.max").write_text("max\n", encoding="ascii")
    assert cgroup._has_limits((str(program), "--scope"), tmp_path) is False


def test_the_verdict_says_which_limits_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = imported_record(tmp_path)
    assert verify(record).sandbox["limits"] in ("cgroup", "per process")
    monkeypatch.setattr(verification.sandbox, "how_limited", lambda: PER_PROCESS)
    assert verify(record).sandbox["limits"] == "per process"

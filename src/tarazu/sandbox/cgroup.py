"""A control group (version 2) around a sandbox, where the machine allows one: the kernel then bounds memory and tasks.

Without one, the limits of each process and the monitor's checks hold (see `runner`). They do not count the kernel's own
memory, such as buffers of pipes, and notice an excess of memory only at the next check. A control group is a limit
more: none of the others is dropped.

Two ways are tried, in this order:

- *delegated*: the kernel lets this process make groups below its own, with limits of memory and tasks. This holds for
  root without systemd, in a container with a writable /sys/fs/cgroup, and in a scope or service with `Delegate=yes`
  that runs nothing else. This process then moves to a group of its own below, since a group that has processes cannot
  share out memory.
- *systemd*: `systemd-run --scope`, of the user's own manager, or of the system's for root. A trial reads the limits
  that the kernel really has.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tarazu.sandbox.limits import Limits

ROOT: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")
_NEEDED: Final = {"memory", "pids"}
_SPARE_MIB: Final = 128
"""For the sandbox's own programs and /dev/shm."""
_SPARE_TASKS: Final = 8
_RUNTIME: Final = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
_SHOW_LIMITS: Final = 'cd "$0$(sed -n s/^0:://p /proc/self/cgroup)" && cat memory.max pids.max'


class NoGroup(Exception):
    """A control group that was possible before cannot be made now. The message is the reason, in one line."""


@dataclass(frozen=True)
class Entry:
    """How a command starts within a group: what comes before it, and the variables that this needs. `ran_out` says
    whether the kernel ended something in the group for want of memory."""

    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ran_out: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Grouping:
    """A way to set limits. `name` is the one in the gate's report; `group` makes a group with these limits and removes
    it afterwards. It raises NoGroup."""

    name: str
    group: Callable[[Limits], AbstractContextManager[Entry]]


@contextmanager
def _no_group(limits: Limits) -> Iterator[Entry]:
    yield Entry()


PER_PROCESS: Final = Grouping("per process", _no_group)


def memory_bytes(limits: Limits) -> int:
    """Most memory of a group: what the program may use, and what it may write, which stays in memory."""
    return (limits.memory_mib + limits.file_mib + _SPARE_MIB) << 20


def tasks(limits: Limits) -> int:
    """Most processes and threads of a group."""
    return limits.processes + _SPARE_TASKS


@functools.cache
def grouping() -> Grouping:
    """The strongest way to set limits that this machine allows."""
    parent = delegated(ROOT, OWN)
    if parent is not None:
        return Grouping("cgroup", functools.partial(group_below, parent))
    prefix = _systemd_run()
    if prefix is not None and _has_limits(prefix, ROOT):
        return Grouping("cgroup", functools.partial(_scope, prefix))
    return PER_PROCESS


# --- groups below this process's own -------------------------------------------------------------


def delegated(root: Path, own: Path) -> Path | None:
    """The folder of this process's group, if groups with limits can be made below it; None if they cannot.

    `root` is where control groups are mounted, and `own` the file that names the group.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
        path = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
        folder = root / path.lstrip("/")
        if ".." in folder.parts or not _words(folder / "cgroup.controllers") >= _NEEDED:
            return None
        if not _words(folder / "cgroup.subtree_control") >= _NEEDED:
            if _words(folder / "cgroup.procs") == {str(os.getpid())}:
                leaf = folder / f"tarazu-{secrets.token_hex(6)}"
                leaf.mkdir()
                (leaf / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
            (folder / "cgroup.subtree_control").write_text("+memory +pids", encoding="ascii")
        with group_below(folder, Limits()):
            return folder
    except (OSError, StopIteration, NoGroup):
        return None


def _words(path: Path) -> set[str]:
    return set(path.read_text(encoding="ascii").split())


@contextmanager
def group_below(parent: Path, limits: Limits) -> Iterator[Entry]:
    """A new group below `parent`. A command enters it before it starts; if it cannot, it does not start."""
    folder = parent / f"tarazu-{secrets.token_hex(6)}"
    try:
        folder.mkdir()
        for name, value in (("memory.max", memory_bytes(limits)), ("pids.max", tasks(limits))):
            (folder / name).write_text(str(value), encoding="ascii")
            if (folder / name).read_text(encoding="ascii").strip() != str(value):
                raise NoGroup(f"the control group does not keep {name}")
        for name, value in (("memory.swap.max", 0), ("memory.oom.group", 1)):
            with contextlib.suppress(OSError):  # the kernel has no swap, or is older
                (folder / name).write_text(str(value), encoding="ascii")
    except OSError as error:
        _remove(folder)
        raise NoGroup(f"the control group cannot be made: {error.strerror}") from None
    shell = shutil.which("sh") or "/bin/sh"
    prefix = (shell, "-c", 'echo 0 > "$0" && exec "$@"', str(folder / "cgroup.procs"))
    try:
        yield Entry(prefix, {}, functools.partial(_ran_out, folder))
    finally:
        _remove(folder)


def _ran_out(folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.events").read_text(encoding="ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count) > 0
    return False


def _remove(folder: Path) -> None:
    """End what is in a group and remove it. A group can be removed once its last process is gone."""
    with contextlib.suppress(OSError):
        (folder / "cgroup.kill").write_text("1", encoding="ascii")
    for _ in range(100):
        try:
            folder.rmdir()
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                return
        time.sleep(0.01)


# --- scopes of systemd ---------------------------------------------------------------------------


def _systemd_run() -> tuple[str, ...] | None:
    program = shutil.which("systemd-run")
    if program is None or not Path("/run/systemd/system").is_dir():
        return None
    user = () if os.geteuid() == 0 else ("--user",)
    return (program, *user, "--scope", "--quiet", "--collect", "--no-ask-password")


@contextmanager
def _scope(prefix: tuple[str, ...], limits: Limits) -> Iterator[Entry]:
    yield Entry(
        (*prefix, *_properties(limits), "--"), {name: os.environ[name] for name in _RUNTIME if name in os.environ}
    )


def _properties(limits: Limits) -> Iterator[str]:
    for name, value in (("MemoryMax", memory_bytes(limits)), ("MemorySwapMax", 0), ("TasksMax", tasks(limits))):
        yield from ("-p", f"{name}={value}")


def _has_limits(prefix: tuple[str, ...], root: Path) -> bool:
    """Whether a command in a scope has the limits that were set, as the kernel says."""
    limits = Limits()
    with _scope(prefix, limits) as entry:
        try:
            answer = subprocess.run(
                [*entry.prefix, "/bin/sh", "-c", _SHOW_LIMITS, str(root)],
                env={**entry.environment, "PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return answer.returncode == 0 and answer.stdout.split() == [str(memory_bytes(limits)), str(tasks(limits))]

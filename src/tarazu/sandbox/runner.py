"""A sandbox for untrusted programs: bubblewrap's namespaces, resource limits, a system-call filter and a monitor.

The program sees Python, its packages and `/usr`, all read-only; its input files, read-only, at `/record`; a minimal
`/etc`; `/proc` with its own processes only; and one writable `/tmp` of `Limits.file_mib` in memory. It has no network,
no home directory, no privileges and no way to gain any. Its environment variables are fixed. Its user ID owns nothing:
a run as root gets an ID of its own, and a run as an ordinary user gets a user namespace. Nothing that the program
writes reaches a disk. One file is returned over a pipe, as unchecked bytes. All processes of the sandbox end when the
program ends, when its time is up, or when the caller ends.

The sandbox does NOT protect against the following:
- A defect in the kernel. The program runs on the host's kernel, behind a filter that refuses the calls listed in
  `_sealing.py`; it is not a list of allowed calls. Use a virtual machine where that matters.
- Reading Python's prefix, its packages and `/usr`, and what `/proc` reveals about the machine (processor, load).
- Measuring time and caches, which may reveal what else runs on the machine.
- A short excess of memory, where the machine allows no control group (see `cgroup`). `memory_mib` bounds each process's
  address space, and the total is checked every 50 ms. Sockets, watches and larger pipes are refused, and files are
  counted every 50 ms. The buffers of pipes, which the system bounds for each user, and other objects of the kernel are
  bounded only by the number of processes, the number of open files, and time. A control group bounds them all.
- Use of all processors until the time is up.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import platform
import secrets
import select
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

from tarazu.sandbox._sealing import FOLDER, OUT, PACKAGE, arguments, filter_file, python_folders, write_minimal_etc
from tarazu.sandbox.cgroup import PER_PROCESS, Entry, Grouping, NoGroup, grouping
from tarazu.sandbox.limits import Limits, kernel_limits

__all__ = ["FOLDER", "OUT", "PYTHON", "RESULT_MIB", "NoSandbox", "Outcome", "run", "unavailable", "versions"]

PYTHON = sys.executable
RESULT_MIB = 64
"""Largest result that is read back."""
MOST_FILES = 100_000
"""Most files, folders and links in a sandbox."""
_KEPT_OUTPUT = 64 * 1024
_POLL_SECONDS = 0.05
_HEADER_BYTES = 4096


@dataclass(frozen=True)
class Outcome:
    """How a sandboxed program ended. `result` holds the unchecked bytes that it wrote, or `problem` says why not."""

    ended: Literal["done", "failed", "timeout", "memory"]
    exit_code: int | None
    result: bytes | None
    problem: str
    stdout: str
    stderr: str
    seconds: float


class NoSandbox(Exception):
    """This machine cannot run the sandbox. The message is the reason, in one line."""


def run(
    command: Sequence[str],
    *,
    folder: Path,
    limits: Limits,
    result: str = "results.json",
    also: Sequence[Path] = (),
    threads: int | None = None,
) -> Outcome:
    """Run `command` with `folder` mounted at FOLDER, and return the file `result` that it leaves in OUT.

    `also` are more paths, mounted read-only at their own locations. `threads` is the number of threads that numerical
    libraries use; None means one per core, within the limits.

    Raises NoSandbox if the sandbox cannot be set up. Nothing that the program does raises an exception.
    """
    if reason := unavailable():
        raise NoSandbox(reason)
    try:
        return _run(command, how_limited(), folder=folder, limits=limits, result=result, also=also, threads=threads)
    except NoGroup as error:
        raise NoSandbox(str(error)) from None


@functools.cache
def how_limited() -> Grouping:
    """The strongest limits in which the sandbox runs here: those of a control group, or of each process alone."""
    strongest = grouping()
    try:
        return strongest if _trial(strongest).ended == "done" else PER_PROCESS
    except NoGroup:
        return PER_PROCESS


def _trial(way: Grouping) -> Outcome:
    """Run a program that does nothing."""
    with tempfile.TemporaryDirectory() as folder:
        limits = Limits(seconds=20, memory_mib=1024, file_mib=1)
        return _run([PYTHON, "-I", "-S", "-c", ""], way, folder=Path(folder), limits=limits, result="none")


@functools.cache
def unavailable() -> str | None:
    """Why the sandbox cannot run here, or None. Tested once, with a program that does nothing."""
    if platform.system() != "Linux":
        return f"the sandbox needs Linux's namespaces; this is {platform.system()}"
    for folder in python_folders():
        if Path.home().is_relative_to(folder):
            return f"Python's own folder {folder} contains the home directory, which a sandboxed program must not see"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian, Ubuntu: apt-get install bubblewrap)"
    try:
        filter_file().close()
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        return f"the system-call filter needs pyseccomp and libseccomp: pip install 'tarazu[records]' ({error})"
    trial = _trial(PER_PROCESS)
    if trial.ended != "done":
        lines = trial.stderr.strip().splitlines()
        return f"bubblewrap cannot run a program here: {lines[-1] if lines else trial.problem}"
    return None


def versions() -> dict[str, str]:
    """Versions of the sandbox's components and which limits held, for the gate's report."""
    output = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout.split()
    return {
        "bubblewrap": output[-1] if output else "unknown",
        "kernel": platform.release(),
        "pyseccomp": importlib.metadata.version("pyseccomp"),
        "user": "its own user ID" if os.geteuid() == 0 else "a user namespace",
        "limits": how_limited().name,
    }


def _run(
    command: Sequence[str],
    way: Grouping,
    *,
    folder: Path,
    limits: Limits,
    result: str,
    also: Sequence[Path] = (),
    threads: int | None = None,
) -> Outcome:
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(way.group(limits))
        etc = write_minimal_etc(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        calls = stack.enter_context(filter_file())
        info_read, info_write = _pipe(stack)
        answer_read, answer_write = _pipe(stack)
        job = {
            "command": list(command),
            "out": OUT,
            "result": result,
            "cap": RESULT_MIB << 20,
            "uid": 2**30 + secrets.randbelow(2**30) if os.geteuid() == 0 else None,
            "limits": kernel_limits(limits),
            "answer": answer_write.fileno(),
        }
        bubblewrap = [
            *group.prefix,
            shutil.which("bwrap") or "bwrap",
            *arguments(folder, etc, limits, also, threads),
            *("--seccomp", str(calls.fileno()), "--info-fd", str(info_write.fileno())),
            *("--", PYTHON, "-I", "-S", str(PACKAGE / "sandbox" / "_launch.py"), json.dumps(job)),
        ]
        start = time.monotonic()
        process = subprocess.Popen(
            bubblewrap,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(calls.fileno(), info_write.fileno(), answer_write.fileno()),
            env=dict(group.environment),
        )
        info_write.close()
        answer_write.close()
        return _if_memory_lasted(_monitor(process, info_read, answer_read, limits, start), group, limits)


def _if_memory_lasted(outcome: Outcome, group: Entry, limits: Limits) -> Outcome:
    """The outcome of a run, unless the kernel ended a process of it for want of memory."""
    if outcome.ended in ("done", "failed") and group.ran_out():
        problem = f"it was stopped: it used up its {limits.memory_mib} MiB of memory"
        return replace(outcome, ended="memory", exit_code=None, result=None, problem=problem)
    return outcome


def _monitor(
    process: subprocess.Popen[bytes], info: IO[bytes], answer: IO[bytes], limits: Limits, start: float
) -> Outcome:
    """Read what the program writes, watch its time and memory, and make sure that all its processes have ended."""
    assert process.stdout is not None and process.stderr is not None
    caps = {process.stdout: _KEPT_OUTPUT, process.stderr: _KEPT_OUTPUT, answer: (RESULT_MIB << 20) + _HEADER_BYTES}
    kept: dict[IO[bytes], bytearray] = {stream: bytearray() for stream in caps}
    ended: Literal["done", "timeout", "memory"] = "done"
    init: int | None = None
    spent = ""
    try:
        root, init = _init_of(info)
        with selectors.DefaultSelector() as selector:
            for stream in kept:
                selector.register(stream, selectors.EVENT_READ)
            next_check = start
            while selector.get_map() and ended == "done" and process.poll() is None:
                _read(selector, kept, caps)
                now = time.monotonic()
                if now - start > limits.seconds:
                    ended, spent = "timeout", f"its {limits.seconds} s"
                elif now > next_check:  # not for every line that the program writes
                    next_check = now + _POLL_SECONDS
                    if memory_of(process.pid) > limits.memory_mib << 20:
                        ended, spent = "memory", f"its {limits.memory_mib} MiB of memory"
                    elif files_in(root) > MOST_FILES:
                        ended, spent = "memory", f"its {MOST_FILES} files"
            # The launcher has answered, or its time is up. Do not wait for processes that still run.
            if not end_namespace(init):
                raise RuntimeError("the sandbox's processes did not end when they were killed")
            process.kill()
            process.wait()
            deadline = time.monotonic() + 2
            while selector.get_map() and time.monotonic() < deadline:
                _read(selector, kept, caps)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        if init is not None:
            os.close(init)
    stdout, stderr = (kept[stream].decode("utf-8", "replace") for stream in (process.stdout, process.stderr))
    seconds = time.monotonic() - start
    if ended != "done":
        return Outcome(ended, None, None, f"it was stopped: it used up {spent}", stdout, stderr, seconds)
    code, problem, data = _parse_answer(bytes(kept[answer]))
    if code != 0:
        lines = stderr.strip().splitlines()
        how = "ended without an answer" if code is None else f"failed (exit {code})"
        return Outcome(
            "failed", code, None, f"it {how}{': ' + lines[-1][:300] if lines else ''}", stdout, stderr, seconds
        )
    return Outcome("done", 0, None if problem else data, problem, stdout, stderr, seconds)


def _read(selector: selectors.BaseSelector, kept: dict[IO[bytes], bytearray], caps: dict[IO[bytes], int]) -> None:
    """Read once from each stream that has data. Keep it up to the stream's cap and drop the rest."""
    for key, _ in selector.select(timeout=_POLL_SECONDS):
        stream: Any = key.fileobj
        data = os.read(stream.fileno(), 1 << 16)
        if not data:
            selector.unregister(stream)
        kept[stream] += data[: caps[stream] - len(kept[stream])]


def _init_of(info: IO[bytes]) -> tuple[Path | None, int | None]:
    """The root folder of the sandbox's first process, as seen from here, and a pidfd of that process. None if
    bubblewrap failed before it started one."""
    text = b""
    while data := os.read(info.fileno(), 4096):
        text += data
        if text.rstrip().endswith(b"}"):
            break
    try:
        process = int(json.loads(text)["child-pid"])
        return Path(f"/proc/{process}/root"), os.pidfd_open(process)
    except (ValueError, KeyError, ProcessLookupError):
        return None, None


def _parse_answer(answer: bytes) -> tuple[int | None, str, bytes]:
    """Parse the launcher's answer into exit status, problem and result. The program may have forged it."""
    header, newline, data = answer.partition(b"\n")
    try:
        fields = json.loads(header[:_HEADER_BYTES])
        code, problem = fields["exit"], fields["problem"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, "", b""
    if not newline or type(code) is not int or type(problem) is not str:
        return None, "", b""
    return code, problem[:300], data


def _pipe(stack: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return (
        stack.enter_context(os.fdopen(read, "rb", buffering=0)),
        stack.enter_context(os.fdopen(write, "wb", buffering=0)),
    )


def memory_of(root: int) -> int:
    """Bytes of anonymous, shared and swapped-out memory that the process `root` and its descendants hold, with the
    tables of its pages."""
    total, pending = 0, [root]
    while pending:
        process = pending.pop()
        with contextlib.suppress(OSError, ValueError):  # it has ended
            total += _own_memory(process)
            for task in os.listdir(f"/proc/{process}/task"):
                children = Path(f"/proc/{process}/task/{task}/children").read_text(encoding="ascii")
                pending += map(int, children.split())
    return total


def files_in(root: Path | None) -> int:
    """How many files, folders and links there are in the folders that the sandbox can write to. Each takes memory of
    the kernel, even if it is empty."""
    total = 0
    if root is None:
        return total
    for folder in ("tmp", "dev/shm"):
        with contextlib.suppress(OSError):  # it has ended, or is being set up
            # Until the sandbox has its own root, this is the folder of the host, which has files of others.
            if not _is_same_device(root / folder, Path("/") / folder):
                status = os.statvfs(root / folder)
                total += status.f_files - status.f_ffree
    return total


def _is_same_device(one: Path, other: Path) -> bool:
    return other.exists() and one.stat().st_dev == other.stat().st_dev


def _own_memory(process: int) -> int:
    kib = 0
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name in ("RssAnon", "RssShmem", "VmSwap", "VmPTE"):
            kib += int(value.split()[0])
    return kib * 1024


def end_namespace(init: int | None, seconds: float = 5.0) -> bool:
    """Kill process 1 of a process namespace (given as a pidfd), and so all its processes. True once they have ended."""
    if init is None:
        return True
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(init, signal.SIGKILL)
    # A pidfd becomes readable when its process has ended. Process 1 ends last in its namespace.
    return bool(select.select([init], [], [], seconds)[0])

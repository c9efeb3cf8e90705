"""A sealed sandbox for what a stranger wrote: bubblewrap's namespaces, limits, a system-call filter, and a watch.

The program sees: Python, its packages and `/usr`, read-only; the files it was given, read-only, at `/record`; an `/etc`
with two made-up files; `/proc` of its own processes; and one writable `/tmp`, in memory, of `Limits.file_mib`. It has
no network, no home, no environment but a fixed one, no privileges and no way to gain any, and a user number that owns
nothing (as root: a number of its own for each run; as an ordinary user: inside a user namespace). Nothing that it
writes lands on a disk: one file comes back, over a pipe, as bytes that no one has checked. Its processes end with it,
with its time, or with the caller, all of them.

What it does NOT stop:
- a defect in the kernel: the program runs on the host's kernel, behind a filter that refuses the calls listed in
  `_sealing.py` and not behind a list of those it needs; a virtual machine is the answer where that matters;
- reading what Python's prefix, its packages and `/usr` hold, and what `/proc` says of the machine (processor, load);
- measuring time and caches, and so perhaps what else runs on the machine;
- a short excess of memory: `memory_mib` bounds each process's address space, and the sum is looked at every 50 ms; what
  pipes and sockets buffer and what empty files cost the kernel is bounded only by the number of processes, open files
  and time;
- use of all processors until its time is up.
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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from tarazu.sandbox._sealing import FOLDER, OUT, PACKAGE, arguments, filter_file, made_up_etc, python_folders
from tarazu.sandbox.limits import Limits, kernel_limits

__all__ = ["FOLDER", "OUT", "PYTHON", "RESULT_MIB", "NoSandbox", "Outcome", "run", "unavailable", "versions"]

PYTHON = sys.executable
RESULT_MIB = 64
"""Largest result that is read back."""
_KEPT_OUTPUT = 64 * 1024
_LOOK_EVERY = 0.05
_HEAD = 4096


@dataclass(frozen=True)
class Outcome:
    """How a sealed program ended. `result` is None with a `problem`, or what it left, unchecked; never both."""

    ended: Literal["done", "failed", "timeout", "memory"]
    exit_code: int | None
    result: bytes | None
    problem: str
    stdout: str
    stderr: str
    seconds: float


class NoSandbox(Exception):
    """There is no whole sandbox on this machine; the text is the reason, in one line."""


def run(
    command: Sequence[str],
    *,
    folder: Path,
    limits: Limits,
    result: str = "results.json",
    also: Sequence[Path] = (),
    threads: int | None = None,
) -> Outcome:
    """Run `command` with `folder` at FOLDER and take `result` from OUT. `also`: more paths, read-only at their places;
    `threads`: how many libraries compute with (None: one for each core, within the limits).

    Raises NoSandbox where the sandbox cannot be set up; what the program does raises nothing.
    """
    if reason := unavailable():
        raise NoSandbox(reason)
    return _run(command, folder=folder, limits=limits, result=result, also=also, threads=threads)


@functools.cache
def unavailable() -> str | None:
    """Why programs cannot be sealed here, or None: tried once, on a program that does nothing."""
    if platform.system() != "Linux":
        return f"the sandbox needs Linux's namespaces; this is {platform.system()}"
    for folder in python_folders():
        if Path.home().is_relative_to(folder):
            return f"Python's own folder {folder} holds the home, which a sealed program must not see"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian, Ubuntu: apt-get install bubblewrap)"
    try:
        filter_file().close()
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        return f"the system-call filter needs pyseccomp and libseccomp: pip install 'tarazu[records]' ({error})"
    with tempfile.TemporaryDirectory() as folder:
        limits = Limits(seconds=20, memory_mib=1024, file_mib=1)
        tried = _run([PYTHON, "-I", "-S", "-c", ""], folder=Path(folder), limits=limits, result="none")
    if tried.ended != "done":
        said = tried.stderr.strip().splitlines()
        return f"bubblewrap cannot seal a program here: {said[-1] if said else tried.problem}"
    return None


def versions() -> dict[str, str]:
    """What the sandbox is made of, for the verdict."""
    said = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout.split()
    return {
        "bubblewrap": said[-1] if said else "unknown",
        "kernel": platform.release(),
        "pyseccomp": importlib.metadata.version("pyseccomp"),
        "user": "a user number of its own" if os.geteuid() == 0 else "a user namespace",
    }


def _run(
    command: Sequence[str],
    *,
    folder: Path,
    limits: Limits,
    result: str,
    also: Sequence[Path] = (),
    threads: int | None = None,
) -> Outcome:
    with contextlib.ExitStack() as stack:
        etc = made_up_etc(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        calls = stack.enter_context(filter_file())
        info_read, info_write = _pipe(stack)
        answer_read, answer_write = _pipe(stack)
        orders = {
            "command": list(command),
            "out": OUT,
            "result": result,
            "cap": RESULT_MIB << 20,
            "uid": 2**30 + secrets.randbelow(2**30) if os.geteuid() == 0 else None,
            "limits": kernel_limits(limits),
            "answer": answer_write.fileno(),
        }
        sealed = [
            "bwrap",
            *arguments(folder, etc, limits, also, threads),
            *("--seccomp", str(calls.fileno()), "--info-fd", str(info_write.fileno())),
            *("--", PYTHON, "-I", "-S", str(PACKAGE / "sandbox" / "_launch.py"), json.dumps(orders)),
        ]
        start = time.monotonic()
        process = subprocess.Popen(
            sealed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(calls.fileno(), info_write.fileno(), answer_write.fileno()),
            env={},
            executable=shutil.which("bwrap"),
        )
        info_write.close()
        answer_write.close()
        return _attend(process, info_read, answer_read, limits, start)


def _attend(
    process: subprocess.Popen[bytes], info: IO[bytes], answer: IO[bytes], limits: Limits, start: float
) -> Outcome:
    """Read what the program writes, watch its time and memory, and see that all of it has ended."""
    assert process.stdout is not None and process.stderr is not None
    caps = {process.stdout: _KEPT_OUTPUT, process.stderr: _KEPT_OUTPUT, answer: (RESULT_MIB << 20) + _HEAD}
    kept: dict[IO[bytes], bytearray] = {stream: bytearray() for stream in caps}
    ended: Literal["done", "timeout", "memory"] = "done"
    init: int | None = None
    try:
        init = _init_of(info)
        with selectors.DefaultSelector() as selector:
            for stream in kept:
                selector.register(stream, selectors.EVENT_READ)
            next_look = start
            while selector.get_map() and ended == "done" and process.poll() is None:
                _read(selector, kept, caps)
                now = time.monotonic()
                if now - start > limits.seconds:
                    ended = "timeout"
                elif now > next_look:  # not at every line that a noisy program writes
                    next_look = now + _LOOK_EVERY
                    ended = "memory" if memory_of(process.pid) > limits.memory_mib << 20 else "done"
            # The launcher has answered, or its time is up: whatever still runs in there is not waited for.
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
    said = [kept[stream].decode("utf-8", "replace") for stream in (process.stdout, process.stderr)]
    seconds = time.monotonic() - start
    if ended != "done":
        spent = f"its {limits.seconds} s" if ended == "timeout" else f"its {limits.memory_mib} MiB of memory"
        return Outcome(ended, None, None, f"it was ended: it used up {spent}", said[0], said[1], seconds)
    code, problem, data = _parsed(bytes(kept[answer]))
    if code != 0:
        last = said[1].strip().splitlines()
        how = "ended without an answer" if code is None else f"failed (exit {code})"
        return Outcome(
            "failed", code, None, f"it {how}{': ' + last[-1][:300] if last else ''}", said[0], said[1], seconds
        )
    return Outcome("done", 0, None if problem else data, problem, said[0], said[1], seconds)


def _read(selector: selectors.BaseSelector, kept: dict[IO[bytes], bytearray], caps: dict[IO[bytes], int]) -> None:
    """One look: keep what came up to the stream's cap, drop the rest."""
    for key, _ in selector.select(timeout=_LOOK_EVERY):
        stream: Any = key.fileobj
        data = os.read(stream.fileno(), 1 << 16)
        if not data:
            selector.unregister(stream)
        kept[stream] += data[: caps[stream] - len(kept[stream])]


def _init_of(info: IO[bytes]) -> int | None:
    """A pidfd of the sandbox's first process; None where bubblewrap gave up before there was one."""
    said = b""
    while data := os.read(info.fileno(), 4096):
        said += data
        if said.rstrip().endswith(b"}"):
            break
    try:
        return os.pidfd_open(int(json.loads(said)["child-pid"]))
    except (ValueError, KeyError, ProcessLookupError):
        return None


def _parsed(answer: bytes) -> tuple[int | None, str, bytes]:
    """The launcher's answer, which the program may have forged: exit status, problem, result."""
    head, found, data = answer.partition(b"\n")
    try:
        said = json.loads(head[:_HEAD])
        code, problem = said["exit"], said["problem"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, "", b""
    if not found or type(code) is not int or type(problem) is not str:
        return None, "", b""
    return code, problem[:300], data


def _pipe(stack: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return (
        stack.enter_context(os.fdopen(read, "rb", buffering=0)),
        stack.enter_context(os.fdopen(write, "wb", buffering=0)),
    )


def memory_of(root: int) -> int:
    """Bytes of memory of their own (anonymous, shared and swapped out) that `root` and its descendants hold."""
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        with contextlib.suppress(OSError, ValueError):  # ended in the meantime
            total += _own_memory(process)
            for task in os.listdir(f"/proc/{process}/task"):
                children = Path(f"/proc/{process}/task/{task}/children").read_text(encoding="ascii")
                waiting += map(int, children.split())
    return total


def _own_memory(process: int) -> int:
    kib = 0
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name in ("RssAnon", "RssShmem", "VmSwap"):
            kib += int(value.split()[0])
    return kib * 1024


def end_namespace(init: int | None, seconds: float = 5.0) -> bool:
    """Kill process 1 of a process namespace, given as a pidfd, and so every process in it; True once it is gone."""
    if init is None:
        return True
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(init, signal.SIGKILL)
    # A pidfd is readable when its process has ended, and that one ends last of its namespace.
    return bool(select.select([init], [], [], seconds)[0])

"""What a sealed program's processes use, and their end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path


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

"""Runs commands in two processes together, and reports the output of both if they fail."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import psutil
import pytest

LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--main_process_port", "0")
LIMIT = 1800.0
"""Seconds after which a launch counts as stuck. A study that takes 30 s on an idle machine has taken 300 s at a load of
ten, and a test must not fail because of load."""


def run_on_two(arguments: Sequence[str], *, limit: float = LIMIT) -> str:
    """Run `accelerate launch` with two processes and return the output of both.

    Fails with that output if a process fails, and with the stack of each process after `limit` seconds.
    """
    return run_to_its_end([*LAUNCH, *arguments], limit=limit)


def run_to_its_end(command: Sequence[str], *, limit: float) -> str:
    """Run a command, and end all processes that it started."""
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    with tempfile.TemporaryFile() as output:  # an unread pipe would block the writer
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        family, late = [psutil.Process(process.pid)], False
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            # A launcher's processes have their own sessions, which a signal to its process group does not reach. While
            # it is suspended it starts no further process, which would be missing here.
            process.send_signal(signal.SIGSTOP)
            family, late = [*family[0].children(recursive=True), family[0]], True
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.send_signal(signal.SIGABRT)  # each prints its stack
            process.send_signal(signal.SIGCONT)
            psutil.wait_procs(family, timeout=20)  # a busy machine prints slowly
        finally:
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
        status = process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if late:
        pytest.fail(f"still at work after {limit:g} s:\n{said}", pytrace=False)
    if status:
        pytest.fail(f"ended with {status}:\n{said}", pytrace=False)
    return said

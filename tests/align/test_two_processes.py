"""A failure in any process of a launch is reported, and no process keeps running."""

from __future__ import annotations

import sys

import psutil
import pytest
from two_processes import run_to_its_end

STARTS_ANOTHER = """
import subprocess, sys
code = "import time; print('the other began', flush=True); time.sleep(600)"
other = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
print("the first, and", other.pid, flush=True)
other.wait()
"""


def test_a_stuck_process_is_reported_with_its_stack_and_ended() -> None:
    message, limit = "", 1.0
    while message.count("Fatal Python error: Aborted") < 2 and limit < 60:
        limit *= 2  # a busy machine may need more time to start both
        with pytest.raises(pytest.fail.Exception) as failure:
            run_to_its_end([sys.executable, "-c", STARTS_ANOTHER], limit=limit)
        message = str(failure.value)
    assert f"still at work after {limit:g} s" in message
    assert message.count("Fatal Python error: Aborted") == 2
    assert "the other began" in message
    other = int(message.partition("the first, and ")[2].split()[0])
    assert not psutil.pid_exists(other) or psutil.Process(other).status() == psutil.STATUS_ZOMBIE


def test_a_failed_process_is_reported_with_its_output() -> None:
    code = "import sys; print('said', file=sys.stderr); print('and so on'); sys.exit(3)"
    with pytest.raises(pytest.fail.Exception, match="(?s)ended with 3.*said"):
        run_to_its_end([sys.executable, "-c", code], limit=60)
    assert run_to_its_end([sys.executable, "-c", "print('fine')"], limit=60) == "fine\n"

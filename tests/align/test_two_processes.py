"""What fails in a process beside the first is told, and nothing is left running."""

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


def test_one_that_is_stuck_is_told_with_its_place_and_ended() -> None:
    said, limit = "", 1.0
    while "the other began" not in said:  # a busy machine may not have come so far
        limit *= 2
        with pytest.raises(pytest.fail.Exception) as told:
            run_to_its_end([sys.executable, "-c", STARTS_ANOTHER], limit=limit)
        said = str(told.value)
    assert f"still at work after {limit:g} s" in said
    assert said.count("Fatal Python error: Aborted") == 2
    other = int(said.partition("the first, and ")[2].split()[0])
    assert not psutil.pid_exists(other) or psutil.Process(other).status() == psutil.STATUS_ZOMBIE


def test_one_that_fails_is_told_with_its_words() -> None:
    code = "import sys; print('said', file=sys.stderr); print('and so on'); sys.exit(3)"
    with pytest.raises(pytest.fail.Exception, match="(?s)ended with 3.*said"):
        run_to_its_end([sys.executable, "-c", code], limit=60)
    assert run_to_its_end([sys.executable, "-c", "print('fine')"], limit=60) == "fine\n"

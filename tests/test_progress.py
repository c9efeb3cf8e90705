"""Progress: plain lines in a pipe, a live display on a terminal that fits its width and leaves nothing behind."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

import pytest

from tarazu import progress as module
from tarazu.progress import Pace, Progress, duration, is_live

SCRIPT = """
import sys, time
from tarazu.progress import Progress
def draw():  # now, since on a loaded machine the display may draw no frame for long
    if progress._display is not None:
        progress._display._live.refresh()
with Progress() as progress:
    progress.stage("inputs")
    progress.done("400 pairs, 50 prompts")
    progress.expect(["train:dpo", "responses:sft_dpo@1"])
    progress.stage("train:dpo")
    for step in range(1, 13):
        progress.update(step, 24, "loss 0.693, 12.1 pairs/s, 4,300 tokens/s, 41% of peak,")
        time.sleep(0.05)
    draw()
    if "fail" in sys.argv:
        raise SystemExit("tarazu: no space is left")
    progress.done()
    print("a warning of a library", file=sys.stderr)
    progress.begin("responses:sft_dpo@1, 1 of 2", "on node-1.cluster.example.org (process 4711)")
    progress.begin("responses:base", "on node-2 (process 12)")
    time.sleep(0.5)
    draw()
    progress.end("responses:base", "its worker on node-2 died; starting it again")
print("results")
"""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(width: int, *arguments: str, **environment: str) -> str:
    """What the script writes to a terminal of this width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "CI", "NO_COLOR")}
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", SCRIPT, *arguments],
        {**kept, "TERM": "xterm-256color", **environment},
        file_actions=[
            *((os.POSIX_SPAWN_DUP2, follower, number) for number in range(3)),
            (os.POSIX_SPAWN_CLOSE, leader),
        ],
    )
    os.close(follower)
    written = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # what Linux answers when the last writer is gone
            break
        if not piece:
            break
        written += piece
    os.close(leader)
    os.waitpid(child, 0)
    return written.decode()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_the_display_fits_the_terminal(width: int) -> None:
    written = on_a_terminal(width)
    lines = [ESCAPES.sub("", line).strip("\r") for line in re.split(r"\r?\n|\r", written)]
    permanent = ("inputs: ", "train:dpo: ", "responses:base: ", "a warning", "results")
    assert [line for line in lines if len(line) > width and not line.startswith(permanent)] == []
    assert any(re.match(r"stages +[━─]+ ", line) for line in lines)
    assert any("s left" in line for line in lines)
    if width >= 80:
        assert any(re.match(r"  train:dpo +━+─+ 12/24  \d+\.\d/s  \d+ s left", line) for line in lines)
        assert any(line.startswith("stages") and " 1/2 " in line for line in lines)
        # The rows of what runs side by side: parts below their stage.
        place = next(index for index, line in enumerate(lines) if line.startswith("  responses:sft_dpo@1 "))
        assert re.match(r"    1 of 2 +\d+ s  on node-1\.cluster", lines[place + 1])
    state = "loss 0.693, 12.1 pairs/s, 4,300 tokens/s, 41% of peak"
    if width == 80:
        assert f"    {state}" in lines
    if width == 200:
        assert any(line.startswith("  train:dpo") and line.endswith(f"left  {state}") for line in lines)


@pytest.mark.parametrize("arguments", [(), ("fail",)])
def test_the_display_leaves_the_terminal_as_it_was(arguments: tuple[str, ...]) -> None:
    written = on_a_terminal(80, *arguments)
    hidden, shown = (written.rfind(f"\x1b[?25{mode}") for mode in "lh")
    assert shown > hidden >= 0, "the cursor stays hidden"
    last = written[shown:]
    assert "stages" not in last, "rows stay behind"
    assert ("tarazu: no space is left" if arguments else "results") in last
    assert "inputs: 400 pairs, 50 prompts" in written


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}])
def test_plain_lines_where_no_display_is_wanted(environment: dict[str, str]) -> None:
    written = on_a_terminal(80, **environment)
    assert "\x1b" not in written
    lines = written.replace("\r\n", "\n").splitlines()
    seconds = lines.pop(1)
    assert re.fullmatch(r"train:dpo: \d\.\d s", seconds)
    assert lines == [
        "inputs: 400 pairs, 50 prompts",
        "a warning of a library",
        "responses:sft_dpo@1, 1 of 2: begins on node-1.cluster.example.org (process 4711)",
        "responses:base: begins on node-2 (process 12)",
        "responses:base: its worker on node-2 died; starting it again",
        "results",
    ]


class Clock:
    """Time that passes when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def test_plain_lines_come_every_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log = Clock(monkeypatch), io.StringIO()
    progress = Progress(log)
    progress.stage("train:dpo")
    for step in range(1, 13):
        clock.now += 1
        progress.update(step, 40, "loss 0.5,")
    progress.done()
    assert log.getvalue().splitlines() == [
        "train:dpo: loss 0.5, 5/40, about 35 s left",
        "train:dpo: loss 0.5, 10/40, about 30 s left",
        "train:dpo: 12.0 s",
    ]


def test_time_left_is_that_of_the_present_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that resumes at step 500 has not done 500 steps since it began; nor does an earlier count of the stage,
    such as the reference model's, say how fast the next one is."""
    clock = Clock(monkeypatch)
    pace = Pace()
    for done in (501, 502, 503):
        clock.now += 2
        pace.update(done, 600)
    assert pace.seconds_left == pytest.approx(2 * 97)
    for done in (1, 2):
        clock.now += 10
        pace.update(done, 20)
    assert pace.seconds_left == pytest.approx(10 * 18)
    assert pace.rate == "10.0 s each"
    assert Pace().rate == ""


def test_a_live_display_needs_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TERM", "NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    terminal: Any = type("Terminal", (io.StringIO,), {"isatty": lambda self: True})()
    assert is_live(terminal)
    assert not is_live(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not is_live(terminal)


def test_durations_in_words() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.4, 59.6, 200, 7500)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "3 min 20 s",
        "2 h 05 min",
    ]


def test_no_rich_in_a_pipe() -> None:
    """Neither the workers of a cluster nor a build server load it."""
    code = "import sys; from tarazu.progress import Progress; Progress(); print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

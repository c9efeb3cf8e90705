"""Progress for people: one moving line on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

OnProgress = Callable[[int, int, str], None]
"""What long work calls from time to time, as `Progress.update`: work done, the total, and a few words on it."""

_QUIET_SECONDS = 5.0  # between plain lines, so that a log stays readable
_REDRAW_SECONDS = 0.1


class Progress:
    """Says what is being done, how far it is, and how long it still takes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self.moving = self.stream.isatty()
        self._label = ""
        self._began = self._shown = time.monotonic()

    def stage(self, label: str) -> None:
        """Begin a piece of work."""
        self._label = label
        self._began = self._shown = time.monotonic()
        if self.moving:
            self._draw(label)

    def update(self, done: int, total: int, state: str = "") -> None:
        """Work done of the total; `state` is a few words on it."""
        now = time.monotonic()
        if now - self._shown < (_REDRAW_SECONDS if self.moving else _QUIET_SECONDS):
            return
        self._shown = now
        left = (now - self._began) / max(1, done) * (total - done)
        text = f"{self._label}: {state} {done}/{total}, about {left:.0f} s left"
        if self.moving:
            self._draw(text)
        else:
            self.line(text)

    def done(self, note: str = "") -> None:
        """End the piece of work that `stage` began."""
        seconds = time.monotonic() - self._began
        self.line(f"{self._label}: {note or f'{seconds:.1f} s'}")

    def line(self, text: str) -> None:
        """A line that stays."""
        if self.moving:
            self._draw("")
        print(text, file=self.stream, flush=True)

    def _draw(self, text: str) -> None:
        self.stream.write(f"\r\x1b[K{text[:110]}")
        self.stream.flush()

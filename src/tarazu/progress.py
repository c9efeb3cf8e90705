"""Progress for people: a live display on a terminal, a plain line every few seconds elsewhere.

The display shows how many stages are done, and below that what is running: one stage in this process, or several tasks
of a cluster side by side, with the parts of a stage below the stage. A finished stage leaves a line above the display.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

OnProgress = Callable[[int, int, str], None]
"""What long work calls from time to time, as `Progress.update`: work done, the total, and a few words on it."""

_QUIET_SECONDS = 5.0  # between plain lines, so that a log stays readable
_FRAMES_PER_SECOND = 5
_BAR = 30  # columns of a bar, at most
_LABEL = 30  # columns of a label, at most
_SINGLE_LINE = 120  # columns from which a row's state stands beside its bar rather than below it


class Progress:
    """Reports what is being done, how far it is, and how long it still takes.

    Use it as a context manager where an exception may end the work: that takes the live display off the terminal.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self._display = Display(self.stream) if is_live(self.stream) else None
        self._label = ""
        self._began = self._shown = time.monotonic()
        self._pace = Pace()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            self._display.stop()

    def expect(self, stages: Iterable[str]) -> None:
        """Count these stages among those that the display shows as done or still to come."""
        if self._display is not None:
            self._display.expected.update(stages)

    def stage(self, label: str) -> None:
        """Begin a piece of work."""
        self._label = label
        self._began = self._shown = time.monotonic()
        self._pace = Pace()
        if self._display is not None:
            self._display.begin(label, Row(pace=self._pace))

    def update(self, done: int, total: int, state: str = "") -> None:
        """Work done of the total; `state` is a few words on it."""
        self._pace.update(done, total)
        if self._display is not None:
            self._display.update(self._label, state)
            return
        now = time.monotonic()
        if now - self._shown >= _QUIET_SECONDS:
            self._shown = now
            self.line(f"{self._label}: {state} {done}/{total}, about {self._pace.seconds_left:.0f} s left")

    def done(self, note: str = "") -> None:
        """End the piece of work that `stage` began."""
        seconds = time.monotonic() - self._began
        self.end(self._label, note or f"{seconds:.1f} s")

    def begin(self, task: str, where: str) -> None:
        """Begin a task that runs beside others. `task` is a stage, or 'stage, n of m' for a part of one."""
        if self._display is not None:
            self._display.begin(task, Row(state=where))
        else:
            self.line(f"{task}: begins {where}")

    def end(self, task: str, note: str) -> None:
        """End a task that `begin` began, or report one that needs no work."""
        if self._display is not None:
            self._display.end(task)
        self.line(f"{task}: {note}")

    def line(self, text: str) -> None:
        """A line that stays."""
        if self._display is not None:
            self._display.line(text)
        else:
            print(text, file=self.stream, flush=True)


def is_live(stream: TextIO) -> bool:
    """Whether a live display is wanted: on a terminal that can move its cursor, unless the user or a build server says
    otherwise."""
    plain = os.environ.get("TERM") in ("dumb", "unknown") or os.environ.get("NO_COLOR") or os.environ.get("CI")
    return stream.isatty() and not plain


class Pace:
    """How fast work is done, and how long the rest takes.

    A stage that resumes begins far from 0, and a stage may have several counts, one after another. So the pace is that
    since the first report of the present count.
    """

    def __init__(self) -> None:
        self.done = self.total = self._first = 0
        self._began = self._reported = time.monotonic()
        self._per_item: float | None = None

    def update(self, done: int, total: int) -> None:
        """Take a report: so many items of the total are done."""
        now = time.monotonic()
        if total != self.total or done < self.done:
            # A new count: until its second report, all that is known is how long the first took.
            self._per_item = (now - self._reported) / max(1, done)
            self._first, self._began = done, now
        elif done > self._first:
            self._per_item = (now - self._began) / (done - self._first)
        self.done, self.total, self._reported = done, total, now

    @property
    def known(self) -> bool:
        """Whether anything was done at this pace."""
        return self._per_item is not None and self.done > 0

    @property
    def seconds_left(self) -> float:
        """An estimate from the pace so far."""
        return (self._per_item or 0.0) * (self.total - self.done)

    @property
    def rate(self) -> str:
        """Items per second, or seconds per item where that reads better; empty where it is not known yet."""
        if not self._per_item or self.done == self._first:
            return ""
        if self._per_item > 1:
            return f"{self._per_item:.1f} s each"
        rate = 1 / self._per_item
        return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.1f}/s"


@dataclass
class Row:
    """What the display shows of a stage or task that is running: a count where there is one, and its state."""

    state: str = ""
    pace: Pace | None = None
    began: float = field(default_factory=time.monotonic)

    def figures(self) -> list[str]:
        """Count, rate and time left, as far as they are known; without time left, the time that has passed."""
        passed = duration(time.monotonic() - self.began)
        if self.pace is None or not self.pace.total:
            return [passed]
        count = f"{self.pace.done:,}/{self.pace.total:,}"
        if not self.pace.known:
            return [count, passed]
        return [count, *filter(None, [self.pace.rate]), f"{duration(self.pace.seconds_left)} left"]


class Display:
    """Rows on a terminal, drawn again in place. It is there while something runs, and leaves nothing behind."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self.console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self.expected: set[str] = set()
        self._ended: set[str] = set()
        self._began = time.monotonic()
        self._rows: dict[str, Row] = {}
        self._live: Any = None

    def begin(self, label: str, row: Row) -> None:
        """Add a row."""
        from rich.live import Live

        self._rows[label] = row
        self._ended.discard(label)  # a task whose worker died begins again
        if self._live is None:
            # Standard output is for results, and others may have redirected it: it is not touched here.
            self._live = Live(
                self,
                console=self.console,
                transient=True,
                redirect_stdout=False,
                refresh_per_second=_FRAMES_PER_SECOND,
            )
            self._live.start(refresh=True)

    def update(self, label: str, state: str) -> None:
        """Replace a row's state."""
        if label in self._rows:
            self._rows[label].state = state.strip(" ,")

    def end(self, label: str) -> None:
        """Remove a row; with the last of them the display goes."""
        self._rows.pop(label, None)
        self._ended.add(label)
        if not self._rows:
            self.stop()

    def stop(self) -> None:
        """Take the display off the terminal."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def line(self, text: str) -> None:
        """A line above the rows."""
        self.console.print(text, soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        rows: list[tuple[str, Row]] = []
        if self.expected:
            pace = Pace()
            pace.done, pace.total = len(self._ended & self.expected), len(self.expected)
            rows.append(("stages", Row(pace=pace, began=self._began)))
        below = 2 if rows else 0
        seen: set[str] = set()
        running = list(self._rows.items())  # at once: the display is drawn by a thread of its own
        for label, row in sorted(running, key=lambda item: item[0].partition(", ")[0]):
            stage, _, part = label.partition(", ")
            if part and stage not in seen:
                rows.append((" " * below + stage, Row(began=row.began)))
            seen.add(stage)
            rows.append((" " * (below + 2) + part if part else " " * below + stage, row))
        labels = min(max(len(label) for label, _ in rows), _LABEL, max(8, options.max_width // 3)) if rows else 0
        for label, row in rows:
            yield from lines(label, row, labels, options.max_width, ascii_only=options.ascii_only)


def lines(label: str, row: Row, labels: int, width: int, *, ascii_only: bool) -> Iterator[Text]:
    """A row as one or two lines of at most `width` columns; `labels` of them are for the label."""
    from rich.text import Text

    room = width - labels - 1
    bar = min(_BAR, width // 5)
    figures = row.figures()
    # Where it is narrow, the rate goes first, then the count, which the bar shows too, then the bar.
    while len(figures) > 1 and bar + 1 + len("  ".join(figures)) > room:
        del figures[-2]
    tail = "  ".join(figures)
    text = Text(f"{_cut(label, labels):{labels}} ", no_wrap=True, overflow="crop")
    if row.pace is not None and row.pace.total > 0 and bar + 1 + len(tail) <= room:
        filled = round(bar * min(1.0, row.pace.done / row.pace.total))
        mark, rest = ("#", "-") if ascii_only else ("━", "─")
        text.append(mark * filled, "bar.complete").append(rest * (bar - filled), "bar.back").append(" ")
    text.append(tail[: width - text.cell_len])
    beside = width - text.cell_len - 2
    if row.state and (row.pace is None or (width >= _SINGLE_LINE and len(row.state) <= beside)):
        text.append(f"  {row.state[:beside]}" if beside > 0 else "", "dim")
        yield text
    else:
        yield text
        if row.state:
            indent = len(label) - len(label.lstrip()) + 2
            yield Text((" " * indent + row.state)[:width], "dim", no_wrap=True, overflow="crop")


def duration(seconds: float) -> str:
    """Seconds in words: '8 s', '3 min 20 s', '2 h 05 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _cut(text: str, width: int) -> str:
    """The text without its middle where it is too long: stages differ at their ends."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"

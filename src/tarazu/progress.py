"""The function through which long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

ReportProgress = Callable[[int, int, str], None]
"""Takes the number of items done, the total number of items, and a short description of the current state."""

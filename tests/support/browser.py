"""A real browser for tests of pages: its path, its options, and when a test may be skipped without it."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

# The browser may be missing on a user's machine, but not in CI.
needed = pytest.mark.skipif(
    (CHROMIUM is None or find_spec("playwright") is None) and os.environ.get("CI") != "true",
    reason="needs chromium and the package playwright",
)

"""A real browser for tests of pages: which, how it is started, and when a test may do without."""

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

# On a reader's machine a browser may be missing; where CI says that it is tested, it may not.
needed = pytest.mark.skipif(
    (CHROMIUM is None or find_spec("playwright") is None) and os.environ.get("CI") != "true",
    reason="needs chromium and the package playwright",
)

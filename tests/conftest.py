"""What every test needs: no Hub, no deadline, and the same environment on every machine."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

# A test on a busy machine is not wrong for being slow.
settings.register_profile("tarazu", deadline=None)
settings.load_profile("tarazu")

KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CI", "OMP_NUM_THREADS")
KEPT_PREFIXES = ("PYTHON", "PYTEST_", "COV_CORE_", "COVERAGE_", "CUDA_", "NVIDIA_", "NVPL_")
"""Variables that find programs, libraries and accelerators, and those that steer pytest itself."""
FIXED = {
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "dumb",
    "COLUMNS": "80",
    "LINES": "24",
    "HF_HUB_OFFLINE": "1",  # a test that reached for the Hub would pass or fail with the network; none may
    "TOKENIZERS_PARALLELISM": "false",
}

FIRST = ("test_demo.py", "test_tutorials.py", "test_big_studies.py", "test_ray.py")
"""Files with the longest tests: one that started last would keep one process busy while the others have none left."""

_home = pytest.StashKey[str]()


# Last, so that the user's own colours still decide what pytest's output looks like; tests are not yet imported.
@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the tests an empty home and no variable of the user, so that settings, caches and tokens decide nothing."""
    config.stash[_home] = home = tempfile.mkdtemp(prefix="tarazu-home-")
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
    os.environ.clear()
    os.environ |= kept | FIXED | {"HOME": home}
    time.tzset()


def pytest_unconfigure(config: pytest.Config) -> None:
    if home := config.stash.get(_home, None):
        shutil.rmtree(home, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in FIRST)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser. Tests that use it are marked with `browser.needed`."""
    from browser import CHROMIUM, QUIET
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def forked_tarazu() -> Iterator[list[str]]:
    """The words of `tarazu` as a process that has imported torch already (support/forked.py)."""
    from forked import server

    with server() as words:
        yield words

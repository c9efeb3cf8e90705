"""The small study and its finished run, which every file here reads or copies."""

from __future__ import annotations

from pathlib import Path

import pytest
from forked import count_operations
from small_study import write_small_study


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_study(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def small_run(
    small_study: Path, forked_tarazu: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    """A run of it without interruptions, by the command, and how many operations on files that took."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return out, count_operations(forked_tarazu, ["run", str(small_study), "--out", str(out)], out)

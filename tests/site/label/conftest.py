from __future__ import annotations

from pathlib import Path

import pytest
import rating


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with texts. Tests write their tables of ratings elsewhere."""
    return rating.write_run(tmp_path_factory.mktemp("rated"))

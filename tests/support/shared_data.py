"""Third-party data in their published form, beside the repository: absent in most places, so its tests skip."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"


def shared(name: str) -> Path:
    """The file or folder `name` of the data beside the repository; skips the test where it is not there."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"needs {name} of the third-party data beside the repository")
    return path

"""Folders that tests share until their process ends."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def shared_folder(name: str) -> Path:
    """A new folder below the temporary one, which this process removes when it ends."""
    folder, maker = Path(tempfile.mkdtemp(prefix=f"tarazu-{name}-")), os.getpid()

    def remove() -> None:
        if os.getpid() == maker:  # not a fork of it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder

"""Where trackers that write files put them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TENSORBOARD = "TENSORBOARD_LOGGING_DIR"


@contextmanager
def logging_below(folder: Path) -> Iterator[None]:
    """Have TensorBoard's files written to `folder` for a while, unless the user's environment says where.

    transformers would put them beside the checkpoints of training, which go when training is done.
    """
    if _TENSORBOARD in os.environ:
        yield
        return
    os.environ[_TENSORBOARD] = str(folder)
    try:
        yield
    finally:
        del os.environ[_TENSORBOARD]

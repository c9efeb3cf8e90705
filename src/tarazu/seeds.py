"""Seeds: each use of the study's seed has one of its own. And what else it takes for the same numbers again."""

from __future__ import annotations

import hashlib
import os


def derived_seed(seed: int, *names: object) -> int:
    """A seed below 2**31 of its own for each named use of the study's seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{names}".encode()).digest()[:4], "big") >> 1


def repeatable_on_cuda() -> None:
    """Call before torch is loaded: the kernels that give the same numbers again exist on CUDA only with a workspace of
    fixed size."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

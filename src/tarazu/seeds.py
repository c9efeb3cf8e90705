"""Derives a separate seed for each use of the study's seed, and makes computations on CUDA repeatable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def derived_seed(seed: int, *names: object) -> int:
    """A separate seed below 2**31 for each named use of the study's seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{names}".encode()).digest()[:4], "big") >> 1


def repeatable_on_cuda() -> None:
    """Call this before torch is loaded: CUDA has repeatable kernels only with a workspace of fixed size."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def repeatable_sums() -> Iterator[None]:
    """Make torch add in a fixed order within the context, and raise RuntimeError for operations that cannot. Otherwise
    the gradients of attention and of indexing on CUDA differ in the last digit between runs."""
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # its only setting is a property that type checkers do not see
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # filling takes time, and no code here reads such memory
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = filled

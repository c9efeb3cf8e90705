"""Seeds: each use of the study's seed has one of its own. And what else it takes for the same numbers again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def derived_seed(seed: int, *names: object) -> int:
    """A seed below 2**31 of its own for each named use of the study's seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{names}".encode()).digest()[:4], "big") >> 1


def repeatable_on_cuda() -> None:
    """Call before torch is loaded: the kernels that give the same numbers again exist on CUDA only with a workspace of
    fixed size."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def repeatable_sums() -> Iterator[None]:
    """Have torch add in a fixed order for a while wherever it can: on CUDA the gradients of attention and of indexing
    otherwise differ in the last digit from run to run."""
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # its one setting is a property that type checkers do not see
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # it costs time, and nothing here reads such memory
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = filled

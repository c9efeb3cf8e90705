"""Memory during training: avoids repeated allocation by the system and repeated conversion of frozen weights."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_KEEP = {_M_MMAP_MAX: 0, _M_MMAP_THRESHOLD: 2**30, _M_TRIM_THRESHOLD: 2**31 - 1}
_DEFAULT = {_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: 2**17, _M_TRIM_THRESHOLD: 2**17}


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Make glibc reuse freed memory within the context instead of returning it to the system.

    The system would zero each page before handing it out again, which took a tenth of a training step. The memory is
    returned at the end of the context. Does nothing without glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    _set(libc, _KEEP)
    try:
        yield
    finally:
        _set(libc, _DEFAULT)
        libc.malloc_trim(0)


def _set(libc: ctypes.CDLL, options: dict[int, int]) -> None:
    for option, value in options.items():
        libc.mallopt(option, value)


@contextmanager
def frozen_in_bfloat16(model: Any) -> Iterator[None]:
    """Store the frozen weights of linear layers in bfloat16 within the context.

    autocast would round them in the same way, but at each step. A layer that shares its weight with an embedding stays
    in float32, because the embedding does.
    """
    shared = {module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    frozen = [
        (parameter, parameter.data)
        for module in model.modules()
        if isinstance(module, torch.nn.Linear)
        for parameter in module.parameters(recurse=False)
        if not parameter.requires_grad and parameter not in shared and parameter.dtype == torch.float32
    ]
    for parameter, exact in frozen:
        parameter.data = exact.to(torch.bfloat16)
    try:
        yield
    finally:
        for parameter, exact in frozen:
            parameter.data = exact

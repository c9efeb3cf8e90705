"""Resource limits of a sandboxed program: as the caller states them, and as the kernel enforces them."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict, Field

_OPEN_FILES = 256


class Limits(BaseModel):
    """The most that a re-run may use."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    seconds: int = Field(300, ge=1, le=86_400)
    memory_mib: int = Field(4096, ge=64, le=2**22)
    file_mib: int = Field(1024, ge=1, le=2**22, description="Largest file that it may write.")
    processes: int = Field(64, ge=1, le=2**16)


def kernel_limits(limits: Limits) -> dict[str, int]:
    """The kernel's limits for each process. RLIMIT_NPROC counts all processes of the sandbox together."""
    return {
        "RLIMIT_AS": limits.memory_mib << 20,
        "RLIMIT_FSIZE": limits.file_mib << 20,
        "RLIMIT_CPU": limits.seconds * (os.cpu_count() or 1) + 1,
        "RLIMIT_NPROC": limits.processes,
        "RLIMIT_NOFILE": _OPEN_FILES,
        "RLIMIT_CORE": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_MEMLOCK": 64 * 1024,
    }

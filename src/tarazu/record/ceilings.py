"""What a verifier allows a stranger's record to use. A record states its own limits; these are the limits of those."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tarazu.errors import BadInput
from tarazu.record.model import Depth
from tarazu.sandbox.limits import Limits

LARGEST_MIB: Final = 1024
"""Default bound on the size of a record: all its files together, as they would be without holes."""
_LEAST_MEMORY_MIB: Final = 8192
"""What the package's own scripts ask for where they load models. It bounds their address space, which is larger than
the memory that they use."""
_CGROUP: Final = Path("/sys/fs/cgroup")


def half_of_memory() -> int:
    """Half of the memory that this process may use, in MiB, but at least what the package's own scripts ask for."""
    bytes_here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            bytes_here = min(bytes_here, int((_CGROUP / name).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return max(_LEAST_MEMORY_MIB, bytes_here // 2**21)


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """The most that a record's script may ask for. Without `seconds`, it is 300 from depth analysis, and an hour from
    depths at which models run."""

    seconds: int | None = None
    memory_mib: int = field(default_factory=half_of_memory)
    disk_mib: int = 1024
    processes: int = 512
    size_mib: int = LARGEST_MIB

    def check(self, limits: Limits, depth: Depth, file: Path) -> None:
        """Raise BadInput if `limits`, which `file` states for `depth`, are above the ceilings."""
        seconds = self.seconds or (300 if depth == "analysis" else 3600)
        for name, most, flag in (
            ("seconds", seconds, "--max-seconds"),
            ("memory_mib", self.memory_mib, "--max-memory"),
            ("file_mib", self.disk_mib, "--max-disk"),
            ("processes", self.processes, "--max-processes"),
        ):
            asked = getattr(limits, name)
            if asked > most:
                raise BadInput(
                    f"{file}: {depth}.limits.{name}: asks for {asked}, and at most {most} is allowed; if you trust the "
                    f"record, allow more with {flag}"
                )

    def at_once(self, limits: Limits, runs: int) -> int:
        """How many of `runs` runs may go on at once, so that their memory stays below the ceiling together. What a run
        writes is in memory too."""
        return min(runs, max(1, self.memory_mib // (limits.memory_mib + limits.file_mib)))

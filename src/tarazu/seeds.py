"""Seeds: each use of the study's seed has one of its own."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, *names: object) -> int:
    """A seed below 2**31 of its own for each named use of the study's seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{names}".encode()).digest()[:4], "big") >> 1

"""A checkpoint as a study names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint: its folder or its name on the Hub, the key of the study that names it, and how it is loaded."""

    name: str
    key: str
    revision: str | None = None
    trust_remote_code: bool = False

"""All hostile records. A new module adds its registry here."""

from __future__ import annotations

from hostile_records import forged, readers, resources
from hostile_records.registry import HostileRecord

ALL: tuple[HostileRecord, ...] = (*forged.HOSTILE.records, *readers.HOSTILE.records, *resources.HOSTILE.records)

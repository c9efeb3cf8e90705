"""Publish one record if anything has changed that its part of the site depends on."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeAlias

import tarazu
from tarazu.files import digest
from tarazu.record.attestation.collected import TrustedSigner
from tarazu.site.incremental.signature import content, signature
from tarazu.site.incremental.state import Known, Rebuilt
from tarazu.site.publish import RECORDS, publish


@dataclass(frozen=True)
class Settings:
    """What the pages of a site depend on besides the records: its address, the largest size of a record in MiB, and the
    signers of attestations that the site's owner knows."""

    url: str | None
    size_mib: int
    trusted: tuple[TrustedSigner, ...]

    def digest(self) -> str:
        """Of the settings and of the program."""
        signers = sorted(repr(one) for one in self.trusted)
        return digest([tarazu.__version__, _program(), self.url, self.size_mib, signers])


@dataclass(frozen=True)
class Kept:
    """A record whose part of the site is up to date, and its folder's signature."""

    source: str | None


Outcome: TypeAlias = Kept | Rebuilt | str
"""A message says why the record is not published."""


def refresh(task: tuple[Path, Known | None], *, site: Path, new: Path, settings: Settings) -> Outcome:
    """Publish the record in a folder below `new`, unless what an earlier build made of it is in `site` and is right."""
    folder, known = task
    before = signature(folder)
    intact = known is not None and known.made == signature(site / RECORDS / known.srch_id)
    if known is not None and intact and before is not None and before == known.source:
        return Kept(before)
    text = content(folder, settings.size_mib << 20)
    if known is not None and intact and text is not None and text == known.content:
        return Kept(before)
    published = publish(folder, new, settings.url, settings.size_mib, settings.trusted)
    if isinstance(published, str):
        return published
    settled = before is not None and signature(folder) == before
    made = signature(published.place)
    return Rebuilt(published, before if settled else None, text if settled else None, made)


def _program() -> str:
    """A digest of the package's code and templates. Of two programs with one version, one may be in development."""
    return digest(dict(_sources(files("tarazu"), "")))


def _sources(folder: Traversable, place: str) -> list[tuple[str, str]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        path = f"{place}/{entry.name}"
        if entry.is_dir():
            found += _sources(entry, path)
        elif entry.name.endswith((".py", ".j2", ".css", ".js", ".lean", ".smt2")):
            found.append((path, entry.read_text(encoding="utf-8")))
    return found

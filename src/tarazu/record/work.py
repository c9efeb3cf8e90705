"""What people say about a work, beside what its evidence says: title, authors, licence, date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words that go with a record; None where the build finds its own.

    `authors` are written 'Family, Given', or as one name for a group. `license` is an SPDX identifier.
    """

    submitted: date
    title: str | None = None
    abstract: str | None = None
    question: str | None = None
    authors: tuple[str, ...] = ()
    license: str | None = None
    links: tuple[str, ...] = ()

"""What a build knows of each record: a database in a hidden file beside the site, which the next build reads.

The site itself holds nothing of it, so the same records give the same site. If the file is missing, of another version
or broken, the next build builds every record.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from tarazu.errors import BadInput
from tarazu.site.benchmarks import ReportedValue
from tarazu.site.incremental.signature import signature
from tarazu.site.pools import Pooling
from tarazu.site.publish import Published
from tarazu.site.summary import Entry

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS settings (digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
  folder BLOB PRIMARY KEY, source TEXT, content TEXT, made TEXT, srch_id TEXT NOT NULL, submitted TEXT NOT NULL,
  place TEXT, entry TEXT NOT NULL, words TEXT NOT NULL, reported TEXT NOT NULL, pooling TEXT, pooled TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_order ON record (submitted DESC, srch_id DESC);
"""
_NEWEST: Final = "ORDER BY submitted DESC, srch_id DESC"


@dataclass(frozen=True)
class Known:
    """What an earlier build saw of a record: signature and content of its folder, and where and with which signature
    its part of the site is."""

    source: str | None
    content: str | None
    made: str | None
    srch_id: str


@dataclass(frozen=True)
class Rebuilt:
    """A record that was built, with the signature and the content of its folder (None if the folder
    changed meanwhile) and the signature of what was made."""

    published: Published
    source: str | None
    content: str | None
    made: str | None


@cache
def _reported() -> TypeAdapter[list[ReportedValue]]:
    return TypeAdapter(list[ReportedValue])


class State:
    """The database, in a transaction that `open_state` commits."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def known(self) -> dict[str, Known]:
        """By the name of the record's folder."""
        rows = self._database.execute("SELECT folder, source, content, made, srch_id FROM record")
        return {os.fsdecode(folder): Known(*rest) for folder, *rest in rows}

    def put(self, folder: str, built: Rebuilt) -> None:
        one = built.published
        self._database.execute(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')",
            (
                os.fsencode(folder),
                built.source,
                built.content,
                built.made,
                one.entry.summary.srch_id,
                one.entry.summary.submitted,
                one.place.name,
                one.entry.model_dump_json(),
                one.words,
                _reported().dump_json(one.reported).decode(),
                None if one.pooling is None else one.pooling.model_dump_json(by_alias=True),
            ),
        )

    def keep(self, folder: str, source: str | None) -> None:
        """The record is as it was; its folder's signature may have changed."""
        self._database.execute("UPDATE record SET source = ? WHERE folder = ?", (source, os.fsencode(folder)))

    def drop(self, folders: Iterable[str]) -> None:
        self._database.executemany(
            "DELETE FROM record WHERE folder = ?", [(os.fsencode(folder),) for folder in folders]
        )

    def clashes(self) -> list[tuple[str, list[str]]]:
        """SRCH ids that several folders have, with the folders."""
        twice = "SELECT srch_id FROM record GROUP BY srch_id HAVING count(*) > 1"
        pairs = self._database.execute(f"SELECT srch_id, folder FROM record WHERE srch_id IN ({twice}) ORDER BY 1, 2")
        found: dict[str, list[str]] = {}
        for srch_id, folder in pairs:
            found.setdefault(srch_id, []).append(os.fsdecode(folder))
        return list(found.items())

    def places(self) -> dict[str, str | None]:
        """The SRCH id of each record, with the name of its new folder if it was built now."""
        return dict(self._database.execute("SELECT srch_id, place FROM record ORDER BY srch_id"))

    def poolings(self) -> Iterator[Pooling | None]:
        """What connects each record with pools, in the order of the lists."""
        for (pooling,) in self._database.execute(f"SELECT pooling FROM record {_NEWEST}"):
            yield None if pooling is None else Pooling.model_validate_json(pooling)

    def pooled(self) -> dict[str, str]:
        """By SRCH id, what each record's page says of the pools that it is in."""
        return dict(self._database.execute("SELECT srch_id, pooled FROM record"))

    def link(self, srch_id: str, text: str, place: Path) -> None:
        """The record's page, in its new folder `place`, says `text` of the pools that it is in."""
        values = (text, place.name, signature(place), srch_id)
        self._database.execute("UPDATE record SET pooled = ?, place = ?, made = ? WHERE srch_id = ?", values)

    def placed(self) -> None:
        """The site has every record now."""
        self._database.execute("UPDATE record SET place = NULL")

    def entries(self) -> Iterator[Entry]:
        """The entries of all records, newest first."""
        for (entry,) in self._database.execute(f"SELECT entry FROM record {_NEWEST}"):
            yield Entry.model_validate_json(entry)

    def words(self) -> Iterator[str]:
        """The words of all records' claims, in the same order."""
        for (words,) in self._database.execute(f"SELECT words FROM record {_NEWEST}"):
            yield words

    def reported(self) -> Iterator[ReportedValue]:
        """What all records report, in the same order."""
        for (reported,) in self._database.execute(f"SELECT reported FROM record {_NEWEST}"):
            yield from _reported().validate_json(reported)


@contextlib.contextmanager
def open_state(out: Path, settings: str) -> Iterator[State]:
    """The state of the site in `out`; empty if the last build had other `settings`. It changes if the block succeeds.

    Only one build of a site runs at a time. Raises BadInput if there is another.
    """
    path = out.parent / f".{out.name}.build.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        database = _begin(path)
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise BadInput(f"{out}: another build of this site is running; wait for it") from None
        if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
            raise BadInput(f"{path}: cannot be opened ({error}); remove it to build every record") from None
        path.unlink(missing_ok=True)
        database = _begin(path)
    try:
        if database.execute("SELECT digest FROM settings").fetchall() != [(settings,)]:
            database.execute("DELETE FROM record")
            database.execute("DELETE FROM settings")
            database.execute("INSERT INTO settings VALUES (?)", (settings,))
        yield State(database)
        database.execute("COMMIT")
    finally:
        database.close()


def _begin(path: Path) -> sqlite3.Connection:
    """A connection in a transaction that no other process can be in."""
    database = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        for statement in _TABLES.split(";"):
            database.execute(statement)
        database.execute("BEGIN EXCLUSIVE")
        columns = "folder, source, content, made, srch_id, submitted, place, entry, words, reported, pooling, pooled"
        database.execute(f"SELECT {columns} FROM record LIMIT 1").fetchall()
    except BaseException:
        database.close()
        raise
    return database

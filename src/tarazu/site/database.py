"""The site's search: an SQLite database with an FTS5 full-text index. The build writes it; afterwards it is
read-only."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tarazu.errors import BadInput
from tarazu.site.summary import Entry, Summary

DATABASE: Final = "search.sqlite"
_SCHEMA: Final = 1
MOST_WORDS: Final = 12
LONGEST_QUERY: Final = 200
_MOST_RANKED: Final = 500
"""Number of matches up to which the best come first. To rank more takes too long, and says little."""
_SRCH: Final = re.compile(r"(?:srch[\s:-]*)?([0-9a-f]{8})", re.IGNORECASE)

_TABLES: Final = """
CREATE TABLE record (
  place INTEGER PRIMARY KEY, srch_id TEXT UNIQUE NOT NULL, id TEXT UNIQUE NOT NULL, verdict TEXT, gate TEXT NOT NULL,
  tier TEXT NOT NULL, summary TEXT NOT NULL
);
CREATE TABLE language (code TEXT NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (code, place)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (
  title, question, abstract, claims, authors, languages, study, content='', tokenize='unicode61 remove_diacritics 2',
  prefix='2 3'
);
"""


@dataclass(frozen=True, kw_only=True)
class Query:
    """A search query. A filter that is None does not apply."""

    q: str = ""
    language: str | None = None
    verdict: str | None = None
    gate: str | None = None
    tier: str | None = None
    limit: int = 50
    offset: int = 0


def write_database(path: Path, records: Iterable[tuple[Entry, str]]) -> None:
    """Write the index of `records` with the words of their claims. They are in the order of the lists."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.executescript(_TABLES)
        for place, (entry, words) in enumerate(records):
            one = entry.summary
            database.execute(
                "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)",
                (place, one.srch_id, one.id, one.verdict, one.gate_status, one.quality_tier, one.model_dump_json()),
            )
            database.executemany("INSERT INTO language VALUES (?, ?)", [(code, place) for code in one.languages])
            database.execute(
                "INSERT INTO words (rowid, title, question, abstract, claims, authors, languages, study) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    place,
                    one.title,
                    one.research_question,
                    one.abstract,
                    words,
                    " ".join(one.authors),
                    " ".join((*one.languages, *one.language_names)),
                    one.study,
                ),
            )
        database.execute("INSERT INTO words (words) VALUES ('optimize')")
        database.execute(f"PRAGMA user_version = {_SCHEMA}")
        database.commit()
        database.execute("VACUUM")


def open_database(path: Path) -> sqlite3.Connection:
    """Open a read-only connection. Raises BadInput if there is no index of this version."""
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        version = database.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise BadInput(f"{path}: cannot be opened ({error}); name a folder that `tarazu site build` made") from None
    if version != _SCHEMA:
        database.close()
        raise BadInput(f"{path}: has another version; build the site again with `tarazu site build`")
    return database


def search(database: sqlite3.Connection, query: Query) -> tuple[int, list[Summary]]:
    """The number of matching records, and the records from `offset`: best first if the query has words and at most
    `_MOST_RANKED` records match, else newest first.

    Every word of the query must begin a word of the record. A SRCH id or a UUID finds its record.
    """
    joins, conditions, values = "record", [], list[Any]()
    for column, value in (("verdict", query.verdict), ("gate", query.gate), ("tier", query.tier)):
        if value:
            conditions.append(f"record.{column} = ?")
            values.append(value)
    if query.language:
        conditions.append("record.place IN (SELECT place FROM language WHERE code = ?)")
        values.append(query.language)
    order, counted = "record.place", ""
    text = query.q.strip()[:LONGEST_QUERY]
    if short := _SRCH.fullmatch(text):
        conditions.append("record.srch_id = ?")
        values.append(short[1].upper())
    elif re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        conditions.append("record.id = ?")
        values.append(text)
    elif text:
        words = match_expression(text)
        if words is None:
            return 0, []
        # Without another condition, the number of matches needs no look at each record.
        counted = "words JOIN record ON record.place = words.rowid" if conditions else "words"
        joins = "words JOIN record ON record.place = words.rowid"
        conditions.append("words MATCH ?")
        values.append(words)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    total = database.execute(f"SELECT count(*) FROM {counted or joins} {where}", values).fetchone()[0]
    if counted:
        order = "bm25(words, 8, 4, 2, 1, 4, 2, 4), words.rowid" if total <= _MOST_RANKED else "words.rowid"
    matches = database.execute(
        f"SELECT record.summary FROM {joins} {where} ORDER BY {order} LIMIT ? OFFSET ?",
        [*values, query.limit, query.offset],
    )
    return total, [Summary.model_validate_json(row[0]) for row in matches]


def one_record(database: sqlite3.Connection, name: str) -> Summary | None:
    """The record with that SRCH id or UUID."""
    match = database.execute(
        "SELECT summary FROM record WHERE srch_id = ? OR id = ?", (name.upper(), name.lower())
    ).fetchone()
    return None if match is None else Summary.model_validate_json(match[0])


def languages(database: sqlite3.Connection) -> list[str]:
    """The codes of all records' languages, sorted."""
    return [row[0] for row in database.execute("SELECT DISTINCT code FROM language ORDER BY code")]


def match_expression(text: str) -> str | None:
    """An FTS5 query for the words of `text`, each of them quoted. None if there are no words."""
    words = re.findall(r"\w+", text)[:MOST_WORDS]
    return " ".join(f'"{word}"*' for word in words) or None

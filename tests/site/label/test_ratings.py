"""The table of ratings: durable, resumable, and never a stranger's file."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
import rating

from tarazu.errors import BadInput, TarazuError
from tarazu.site.label.ratings import Ratings
from tarazu.site.label.sample import Key

HEADER = "arm,language,kind,prompt_id,seed,sample,rater,label\n"


def key(number: int = 0, prompt: str = "p") -> Key:
    return Key("base", "sw", "harmful", f"{prompt}-{number}", 0, 0)


def test_rows_have_the_columns_of_the_contract_and_the_newest_counts(tmp_path: Path) -> None:
    ratings = Ratings(tmp_path / "ratings.csv", "amina")
    ratings.add(key(1), 1)
    ratings.add(key(2), None)
    ratings.add(key(1), 0)
    assert ratings.path.read_text(encoding="utf-8") == (
        HEADER + "base,sw,harmful,p-1,0,0,amina,1\nbase,sw,harmful,p-2,0,0,amina,\nbase,sw,harmful,p-1,0,0,amina,0\n"
    )
    again = Ratings(ratings.path, "amina")
    assert (again.label(key(1)), again.label(key(2)), key(3) in again) == (0, None, False)
    assert key(1) not in Ratings(ratings.path, "berta")


def test_names_with_commas_quotes_and_line_breaks_return(tmp_path: Path) -> None:
    odd = key(prompt='a "b", c\nd')
    Ratings(tmp_path / "r.csv", "amina").add(odd, 1)
    assert Ratings(tmp_path / "r.csv", "amina").label(odd) == 1


@pytest.mark.parametrize("cut", range(1, 34))
def test_a_row_that_a_crash_left_incomplete_is_removed(tmp_path: Path, cut: int) -> None:
    """A file cut anywhere in its last row gives the rows before it, and the next rating begins a line."""
    path = tmp_path / "ratings.csv"
    ratings = Ratings(path, "amina")
    ratings.add(key(1), 1)
    before = path.stat().st_size
    ratings.add(key(2, prompt='x"\n'), 0)
    os.truncate(path, min(before + cut, path.stat().st_size - 1))
    again = Ratings(path, "amina")
    assert key(1) in again and key(2, prompt='x"\n') not in again
    again.add(key(3), 1)
    assert [row["prompt_id"] for row in rating.rows_of(path)] == ["p-1", "p-3"]


def test_a_header_that_a_crash_left_incomplete_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(HEADER[:9], encoding="utf-8")
    Ratings(path, "amina")
    assert path.read_text(encoding="utf-8") == HEADER


def test_a_table_that_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + "base,sw,harmful,p-1,0,0,amina,1\n").replace("\n", "\r\n").encode())
    assert Ratings(path, "amina").label(key(1)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a stranger's notes", "is not a table of ratings"),
        (b"a stranger's notes\nand more", "is not a table of ratings"),
        (b"\xff\xfe\x00\x01\n", "is not a table of ratings"),
        (HEADER.encode() + b"base,sw,harmful,p,0,0,amina\n", "line 2: has 7 cells"),
        (HEADER.encode() + b"base,sw,harmful,p,0,0,amina,2\n", "line 2: label must be 1, 0 or empty"),
        (HEADER.encode() + b"base,sw,harmful,p,x,0,amina,1\n", "line 2: seed and sample"),
        (HEADER.encode() + b"base,sw,harmful,\xff,0,0,amina,1\n", "is not a table of ratings"),
        (HEADER.encode() + b"base,sw,harmful,p,0,0,amina,1\nhalf a ", None),
    ],
)
def test_other_files_are_refused_and_unchanged(tmp_path: Path, content: bytes, message: str | None) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    if message is None:
        Ratings(path, "amina")
        return
    with pytest.raises(BadInput, match=message) as refused:
        Ratings(path, "amina")
    assert str(path) in str(refused.value)
    assert path.read_bytes() == content


def _rate(path: Path, rater: str) -> None:
    ratings = Ratings(path, rater)
    for number in range(40):
        ratings.add(key(number), number % 2)


def test_several_raters_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_rate, args=(path, name)) for name in ("amina", "berta")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = rating.rows_of(path)
    assert len(rows) == 80
    assert {row["label"] for row in rows} == {"0", "1"}
    assert [writer.exitcode for writer in writers] == [0, 0]


def test_a_rating_that_cannot_be_written_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = Ratings(tmp_path / "ratings.csv", "amina")
    before = ratings.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tarazu.site.label.ratings.os.fsync", full)
    with pytest.raises(TarazuError, match="the disk is full"):
        ratings.add(key(), 1)
    assert key() not in ratings
    assert ratings.path.read_bytes() == before

"""What a record's texts can do in the files that others read: BibTeX, the feed, the archive, a terminal, a page."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from gate_records import drafted_record, edit, imported_record, reseal
from hypothesis import given
from hypothesis import strategies as st

from tarazu.cli import main
from tarazu.errors import one_line, visible
from tarazu.files import to_json
from tarazu.record.ed25519 import is_safe_point
from tarazu.record.manifest import Work
from tarazu.record.reading import read_record
from tarazu.site.build import build_site
from tarazu.site.record_parts import Lines, bibtex

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


def work(title: str, *authors: str) -> Work:
    return Work(
        id="01234567-5f83-53af-ad03-06baffec9066", srch_id="01234567", title=title, abstract="x",
        research_question="y?", submitted="2026-03-09", authors=authors,
    )  # fmt: skip


# --- BibTeX: a reader that follows the rules of the program `bibtex` --------------------------------


def bibtex_entries(text: str) -> list[dict[str, str]]:
    """The entries of a file. BibTeX counts braces, and a backslash before one changes nothing."""
    entries = []
    at = 0
    while (at := text.find("@", at)) >= 0:
        start = text.index("{", at) + 1
        end = _closing(text, start)
        body = text[start:end]
        fields = {"": body[: body.index(",")]}
        place = body.index(",") + 1
        while match := re.compile(r"\s*(\w+) = \{").match(body, place):
            close = _closing(body, match.end())
            fields[match[1]] = body[match.end() : close]
            place = close + 2  # the brace and the comma
        assert not body[place:].strip(), f"not a field: {body[place:]}"
        entries.append(fields)
        at = end
    return entries


def _closing(text: str, start: int) -> int:
    depth = 1
    for place in range(start, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return place
    raise AssertionError("a brace is not closed")


def bibtex_names(field: str) -> list[str]:
    """The names of a field, which BibTeX separates at `and` outside braces."""
    names, depth, start = [], 0, 0
    for match in re.finditer(r"[{}]|(?<=\s)and(?=\s)", field, flags=re.IGNORECASE):
        depth += (match[0] == "{") - (match[0] == "}")
        if depth == 0 and match[0].lower() == "and":
            names.append(field[start : match.start()].strip())
            start = match.end()
    return [*names, field[start:].strip()]


@pytest.mark.parametrize(
    "title",
    [
        'A}}} @article(inj2, title = "Second", author="M", year = 2000)',
        "}",
        "{",
        "}{",
        "\\}}} @misc{b, title = {c}}",
        'a" # "b',
        "a\n}\n\n@comment{",
        "a,\n  year = {1900},",
        "%}",
    ],
)
def test_bibtex_has_one_entry_whatever_the_title(title: str) -> None:
    (entry,) = bibtex_entries(bibtex(work(title, title, f"Doe, {title}"), None, None))
    assert set(entry) == {"", "author", "title", "year", "month", "note"}
    assert entry["year"] == "2026" and len(bibtex_names(entry["author"])) == 2


@given(st.text(alphabet='{}\\@=,"#()% \naAnd', min_size=1, max_size=40))
def test_bibtex_has_one_entry_whatever_the_texts(text: str) -> None:
    (entry,) = bibtex_entries(bibtex(work(text, text, "Doe, Jane"), None, "https://x.example/"))
    assert entry["year"] == "2026" and bibtex_names(entry["author"])[-1] == "Doe, Jane"
    assert len(bibtex_names(entry["author"])) == 2


def test_one_author_stays_one() -> None:
    (entry,) = bibtex_entries(bibtex(work("t", "Doe, Jane and Roe, Richard", "Doe, Jane AND others"), None, None))
    assert len(bibtex_names(entry["author"])) == 2


# --- pages, feed and archive ------------------------------------------------------------------------


def test_a_title_cannot_break_the_feed(tmp_path: Path) -> None:
    record = drafted_record(tmp_path)
    names = ["\uffff", "\ufffe\ufeff", "\x0b", "\U0001ffff", "<a>&"]
    edit(record / "manifest.json", lambda manifest: manifest["work"].update(title="T \uffff", authors=names))
    reseal(record)
    (tmp_path / "records").mkdir()
    record.rename(tmp_path / "records" / "one")
    build_site(tmp_path / "records", tmp_path / "site", url="https://records.example/")
    text = (tmp_path / "site" / "feed.xml").read_text(encoding="utf-8")
    feed = ElementTree.fromstring(text)
    titles = [one.text for one in feed.iter("{http://www.w3.org/2005/Atom}title")]
    assert titles == ["Tarazu records", "T [U+FFFF]"] and not ACTING.search(text)


def test_the_archive_has_no_file_that_the_manifest_does_not_list(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    record = imported_record(records)
    for name in ("..\\..\\..\\evil.bat", "C:\\Windows\\x.dll", "con", "more.txt", "superseded/more.json"):
        (record / name).parent.mkdir(exist_ok=True)
        (record / name).write_text("x", encoding="utf-8")
    build_site(records, tmp_path / "site")
    listed = {artifact.path for artifact in read_record(record).manifest.artifacts}
    page = tmp_path / "site" / "records" / read_record(record).manifest.work.srch_id
    with zipfile.ZipFile(page / "record.zip") as archive:
        members = {name.partition("/")[2] for name in archive.namelist()}
    assert members - listed == {"manifest.json", "corrections.jsonl"}
    assert not list(page.rglob("*more*"))


def test_neither_of_two_records_takes_the_page_of_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They have the same evidence and claims, so they have the same id, but other titles."""
    records = tmp_path / "records"
    records.mkdir()
    one = imported_record(records)
    other = Path(shutil.copytree(one, records / "z\x1b[2J"))
    edit(other / "manifest.json", lambda manifest: manifest["work"].update(title="Another title"))
    drafted = Path(shutil.copytree(drafted_record(tmp_path), records / "third"))
    assert main(["site", "build", str(records), "--out", str(tmp_path / "site")]) == 1
    errors = capsys.readouterr().err
    assert f"{one}: another record has the SRCH id" in errors and "z[U+001B][2J: another record has" in errors
    assert not ACTING.search(errors)
    pages = {path.name for path in (tmp_path / "site" / "records").iterdir()}
    assert pages == {read_record(drafted).manifest.work.srch_id}
    listed = (tmp_path / "site" / "verification.html").read_text(encoding="utf-8")
    assert "record: another record has the SRCH id" in listed and "Another title" not in listed


def test_a_record_whose_corrections_are_broken_takes_no_page(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    honest = imported_record(records)
    taker = Path(shutil.copytree(drafted_record(tmp_path), records / "taker"))
    theirs = read_record(honest).manifest.work

    def take(manifest: dict[str, object]) -> None:
        manifest["work"]["id"], manifest["work"]["srch_id"] = theirs.id, theirs.srch_id  # type: ignore[index]
        manifest["corrections"] = {"count": 1, "head": "0" * 64}

    edit(taker / "manifest.json", take)
    built = build_site(records, tmp_path / "site")
    assert built.records == 1 and "its id cannot be checked" in built.skipped[0]
    page = (tmp_path / "site" / "records" / theirs.srch_id / "index.html").read_text(encoding="utf-8")
    assert theirs.title in page


def test_lines_are_shown_only_of_a_file_in_its_own_layout(tmp_path: Path) -> None:
    record = read_record(drafted_record(tmp_path))
    pointer = "/arms/dpo/HpR/value"
    text = to_json(record.document)
    shown = Lines(record.document, text).evidence(pointer)
    assert shown.line and dict(shown.excerpt)[shown.line].strip() == '"value": 62.5'
    # The same JSON with a line more in front of the value's, and one less behind it: the counted line is another's.
    lines = text.split("\n")
    lines[shown.line - 2 : shown.line] = [lines[shown.line - 2], '            "x": 0,', '            "value": 99.0,']
    compact = json.dumps(record.document)
    for other in ("\n".join(lines), compact, text.replace("  ", " "), text + "\n", text.replace("\n", "\r\n")):
        evidence = Lines(record.document, other).evidence(pointer)
        assert evidence.line is None and evidence.excerpt == ((0, "62.5"),)


# --- terminals --------------------------------------------------------------------------------------


@given(st.text())
def test_a_line_for_a_terminal_cannot_act(text: str) -> None:
    assert not ACTING.search(one_line(text)) and "\n" not in one_line(text)
    assert not ACTING.search(visible(text))


KEY = "\x1b]0;x\x07\x1b[2J\u009b\u202e"


@pytest.mark.parametrize("file", ["claims.json", "manifest.json", "repro/repro.json", "results.json"])
def test_a_key_of_a_record_cannot_act_in_a_message(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = tmp_path / "records"
    records.mkdir()
    record = imported_record(records)
    edit(record / file, lambda value: value.update({KEY: {KEY: KEY}}))
    reseal(record)
    for command in (["show"], ["verify"], ["assess"]):
        assert main(["record", *command, str(record)]) == 2
    assert main(["site", "build", str(records), "--out", str(tmp_path / "site")]) == 1
    output = "".join(capsys.readouterr())
    assert "[U+001B]" in output and not ACTING.search(output)


def test_json_is_ascii_on_a_terminal_and_as_it_is_in_a_pipe(tmp_path: Path) -> None:
    record = imported_record(tmp_path)
    title = "T \u009b \u202e \x7f é \U0001f600"
    edit(record / "manifest.json", lambda manifest: manifest["work"].update(title=title))
    reseal(record)
    command = [sys.executable, "-m", "tarazu", "record", "show", "--json", str(record)]
    piped = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    assert json.loads(piped)["work"]["title"] == title and "é" in piped
    parent, child = pty.openpty()
    shown = b""
    with subprocess.Popen(command, stdout=child, stderr=child) as process:
        os.close(child)
        while True:
            try:
                shown += os.read(parent, 65536)
            except OSError:
                break
    assert process.returncode == 0 and shown.isascii() and b"\x7f" not in shown and b"\x1b" not in shown
    assert json.loads(shown)["work"]["title"] == title


# --- keys of small order ----------------------------------------------------------------------------

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def add(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """The sum of two points of Ed25519 (RFC 8032, section 5.1.4, in affine coordinates)."""
    (a, b), (c, e) = one, other
    product = D * a * b * c * e % P
    return ((a * e + b * c) * pow(1 + product, -1, P) % P, (b * e + a * c) * pow(1 - product, -1, P) % P)


def x_of(y: int) -> int:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    return root if root * root % P == square else root * pow(2, (P - 1) // 4, P) % P


def test_points_of_small_order_are_refused_as_keys() -> None:
    root = pow(1 + D, (P + 3) // 8, P)
    root = root if root * root % P == (1 + D) % P else root * pow(2, (P - 1) // 4, P) % P
    squares = [(-1 + sign * root) * pow(D, -1, P) % P for sign in (1, -1)]
    square = next(one for one in squares if pow(one, (P - 1) // 2, P) == 1)
    y = pow(square, (P + 3) // 8, P)
    y = y if y * y % P == square else y * pow(2, (P - 1) // 4, P) % P
    point = (x_of(y), y)
    points = [point]
    while points[-1] != (0, 1):
        points.append(add(points[-1], point))
    assert len(points) == 8  # the whole group: `point` has order 8
    for x, y in points:
        for code in {y | (x & 1) << 255, y | 1 << 255, y}:
            assert not is_safe_point(code.to_bytes(32, "little"))
        if y + P < 2**255:
            assert not is_safe_point((y + P).to_bytes(32, "little"))
    base = (x_of(4 * pow(5, -1, P) % P), 4 * pow(5, -1, P) % P)
    assert is_safe_point(base[1].to_bytes(32, "little"))

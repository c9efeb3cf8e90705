"""Strangers' documents and claims files are read within bounds of time and memory, at a build as at the gate."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from record_data import PAPER, pdf

from tarazu.errors import BadInput
from tarazu.record.build import look_up as module
from tarazu.record.build.authored import read_claims
from tarazu.record.build.look_up import READING, look_up
from tarazu.record.claims.grounding import ground
from tarazu.record.model import SourceClaim
from tarazu.yaml_files import parse_yaml

BRIEF = READING.model_copy(update={"seconds": 2})
LAUGHS = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 11)
)


@pytest.fixture(params=["sandbox", "process"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where documents are read: in the sandbox, or in a process with limits on a machine that has none."""
    module._look_up.cache_clear()
    if request.param == "process":
        monkeypatch.setattr(module, "unavailable", lambda: "made up for a test")
    return str(request.param)


def claim(quote: str, source: str = "paper.md") -> SourceClaim:
    return SourceClaim(kind="source_grounded", id="said", statement="It says so.", source=source, quote=quote)


def test_a_quotation_is_found_as_without_the_sandbox(where: str) -> None:
    said = claim("DPO raises the helpfulness rate from 25.0 to 75.0 percent")
    found = look_up({"paper.md": PAPER / "paper.md"}, [said], READING)
    assert found.groundings["said"] == ground(PAPER / "paper.md", said)
    first = (PAPER / "paper.md").read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    assert (found.documents["paper.md"].heading, found.documents["paper.md"].problem) == (first, None)


def nested(folder: Path) -> Path:
    path = folder / "paper.html"
    path.write_text("<div>" * 100_000 + "text" + "</div>" * 100_000, encoding="utf-8")
    return path


def test_a_document_that_takes_too_long_is_refused(where: str, tmp_path: Path) -> None:
    path = nested(tmp_path)
    start = time.monotonic()
    try:
        found = look_up({path.name: path}, [claim("a quotation of some words", path.name)], BRIEF)
        assert found.groundings["said"].problem is not None
    except BadInput as error:
        message = str(error)
        assert len(message.splitlines()) == 1 and path.name in message and "/record/" not in message
    assert time.monotonic() - start < 60


def test_memory_is_bounded(where: str, tmp_path: Path) -> None:
    path = tmp_path / "paper.html"
    path.write_text("<p>" + "a" * (60 << 20), encoding="utf-8")
    small = READING.model_copy(update={"memory_mib": 160, "seconds": 20})
    with pytest.raises(BadInput, match=r"paper\.html: cannot be read: .*--max-memory"):
        look_up({"paper.html": path}, [], small)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.pdf", b"%PDF-1.4\nnothing", "a.pdf: not a valid PDF"),
        ("a.pdf", pdf([]), "a.pdf: has no text"),
        ("a.html", b"\xff\xfe", "a.html: byte 1 (0xff) is not UTF-8"),
        ("a.md", b"", "a.md: has no text"),
    ],
)
def test_a_document_that_cannot_be_read_is_named(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    module._look_up.cache_clear()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput) as error:
        look_up({name: tmp_path / name}, [], READING)
    assert reason in str(error.value) and str(error.value).startswith(str(tmp_path))


def test_a_document_of_holes_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    with (tmp_path / "a.pdf").open("wb") as stream:
        stream.truncate(3 << 30)
    with pytest.raises(BadInput, match="at most 67108864 can be read"):
        look_up({"a.pdf": tmp_path / "a.pdf"}, [], READING)


# --- claims files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS + "claims: *a10\n", "an alias repeats this value"),
        ("claims:\n  - &a {id: a}\n  - *a\n", "line 2: an alias repeats this value"),
        ("claims: [" + "1, " * 60_000 + "1]", "more than 50000 keys and values"),
        ("claims: " + "[" * 5000, "recursion"),
        ("claims: 1" + ":1" * 100_000, "a number of more than 400 characters"),
        ("claims: " + "9" * 100_000, "a number of more than 400 characters"),
        ("claims: 0x" + "f" * 100_000, "a number of more than 400 characters"),
        ("claims: '" + "a" * (1 << 20) + "'", "more than 1048576"),
    ],
    ids=["laughs", "alias", "values", "nesting", "base 60", "digits", "base 16", "size"],
)
def test_a_claims_file_is_bounded(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    start = time.process_time()
    with pytest.raises(BadInput, match=reason) as error:
        read_claims(path)
    assert time.process_time() - start < 8
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 500


def test_aliases_of_a_study_are_counted() -> None:
    with pytest.raises(BadInput, match="stand for more than 50000 keys and values"):
        parse_yaml("study.yaml", LAUGHS, "a study", "a name")
    tree, _ = parse_yaml("study.yaml", "a: &a [1, 2]\nb: *a\n", "a study", "a name")
    assert tree == {"a": [1, 2], "b": [1, 2]}


def test_a_pipe_is_no_claims_file(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "claims.yaml")
    with pytest.raises(BadInput, match="not a regular file"):
        read_claims(tmp_path / "claims.yaml")

"""What the build of the documentation's site does not check: links outside docs/ and in raw HTML, words in angle
brackets, and listings after lists."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob(".github/**/*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
FILE = re.compile(r"`((?:tests|scripts|src|docs)/[\w./-]+)`")
FENCED = re.compile(r"^(```.*?^```$|    .*?$)", re.M | re.S)
CODE = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", re.S)
ITEM = re.compile(r"(?:[-*]|\d+\.) ")
TAG = re.compile(r"<(?!https?:|!--|/?a\b|img\b)/?[a-zA-Z][^>\s]*>?")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_a_document_links_to_exist(document: Path) -> None:
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    targets = [(one or other).partition("#")[0] for one, other in LINK.findall(text)]
    local = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if path.name != "CHANGELOG.md"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_files_of_the_project_that_a_document_names_exist(document: Path) -> None:
    named = FILE.findall(document.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_word_in_angle_brackets_is_taken_for_a_tag(document: Path) -> None:
    """Of `aya_<code>.jsonl` without backticks a page shows aya_.jsonl."""
    text = CODE.sub("", FENCED.sub("", document.read_text(encoding="utf-8")))
    assert TAG.findall(text) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_listing_is_taken_for_the_last_paragraph_of_a_list(document: Path) -> None:
    """Four spaces after a list continue it: a listing there needs a sentence before it, or a fence."""
    taken, in_list = [], False
    lines = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S).split("\n")
    for before, line in pairwise(lines):
        in_list = bool(ITEM.match(line)) or (in_list and (not line or line.startswith(" ")))
        if in_list and not before and line.startswith("    "):
            taken.append(line)
    assert taken == []

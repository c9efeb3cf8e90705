"""Keeps the worst of the old dialect out of names, docstrings, comments, messages and pages.

The list is short on purpose: it holds words that a native reader stumbles over, in patterns that match nothing else.
A good sentence is not one that passes this test. `NOT_YET` names what is still to be rewritten, and may only shrink.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

PHRASES = {
    r"hangs? on": "depends on",
    r"hanging on": "depending on",
    r"(?:is|are|was|were|be|been|as) told": "reported; the message",
    r"tells? of": "reports",
    r"the mend|(?:to|and|can|must|must not|or) mend|mends?(?= or )|mended": "fix",
    r"carr(?:y|ies|ied) out|carried (?:it|them|one) out": "run",
    r"(?:goes|go|went|gone) on from": "resumes from",
    r"left out": "excluded, omitted",
    r"leave it out|leave them out": "remove it, omit it",
    r"whole or not at all|made whole|(?:the|a|as a|as one) whole(?= *[.,;:)]|$)": "atomically, complete",
    r"stands? twice|stands also": "duplicate",
    r"save that|save (?:in|for) the": "except",
    r"whatever(?: \w+){1,3} (?:is|are|was|were|says?)": "regardless of",
    r"(?<!there )(?:is|are) no (?:key|part|object|folder|number|store|text|table|error|refusal|file)s?": "is not a",
    r"in its place|in their place": "instead",
    r"behind (?:it|its|their|a|the) (?:stem|prompt|context)s?": "after",
    r"in a (?:process|folder) of its own|of one's own": "separate; the user's own",
    r"hold(?:s|ing)? (?:none|it all|no [<{a-z])": "contains no",
    r"what (?:is|was|were) asked|asked for": "requested",
    r"what (?:is|was) left": "the rest",
}
"""Patterns of prose, matched as whole words and without case, with what to write."""

NAMES = {
    "told": "message",
    "tells": "reports",
    "mend": "fix",
    "mended": "fixed",
    "asked": "requested",
    "whole": "complete",
    "found": "the name of the thing",
    "foresee": "power_analysis",
    "contend": "run_in_subprocess",
    "chances": "probs",
    "hangs": "depends",
    "unsound": "invalid",
    "entered": "included",
}
"""Words that may not be parts of a public name."""

NOT_YET: tuple[str, ...] = ()
"""Rooms and modules of the package that are not rewritten yet."""

PAGES_NOT_YET: tuple[str, ...] = ()
"""Pages that are not rewritten yet."""


class Prose(NamedTuple):
    path: Path
    line: int
    text: str


def sources() -> list[Path]:
    package = ROOT / "src" / "tarazu"
    paths = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in NOT_YET]
    tests = [ROOT / "tests" / room for room in rooms_of(paths)]
    return [*paths, *(path for folder in tests for path in folder.glob("*.py"))]


def rooms_of(paths: list[Path]) -> list[str]:
    """The rooms of the package that are rewritten, whose tests are too."""
    package = ROOT / "src" / "tarazu"
    return sorted({path.relative_to(package).parts[0] for path in paths if path.parent != package})


@cache
def pattern() -> re.Pattern[str]:
    return re.compile("|".join(rf"\b(?:{phrase})\b" for phrase in PHRASES), re.IGNORECASE)


def prose_of(path: Path) -> Iterator[Prose]:
    """Docstrings, comments, and strings of several words, such as messages."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(" ") > 1:
            yield Prose(path, node.lineno, " ".join(node.value.split()))
    lines: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines.append((token.start[0], token.string.lstrip("# ")))
    # Comments of several lines are one text.
    while lines:
        first, text = lines.pop(0)
        last = first
        while lines and lines[0][0] == last + 1:
            last, more = lines.pop(0)
            text = f"{text} {more}"
        yield Prose(path, first, text)


def names_of(path: Path) -> Iterator[Prose]:
    """Functions, classes, parameters and fields without a leading underscore."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield Prose(path, node.lineno, node.name)
        if isinstance(node, ast.arg):
            yield Prose(path, node.lineno, node.arg)
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield Prose(path, field.lineno, field.target.id)


def words_of(name: str) -> set[str]:
    """The words of a name in snake case or camel case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def place(item: Prose) -> str:
    return f"{item.path.relative_to(ROOT)}:{item.line}"


def test_prose_is_plain() -> None:
    faults = []
    for path in sources():
        for item in prose_of(path):
            if match := pattern().search(item.text):
                faults.append(f"{place(item)}: '{match[0]}' in: {item.text[:100]}")
    assert faults == [], "\n" + "\n".join(faults)


def test_names_are_plain() -> None:
    faults = []
    for path in sources():
        is_test = (ROOT / "tests") in path.parents
        for item in names_of(path):
            words = NAMES.keys() & words_of(item.text)
            if words and not item.text.startswith("_") and not is_test:
                word = min(words)
                faults.append(f"{place(item)}: {item.text}: write {NAMES[word]} for '{word}'")
    assert faults == [], "\n" + "\n".join(faults)


def test_names_of_tests_are_plain() -> None:
    faults = []
    for path in sources():
        for item in names_of(path):
            if item.text.startswith("test_") and (match := pattern().search(item.text.replace("_", " "))):
                faults.append(f"{place(item)}: '{match[0]}' in {item.text}")
    assert faults == [], "\n" + "\n".join(faults)


def test_pages_are_plain() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    faults = []
    for path in pages:
        if path.relative_to(ROOT).as_posix() not in PAGES_NOT_YET:
            text = " ".join(path.read_text(encoding="utf-8").split())
            faults += [f"{path.relative_to(ROOT)}: '{match[0]}'" for match in pattern().finditer(text)]
    assert faults == [], "\n" + "\n".join(faults)


def test_what_is_not_rewritten_exists() -> None:
    """A room that was renamed or removed leaves the list."""
    assert [name for name in NOT_YET if not (ROOT / "src" / "tarazu" / name).exists()] == []
    assert [name for name in PAGES_NOT_YET if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "text",
    [
        "what it hangs on",
        "the user is told",
        "file, line and the mend",
        "the id stands twice",
        "written whole or not at all",
        "rows left out of D",
        "run in a process of its own",
    ],
)
def test_the_dialect_is_recognised(text: str) -> None:
    assert pattern().search(text)


@pytest.mark.parametrize(
    "text",
    [
        "an untold story",
        "the left outer join",
        "a whole number",
        "recommend a fix",
        "there is no file",
        "it depends on its own files",
        "the whole table",
    ],
)
def test_plain_english_passes(text: str) -> None:
    assert not pattern().search(text)

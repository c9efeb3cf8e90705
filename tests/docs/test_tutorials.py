"""The tutorials do what they say: each page's files are written, its commands run, and its outputs compared.

A fenced block with a title is a file. A `console` block holds commands after `$ `, each followed by what it prints: a
line `...` stands for any lines, and `...` within a line for any text. Where a comment says that numbers vary, any
number will do.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import tarazu

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
NUMBERS_VARY = "<!-- numbers vary -->"
BLOCK = re.compile(
    rf'(?P<vary>{NUMBERS_VARY}\n)?^```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<body>.*?)^```$', re.M | re.S
)
NUMBER = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True, kw_only=True)
class File:
    """What a reader saves under a name."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a reader types, and what the page says that it prints."""

    line: str
    output: list[str]
    numbers_vary: bool


def steps(page: str) -> list[File | Command]:
    """Files and commands, in the order of the page."""
    found: list[File | Command] = []
    for block in BLOCK.finditer(page):
        if block["title"]:
            found.append(File(name=block["title"], text=block["body"]))
        elif block["kind"] == "console":
            for line in block["body"].splitlines():
                if line.startswith("$ "):
                    found.append(Command(line=line[2:], output=[], numbers_vary=bool(block["vary"])))
                else:
                    command = found[-1]
                    assert isinstance(command, Command), "a console block starts with a command"
                    command.output.append(line)
    return found


def pattern(output: list[str], *, numbers_vary: bool) -> re.Pattern[str]:
    """What a command's complete output must match; without any quoted, everything does."""
    if not output:
        return re.compile(r"(?s).*")
    lines = []
    for line in output:
        if line.strip() == "...":
            lines.append(r"(?:[^\n]*\n)*?")
        else:
            text = ".*".join(re.escape(comparable(part, numbers_vary=numbers_vary)) for part in line.split("..."))
            lines.append(text + r"[ ]*\n")
    return re.compile("".join(lines))


def comparable(text: str, *, numbers_vary: bool) -> str:
    if not numbers_vary:
        return text
    return re.sub(r"[ ]+", " ", NUMBER.sub("#", text).replace("+", "").replace("-#", "#"))


def test_quoted_output_is_compared_line_by_line() -> None:
    some = pattern(["...", "base 1.5 ... 3", "..."], numbers_vary=False)
    assert some.fullmatch("x\nbase 1.5 [2, 4] 3\ny\n")
    assert some.fullmatch("base 1.5  3\n")
    assert not some.fullmatch("x\nbase 1.6 [2, 4] 3\n")
    assert not pattern(["a", "b"], numbers_vary=False).fullmatch("a\nx\nb\n")
    varies = pattern(["base   12.5 [1.0, 2.0]"], numbers_vary=True)
    assert varies.fullmatch(comparable("base    1.25 [-1.0, 22.0]\n", numbers_vary=True))
    assert not varies.fullmatch(comparable("base    1.25\n", numbers_vary=True))


def test_a_page_s_files_and_commands_are_found_in_order() -> None:
    page = 'Save:\n\n```yaml title="a.yaml"\nx: 1\n```\n\n```sh\nnot run\n```\n\n```console\n$ one\n$ two\nout\n```\n'
    assert steps(page) == [
        File(name="a.yaml", text="x: 1\n"),
        Command(line="one", output=[], numbers_vary=False),
        Command(line="two", output=["out"], numbers_vary=False),
    ]


@pytest.fixture
def environment(tmp_path: Path, forked_tarazu: list[str]) -> dict[str, str]:
    """`tarazu` and `python` on the PATH, both of the code under test."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("python", [sys.executable]), ("tarazu", forked_tarazu)):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    source = Path(tarazu.__file__).resolve().parents[1]
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(source), "LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize("name", sorted(page.stem for page in TUTORIALS.glob("*.md")))
def test_a_tutorial_does_what_it_says(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    todo = steps((TUTORIALS / f"{name}.md").read_text(encoding="utf-8"))
    assert any(isinstance(step, File) for step in todo)
    assert any(isinstance(step, Command) and step.output for step in todo)
    for step in todo:
        if isinstance(step, File):
            folder.joinpath(step.name).write_text(step.text, encoding="utf-8")
            continue
        done = subprocess.run(
            ["bash", "-c", step.line],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{step.line}\n{done.stdout}"
        expected = pattern(step.output, numbers_vary=step.numbers_vary)
        printed = comparable(done.stdout, numbers_vary=step.numbers_vary)
        assert expected.fullmatch(printed), f"{step.line} printed\n{printed}\ninstead of\n" + "\n".join(step.output)

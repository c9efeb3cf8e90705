"""The shape of the code: which room may import which, no circles, and folders that a reader can take in.

A room is a package or a module right under `tarazu`. Imports are read from the source, those inside functions too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tarazu

ROOT = Path(tarazu.__file__).resolve().parent

ROOMS = (
    # what everything may use
    *("errors", "seeds", "files", "progress", "readers", "tables", "yaml_files", "languages", "launch", "studies"),
    # from settings to results
    *("stats", "study", "data", "results", "coverage", "summary", "scores", "preregistration"),
    *("conversation", "align", "respond"),
    *("judge", "health", "capability", "analysis", "report", "run", "pool"),
    # from results to a site of records
    *("sandbox", "record", "assessment", "site"),
    # who calls all of them
    *("bench", "notebook", "commands", "cli", "__main__"),
)
"""Each may import itself and those before it."""

MOST_ENTRIES = 20
CROWDED = {".": 40, "data": 24, "data/parallel": 60}
"""Folders that hold more, with their bounds: they may shrink."""


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(("tarazu", *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return found


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names: of modules, and of what is taken from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str:
    """The module that a dotted name is of or in."""
    while name not in modules():
        name = name.rpartition(".")[0]
    return name


@cache
def graph() -> dict[str, set[str]]:
    """Each module of the package with those of it that it imports; the package's own __init__ aside, which has its
    version and is imported for it."""
    made = {}
    for name, path in modules().items():
        if name != "tarazu":
            own = (module_of(one) for one in imported(tree_of(path)) if one.partition(".")[0] == "tarazu")
            made[name] = {one for one in own if one not in ("tarazu", name)}
    return made


def room(module: str) -> str:
    return module.split(".")[1]


def test_every_room_has_its_place() -> None:
    rooms = {room(module) for module in graph()}
    assert rooms - set(ROOMS) == set(), "give the new room its place in ROOMS: after all that it imports"
    assert len(set(ROOMS)) == len(ROOMS)


def test_no_import_runs_up() -> None:
    places = {name: place for place, name in enumerate(ROOMS)}
    up = [
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in sorted(others)
        if places[room(other)] > places[room(module)]
    ]
    assert up == []


def circle(arrows: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_modules_import_each_other() -> None:
    assert circle(graph()) == []


@pytest.mark.parametrize("package", sorted({room(module) for module in graph() if module.count(".") > 1}))
def test_the_parts_of_a_room_form_no_circle(package: str) -> None:
    """Parts are a room's modules and its folders, each folder as one."""
    arrows: dict[str, set[str]] = {}
    for module, others in graph().items():
        for other in others:
            if room(module) == room(other) == package and module.count(".") > 1 and other.count(".") > 1:
                part, other_part = module.split(".")[2], other.split(".")[2]
                if part != other_part:
                    arrows.setdefault(part, set()).add(other_part)
    assert circle(arrows) == []


def test_a_circle_is_found() -> None:
    assert circle({"record": {"assessment"}, "assessment": {"site"}, "site": {"record"}}) != []
    assert circle({"record": {"sandbox"}, "assessment": {"record"}}) == []


def test_the_sandbox_knows_nothing_of_records() -> None:
    known = {other for module, others in graph().items() if room(module) == "sandbox" for other in others}
    assert {room(module) for module in known} == {"sandbox"}


def test_nothing_of_the_challenge_enters_the_gate() -> None:
    """Whatever a language model says of a record changes neither its verdict nor its score nor its tier."""
    own = "tarazu.assessment.challenge"
    users = {module for module, others in graph().items() if any(other.startswith(own) for other in others)}
    assert {module for module in users if not module.startswith(own)} == {"tarazu.commands.challenging"}


def test_statistics_need_numpy_and_scipy_only() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "scipy"}
    for name, path in modules().items():
        if name.startswith("tarazu.stats"):
            tree = tree_of(path)
            own = {module_of(one) for one in imported(tree) if one.partition(".")[0] == "tarazu"}
            assert {room(one) for one in own} <= {"stats", "errors"}, name
            # statsmodels is the one extra, and is imported by the function that uses it.
            others = {one.partition(".")[0] for one in imported(tree)} - {"tarazu"}
            assert others <= allowed | {"statsmodels"}, name
            at_once = {one.partition(".")[0] for node in tree.body for one in imported(node) if is_import(node)}
            assert at_once - {"tarazu"} <= allowed, name


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def folders() -> list[Path]:
    found = (ROOT, *(path for path in ROOT.rglob("*") if path.is_dir()))
    return [path for path in found if "__pycache__" not in path.parts]


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_folder_can_be_taken_in(folder: Path) -> None:
    entries = [entry for entry in folder.iterdir() if entry.name != "__pycache__"]
    assert len(entries) <= CROWDED.get(folder.relative_to(ROOT).as_posix(), MOST_ENTRIES)


def test_modules_named_in_strings_exist() -> None:
    """Such as those that run inside the sandbox by name, and those whose folders hold files."""
    for name, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("tarazu."):
                parts = node.value.split(".")
                if all(part.isidentifier() for part in parts):
                    known = node.value in modules() or ROOT.joinpath(*parts[1:]).is_dir()
                    assert known, f"{name} names {node.value}"


def test_the_command_line_loads_no_torch() -> None:
    code = "import sys, tarazu.cli; print(*sorted({'torch', 'transformers', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

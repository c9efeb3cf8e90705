"""SMT-LIB 2 as trees: what a claim's script may hold, read by ourselves so that both solvers are given the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

Tree = str | list["Tree"]

ALLOWED: Final = (
    "declare-const",
    "declare-fun",
    "declare-sort",
    "declare-datatype",
    "declare-datatypes",
    "define-const",
    "define-fun",
    "define-sort",
    "assert",
)
"""Commands of a claim's script: declarations, definitions and premises. What is asked of the solvers is the gate's."""
COMPARISONS: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "distinct", "distinct": "="}
"""Comparisons, and what each becomes when it is turned round."""
_MOST_BYTES, _MOST_LEVELS = 1 << 20, 200
_TOKEN = re.compile(r'\s+|;[^\n]*|(?P<open>\()|(?P<close>\))|(?P<atom>"(?:[^"]|"")*"|[^\s()";|\\]+)')
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")
_BUILT_IN = frozenset((
    "and", "or", "not", "xor", "ite", "let", "forall", "exists", "match", "par", "as", "true", "false",
    "Bool", "Int", "Real", "String", "Array", "RegLan", "abs", "div", "mod", "to_real", "to_int", "is_int",
    "divisible", "select", "store", "distinct",
))  # fmt: skip


class BadScript(Exception):
    """A script or term that is not what a claim may hold; the text says why, in one line."""


def parse(text: str) -> list[Tree]:
    """All trees of a text. Raises BadScript: too large or deep, unbalanced, or with characters outside SMT-LIB's plain
    symbols (|quoted symbols| among them, in which names could hide)."""
    if len(text) > _MOST_BYTES:
        raise BadScript(f"it is larger than {_MOST_BYTES} bytes")
    levels: list[list[Tree]] = [[]]
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise BadScript(f"line {text.count(chr(10), 0, at) + 1}: {text[at : at + 20]!r} is not read here")
        at = found.end()
        if found["open"]:
            levels.append([])
            if len(levels) > _MOST_LEVELS:
                raise BadScript(f"it is nested deeper than {_MOST_LEVELS} levels")
        elif found["close"]:
            if len(levels) == 1:
                raise BadScript("it closes a parenthesis that was not opened")
            done: Tree = levels.pop()
            levels[-1].append(done)
        elif found["atom"]:
            levels[-1].append(found["atom"])
    if len(levels) > 1:
        raise BadScript("a parenthesis is not closed")
    return levels[0]


def parse_script(text: str) -> tuple[list[Tree], set[str]]:
    """A claim's script and the names that it declares or defines. Raises BadScript for any command but ALLOWED."""
    commands, names = parse(text), set[str]()
    for command in commands:
        if not isinstance(command, list) or not command or not isinstance(command[0], str):
            raise BadScript("a script holds commands only")
        if command[0] not in ALLOWED:
            raise BadScript(f"a claim's script may not hold ({command[0]} ...), only {', '.join(ALLOWED)}")
        if command[0] != "assert":
            names |= set(_named(command))
    return commands, names


def parse_term(text: str) -> Tree:
    """One term. Raises BadScript."""
    trees = parse(text)
    if len(trees) != 1:
        raise BadScript("the negation must be one term")
    return trees[0]


def written(tree: Tree) -> str:
    return tree if isinstance(tree, str) else f"({' '.join(map(written, tree))})"


def symbols(tree: Tree) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    else:
        for part in tree:
            yield from symbols(part)


def turned(tree: Tree) -> Iterator[Tree]:
    """The tree with one comparison turned round, for each of them."""
    if isinstance(tree, str):
        return
    if tree and isinstance(tree[0], str) and tree[0] in COMPARISONS:
        yield [COMPARISONS[tree[0]], *tree[1:]]
    for position, part in enumerate(tree):
        for other in turned(part):
            yield [*tree[:position], other, *tree[position + 1 :]]


def _named(command: list[Tree]) -> Iterator[str]:
    """The names that a command binds; raises BadScript where one is not plain, or is SMT-LIB's own."""
    kind = written(command[0])
    found = command[1] if len(command) > 1 else ""
    names = [found] if isinstance(found, str) else [one[0] for one in found if isinstance(one, list) and one]
    if kind.startswith("declare-datatype"):
        names += [name for name in symbols(command[2:]) if _NAME.fullmatch(name) and name not in _BUILT_IN]
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _BUILT_IN:
            raise BadScript(f"({kind} ...): {written(name)[:40]!r} cannot be declared")
        yield name

"""Parse SMT-LIB 2 into trees and restrict scripts to allowed commands, so that both solvers get the same input."""

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
"""Commands that a claim's script may use: declarations, definitions and premises. The gate adds the queries."""
COMPARISONS: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "distinct", "distinct": "="}
"""Comparisons and their opposites."""
_MOST_BYTES, _MOST_LEVELS = 1 << 20, 200
_TOKEN = re.compile(r'\s+|;[^\n]*|(?P<open>\()|(?P<close>\))|(?P<atom>"(?:[^"]|"")*"|[^\s()";|\\]+)')
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")
_BUILT_IN = frozenset((
    "and", "or", "not", "xor", "ite", "let", "forall", "exists", "match", "par", "as", "true", "false",
    "Bool", "Int", "Real", "String", "Array", "RegLan", "abs", "div", "mod", "to_real", "to_int", "is_int",
    "divisible", "select", "store", "distinct",
))  # fmt: skip


class BadScript(Exception):
    """A claim may not contain this script or term. The message says why, in one line."""


def parse(text: str) -> list[Tree]:
    """All trees in a text.

    Raises BadScript if the text is too large, nested too deeply or unbalanced, or if it contains characters other than
    those of SMT-LIB's plain symbols. |Quoted symbols| are refused because they could hide names.
    """
    if len(text) > _MOST_BYTES:
        raise BadScript(f"it is larger than {_MOST_BYTES} bytes")
    levels: list[list[Tree]] = [[]]
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            line = text.count("\n", 0, position) + 1
            raise BadScript(f"line {line}: {text[position : position + 20]!r} is not allowed")
        position = token.end()
        if token["open"]:
            levels.append([])
            if len(levels) > _MOST_LEVELS:
                raise BadScript(f"it is nested deeper than {_MOST_LEVELS} levels")
        elif token["close"]:
            if len(levels) == 1:
                raise BadScript("it closes a parenthesis that was not opened")
            done: Tree = levels.pop()
            levels[-1].append(done)
        elif token["atom"]:
            levels[-1].append(token["atom"])
    if len(levels) > 1:
        raise BadScript("a parenthesis is not closed")
    return levels[0]


def parse_script(text: str) -> tuple[list[Tree], set[str]]:
    """A claim's script and the names that it declares or defines. Raises BadScript if a command is not in ALLOWED."""
    commands, names = parse(text), set[str]()
    for command in commands:
        if not isinstance(command, list) or not command or not isinstance(command[0], str):
            raise BadScript("a script may contain only commands")
        if command[0] not in ALLOWED:
            raise BadScript(f"a claim's script may not contain ({command[0]} ...); it may contain {', '.join(ALLOWED)}")
        if command[0] != "assert":
            names |= set(_named(command))
    return commands, names


def parse_term(text: str) -> Tree:
    """Parse one term. Raises BadScript."""
    trees = parse(text)
    if len(trees) != 1:
        raise BadScript("the negation must be one term")
    return trees[0]


def to_smtlib(tree: Tree) -> str:
    return tree if isinstance(tree, str) else f"({' '.join(map(to_smtlib, tree))})"


def symbols(tree: Tree) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    else:
        for part in tree:
            yield from symbols(part)


def free_symbols(tree: Tree, bound: frozenset[str] = frozenset()) -> Iterator[str]:
    """The symbols of a term, except those that `let`, a quantifier or a pattern of `match` binds."""
    if isinstance(tree, str):
        if tree not in bound:
            yield tree
        return
    head = tree[0] if tree else ""
    if head == "let" and len(tree) == 3 and isinstance(tree[1], list):
        pairs = [pair for pair in tree[1] if isinstance(pair, list) and len(pair) == 2]
        for pair in pairs:
            yield from free_symbols(pair[1], bound)
        yield from free_symbols(tree[2], bound | {to_smtlib(pair[0]) for pair in pairs})
    elif head in ("forall", "exists") and len(tree) == 3 and isinstance(tree[1], list):
        names = {to_smtlib(pair[0]) for pair in tree[1] if isinstance(pair, list) and pair}
        yield from free_symbols(tree[2], bound | names)
    elif head == "match" and len(tree) == 3 and isinstance(tree[2], list):
        yield from free_symbols(tree[1], bound)
        for case in tree[2]:
            if isinstance(case, list) and len(case) == 2:
                yield from free_symbols(case[1], bound | set(symbols(case[0])))
    else:
        for part in tree:
            yield from free_symbols(part, bound)


def without_definitions(commands: list[Tree]) -> list[Tree]:
    """The declarations of a script, with a declaration instead of each definition, and without its premises."""
    kept: list[Tree] = []
    for command in commands:
        match command:
            case ["assert", *_]:
                continue
            case ["define-const", str() as name, sort, _]:
                kept.append(["declare-const", name, sort])
            case ["define-fun", str() as name, list() as parameters, sort, _]:
                kept.append(["declare-fun", name, [to_smtlib(one[1]) for one in parameters if len(one) == 2], sort])
            case _:
                kept.append(command)
    return kept


def premises_of(commands: list[Tree]) -> Iterator[Tree]:
    """What a script asserts, each part of an `and` alone, and the definitions of constants as equations."""
    for command in commands:
        match command:
            case ["assert", term]:
                yield from _parts(term)
            case ["define-const", str() as name, _, term] | ["define-fun", str() as name, [], _, term]:
                yield ["=", name, term]


def _parts(term: Tree) -> Iterator[Tree]:
    if isinstance(term, list) and term[:1] == ["and"]:
        for part in term[1:]:
            yield from _parts(part)
    else:
        yield term


def renamed(tree: Tree, names: set[str], suffix: str) -> Tree:
    """A copy of a tree in which `names` have a suffix."""
    if isinstance(tree, str):
        return tree + suffix if tree in names else tree
    return [renamed(part, names, suffix) for part in tree]


def reverse_each_comparison(tree: Tree) -> Iterator[Tree]:
    """For each comparison in the tree, a copy in which that comparison is reversed."""
    if isinstance(tree, str):
        return
    if tree and isinstance(tree[0], str) and tree[0] in COMPARISONS:
        yield [COMPARISONS[tree[0]], *tree[1:]]
    for position, part in enumerate(tree):
        for other in reverse_each_comparison(part):
            yield [*tree[:position], other, *tree[position + 1 :]]


def _named(command: list[Tree]) -> Iterator[str]:
    """The names that a command binds. Raises BadScript if a name is not plain or is reserved by SMT-LIB."""
    kind = to_smtlib(command[0])
    bound = command[1] if len(command) > 1 else ""
    names = [bound] if isinstance(bound, str) else [one[0] for one in bound if isinstance(one, list) and one]
    if kind.startswith("declare-datatype"):
        names += [name for name in symbols(command[2:]) if _NAME.fullmatch(name) and name not in _BUILT_IN]
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _BUILT_IN:
            raise BadScript(f"({kind} ...): {to_smtlib(name)[:40]!r} cannot be declared")
        yield name

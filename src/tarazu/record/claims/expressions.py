"""The language of claims' expressions: statements about results.json, evaluated without executing any code.

    HmR('dpo'), HpR('dpo', 'sw'), CAS('sft')    a rate in percent, over all languages or in one
    value('/tradeoff/primary/estimate')         the value at a JSON Pointer: a number, a word, true or false
    1.5, 'equivalent', True, False              numbers, words
    + - * /, min(...), max(...), abs(x)         arithmetic on numbers
    == != < <= > >=, chains such as 0 < x < 5   comparisons; words only with == and !=
    and, or, not
    highest('CAS', 'sft_dpo')                   the arm's rate is above every other arm's; the third argument is a
    language lowest('HmR', 'dpo')                        likewise, below every other arm's best_on_every_rate('sft_dpo')
    highest in HmR, HpR and CAS within(a, b, tolerance)                     a and b differ by at most tolerance

An expression has at most 2,000 characters, 300 nodes and 40 levels, and its value must be true or false. Both sides of
`and` and `or` are always evaluated, so every value that is read must be defined.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tarazu.errors import BadInput
from tarazu.record.claims.pointers import Undefined, escaped, value_at

RATES: Final = ("HmR", "HpR", "CAS")
_MOST_CHARACTERS, _MOST_NODES, _MOST_LEVELS = 2000, 300, 40
Scalar = float | str | bool


class BadExpression(BadInput):
    """The expression is not valid in the language."""


@dataclass
class Evaluation:
    """The truth of an expression, and every value that it read, by pointer."""

    truth: bool
    reads: dict[str, Scalar] = field(default_factory=dict)


def parse(text: str) -> ast.expr:
    """The expression's syntax tree. Raises BadExpression if it is too large or not valid in the language."""
    if len(text) > _MOST_CHARACTERS:
        raise BadExpression(f"the expression is longer than {_MOST_CHARACTERS} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadExpression(f"not an expression: {text[:80]!r} ({error})") from None
    if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
        raise BadExpression(f"the expression has more than {_MOST_NODES} nodes")
    _check(tree, 0)
    return tree


def evaluate(text: str | ast.expr, results: Any, replacements: Mapping[str, Scalar] | None = None) -> Evaluation:
    """Whether the expression, or its syntax tree, holds for `results`. `replacements` are values that replace those at
    their pointers.

    Raises BadExpression. Raises Undefined if the expression reads a value that is missing or null, divides by zero, or
    computes a number that is not finite.
    """
    reader = _Reader(results, replacements or {})
    tree = parse(text) if isinstance(text, str) else text
    truth = reader.value(tree)
    if not isinstance(truth, bool):
        raise BadExpression(
            f"the expression is a value, not a statement that is true or false: {ast.unparse(tree)[:80]!r}"
        )
    return Evaluation(truth, reader.reads)


def _check(node: ast.AST, level: int) -> None:
    if level > _MOST_LEVELS:
        raise BadExpression(f"the expression is nested deeper than {_MOST_LEVELS} levels")
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in _ARGUMENTS or node.keywords:
            raise BadExpression(f"no such function: {ast.unparse(node.func)[:40]}; there are {', '.join(_ARGUMENTS)}")
        least, most = _ARGUMENTS[node.func.id]
        if not least <= len(node.args) <= most or any(isinstance(one, ast.Starred) for one in node.args):
            raise BadExpression(f"{node.func.id} takes {least} to {most} arguments")
        children: list[ast.AST] = list(node.args)
    elif isinstance(node, ast.Constant):
        if type(node.value) not in (int, float, str, bool):
            raise BadExpression(f"neither a number nor a word: {node.value!r}"[:120])
        children = []
    elif isinstance(node, (ast.BoolOp, ast.BinOp, ast.UnaryOp)):
        if type(node.op) not in _OPERATORS:
            raise BadExpression(f"the language has no operator {type(node.op).__name__}")
        children = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr)]
    elif isinstance(node, ast.Compare):
        if any(type(op) not in _COMPARISONS for op in node.ops):
            raise BadExpression("the language has only the comparisons == != < <= > >=")
        children = [node.left, *node.comparators]
    else:
        raise BadExpression(f"not in the language: {ast.unparse(node)[:60]!r}")
    for child in children:
        _check(child, level + 1)


_ARGUMENTS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(RATES, (1, 2)),
    "value": (1, 1),
    "min": (2, 100),
    "max": (2, 100),
    "abs": (1, 1),
    "highest": (2, 3),
    "lowest": (2, 3),
    "best_on_every_rate": (1, 2),
    "within": (3, 3),
}
_OPERATORS = (ast.And, ast.Or, ast.Not, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.UAdd)
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}


class _Reader:
    """One evaluation: the results, the replacements for some of their values, and the values that were read."""

    def __init__(self, results: Any, replacements: Mapping[str, Scalar]) -> None:
        self.results, self.replacements = results, replacements
        self.reads: dict[str, Scalar] = {}

    def value(self, node: ast.expr) -> Scalar:
        match node:
            case ast.Constant(value=bool() | str() as constant):
                return constant
            case ast.Constant(value=int() | float() as number):
                return _finite(number)
            case ast.BoolOp(op=op, values=parts):
                truths = [self.truth(part) for part in parts]
                return all(truths) if isinstance(op, ast.And) else any(truths)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return not self.truth(part)
            case ast.UnaryOp(op=sign, operand=part):
                return -self.number(part) if isinstance(sign, ast.USub) else self.number(part)
            case ast.BinOp(left=left, op=op, right=right):
                return _arithmetic(op, self.number(left), self.number(right))
            case ast.Compare(left=left, ops=ops, comparators=others):
                values = [self.value(part) for part in (left, *others)]
                held = [_compare(op, *pair) for op, *pair in zip(ops, values, values[1:], strict=False)]
                return all(held)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.call(name, arguments)
        raise BadExpression(f"not in the language: {ast.unparse(node)[:60]!r}")

    def truth(self, node: ast.expr) -> bool:
        value = self.value(node)
        if not isinstance(value, bool):
            raise BadExpression(f"neither true nor false: {ast.unparse(node)[:60]!r}")
        return value

    def number(self, node: ast.expr) -> float:
        value = self.value(node)
        if isinstance(value, bool | str):
            raise BadExpression(f"not a number: {ast.unparse(node)[:60]!r}")
        return value

    def word(self, node: ast.expr) -> str:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            raise BadExpression(f"must be a word in quotes: {ast.unparse(node)[:60]!r}")
        return node.value

    def call(self, name: str, arguments: list[ast.expr]) -> Scalar:
        if name in ("min", "max", "abs"):
            numbers = [self.number(one) for one in arguments]
            return abs(numbers[0]) if name == "abs" else min(numbers) if name == "min" else max(numbers)
        if name == "within":
            a, b, tolerance = (self.number(one) for one in arguments)
            return abs(a - b) <= tolerance
        words = [self.word(one) for one in arguments]
        if name == "value":
            return self.read(words[0])
        if name in RATES:
            return self.rate(name, *words)
        if name == "best_on_every_rate":
            held = [self.ahead(rate, words, 1) for rate in RATES]
            return all(held)
        return self.ahead(words[0], words[1:], 1 if name == "highest" else -1)

    def ahead(self, rate: str, place: list[str], sign: int) -> bool:
        """Whether an arm's rate is above (sign 1) or below (sign -1) every other arm's. `place` is an arm, or an arm
        and a language."""
        arm, *language = place
        if rate not in RATES:
            raise BadExpression(f"no rate {rate!r}; there are {', '.join(RATES)}")
        arms = value_at(self.results, "/arms")
        others = sorted(other for other in arms if other != arm) if isinstance(arms, dict) else []
        if not others:
            raise Undefined(f"the results have no arm other than {arm}")
        value = self.rate(rate, arm, *language)
        other_values = [self.rate(rate, other, *language) for other in others]
        return all(sign * value > sign * other for other in other_values)

    def rate(self, rate: str, arm: str, language: str | None = None) -> float:
        inside = f"/languages/{escaped(language)}" if language is not None else ""
        value = self.read(f"/arms/{escaped(arm)}{inside}/{rate}/value")
        if isinstance(value, bool | str):
            raise Undefined(f"the {rate} of {arm} is not a number")
        return value

    def read(self, pointer: str) -> Scalar:
        value = value_at(self.results, pointer)
        if isinstance(value, dict | list):
            raise Undefined(f"there is no single value at {pointer}")
        value = value if isinstance(value, bool | str) else _finite(value)
        self.reads[pointer] = value
        return self.replacements.get(pointer, value)


def _finite(number: float) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise Undefined("a number is too large to compute with")
    return value


def _arithmetic(op: ast.operator, left: float, right: float) -> float:
    if isinstance(op, ast.Div) and right == 0:
        raise Undefined("division by zero")
    if isinstance(op, ast.Add):
        return _finite(left + right)
    if isinstance(op, ast.Sub):
        return _finite(left - right)
    return _finite(left * right if isinstance(op, ast.Mult) else left / right)


def _compare(op: ast.cmpop, left: Scalar, right: Scalar) -> bool:
    if _kind(left) != _kind(right):
        raise BadExpression(f"{left!r} and {right!r} cannot be compared: a number and a word"[:200])
    if not isinstance(left, float) and not isinstance(op, ast.Eq | ast.NotEq):
        raise BadExpression(f"{left!r} has no order; compare words with == and !="[:200])
    return _COMPARISONS[type(op)](left, right)


def _kind(value: Scalar) -> str:
    return "truth" if isinstance(value, bool) else "word" if isinstance(value, str) else "number"

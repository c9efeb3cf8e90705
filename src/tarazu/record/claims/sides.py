"""Which parts of an expression make a difference: sides of `or`, and numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tarazu.record.claims.expressions import Scalar, evaluate
from tarazu.record.claims.pointers import Undefined, is_setting

Probe = Mapping[str, Scalar]
"""Values that replace those at their pointers."""
_TRUTHS: Final = ("within", "highest", "lowest", "best_on_every_rate")
"""Functions whose value is true or false."""
SHIFT: Final = 1e-3
"""How far a number is moved to see what follows it, as a share."""


def idle_side(tree: ast.expr, results: Any, probes: Sequence[Probe]) -> str:
    """The first side of an `or` without which the expression would be the same for all probes."""
    for part, neutral in _alternatives(tree, positive=True):
        without = _with(tree, part, ast.Constant(neutral))
        if all(_truth(tree, results, probe) == _truth(without, results, probe) for probe in probes):
            return f"'{ast.unparse(part)[:80]}' makes no difference to the expression"
    return ""


def constant_part(tree: ast.expr, results: Any, probes: Sequence[Probe]) -> str:
    """The first comparison that is the same for all probes, such as `99 > 98`. One that reads a setting may be."""
    for part in ast.walk(tree):
        is_call = isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in _TRUTHS
        if not isinstance(part, ast.Compare) and not is_call:
            continue
        assert isinstance(part, ast.expr)
        if _reads_setting(part, results):
            continue
        known = {_truth(part, results, probe) for probe in (*probes, {})} - {None}
        if len(known) < 2:
            return f"'{ast.unparse(part)[:80]}' is the same for any results"
    return ""


def _reads_setting(part: ast.expr, results: Any) -> bool:
    try:
        return any(map(is_setting, evaluate(part, results).reads))
    except Undefined:
        return False


def _alternatives(node: ast.expr, *, positive: bool) -> Iterator[tuple[ast.expr, bool]]:
    """The sides of each `or`, or of each `and` that is negated, with the truth that takes a side away."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield from _alternatives(node.operand, positive=not positive)
    elif isinstance(node, ast.BoolOp):
        is_or = isinstance(node.op, ast.Or)
        for part in node.values:
            if is_or == positive:
                yield part, not is_or
            yield from _alternatives(part, positive=positive)


def _with(tree: ast.expr, old: ast.AST, new: ast.expr) -> ast.expr:
    """A copy of the tree with one node replaced."""

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return new if node is old else self.generic_copy(node)

        def generic_copy(self, node: ast.AST) -> ast.AST:
            fields = {name: self._copied(value) for name, value in ast.iter_fields(node)}
            return type(node)(**fields)

        def _copied(self, value: Any) -> Any:
            if isinstance(value, list):
                return [self._copied(one) for one in value]
            return self.visit(value) if isinstance(value, ast.AST) else value

    replaced: ast.expr = Replace().visit(tree)
    return replaced


def _truth(tree: ast.expr, results: Any, probe: Probe) -> bool | None:
    try:
        return evaluate(tree, results, probe).truth
    except Undefined:
        return None


def _numbers(tree: ast.expr) -> list[ast.Constant]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
    ]


def constants(tree: ast.expr) -> list[float]:
    """The numbers in an expression, and their opposites."""
    values = [float(node.value) for node in _numbers(tree) if isinstance(node.value, int | float)]
    return [*values, *(-value for value in values)]


def deciding_numbers(tree: ast.expr, results: Any, ends: Sequence[Probe], most: int) -> Iterator[float]:
    """The numbers in an expression whose change moves an end."""
    nodes = _numbers(tree)
    few = len(nodes) * len(ends) <= most
    before = [_truth(tree, results, probe) for probe in ends] if few else []
    for node in nodes:
        assert isinstance(node.value, int | float)
        value = float(node.value)
        shift = SHIFT * max(1.0, abs(value))
        changed = (_with(tree, node, ast.Constant(value + sign * shift)) for sign in (-1, 1))
        if not few or any([_truth(one, results, probe) for probe in ends] != before for one in changed):
            yield value

"""Theorems about a record's values: SMT-LIB 2 claims whose only premises are values that the gate computed.

The script of such a theorem declares one Real constant for each bound value, and defines terms with + - * /. It asserts
nothing: the gate asserts that each constant has the value of the re-run. So no premise is the author's. The negated
statement is built of comparisons, `and`, `or`, `not`, `=>`, `forall` and `exists` over Real variables; a condition,
such as a weight between 0 and 1, belongs to the statement. No name is declared twice or bound again.

Both solvers must refute the negation for the values themselves, and for all values within rounding of them. If they do,
the theorem holds. It is context, and raises no level, unless each value decides (all others kept as they are):

- the statement fails for all values in the lowest, or in the highest, hundredth of the value's range;
- if it fails both below and above the value, however far, it fails within a hundredth on both sides. A wider interval
  says too little;
- each comparison that is not of the statement's own variables alone holds for some values and not for others, and the
  statement fails with the opposite of that comparison. So no side of an `or` is idle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from tarazu.record.claims.findings import ClaimVerdict, EvidenceResult
from tarazu.record.claims.mathematics.sexpr import (
    COMPARISONS,
    BadScript,
    Tree,
    parse_script,
    parse_term,
    renamed,
    to_smtlib,
)

_ARITHMETIC: Final = ("+", "-", "*", "/")
_LOGIC: Final = ("and", "or", "not", "=>")
_QUANTIFIERS: Final = ("forall", "exists")
_NUMERAL: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?")
_MOST_COMPARISONS: Final = 8
_FAR: Final = 1000.0
"""How far from its value a constant is varied, in steps."""
_OTHER: Final = "!other"
"""No name that a claim declares may have this mark."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A constant and the value of the re-run that it stands for.

    `low` and `high` are the ends of what rounding may give, and `least` and `most` those of the range in which the
    value is varied. `step` is a hundredth of the quantity's scale: what a statement must exclude, and half of the
    widest interval around the value.
    """

    name: str
    pointer: str
    value: float
    low: float
    high: float
    least: float
    most: float
    step: float


def bound_queries(script: str, negation: str, bounds: Sequence[Bound]) -> dict[str, str]:
    """The queries for the solvers, by name, as SMT-LIB 2 texts. Raises BadScript."""
    term = parse_term(negation)
    language = _Language(script, [bound.name for bound in bounds])
    language.check_formula(term, frozenset())
    definitions, negated = language.text, to_smtlib(term)

    def query(formula: str, free: Bound | None = None, low: float = 0.0, high: float = 0.0) -> str:
        exact = [_between(one.name, one.value, one.value) for one in bounds if one is not free]
        varied = [_between(free.name, low, high)] if free else []
        return "\n".join([definitions, *exact, *varied, f"(assert {formula})"])

    rounded = "\n".join(_between(one.name, one.low, one.high) for one in bounds)
    queries = {
        "negation": query(negated),
        "rounding": f"{definitions}\n{rounded}\n(assert {negated})",
        "tautology": f"{definitions}\n(assert {negated})",
    }
    comparisons = list(_comparisons(term, language, ()))
    if len(comparisons) > _MOST_COMPARISONS:
        raise BadScript(f"a theorem about values has at most {_MOST_COMPARISONS} comparisons of them")
    for number, comparison in enumerate(comparisons):
        queries[f"opposite {number + 1}"] = query(to_smtlib(comparison.opposite))
        queries[f"deciding {number + 1}"] = language.deciding(comparison, bounds)
    for one in bounds:
        opposite = f"(not {negated})"
        queries[f"lowest {one.name}"] = query(opposite, one, one.least, one.least + one.step)
        queries[f"highest {one.name}"] = query(opposite, one, one.most - one.step, one.most)
        queries[f"below {one.name}"] = query(negated, one, one.value - _FAR * one.step, one.value)
        queries[f"above {one.name}"] = query(negated, one, one.value, one.value + _FAR * one.step)
        queries[f"just-below {one.name}"] = query(negated, one, max(one.least, one.value - one.step), one.value)
        queries[f"just-above {one.name}"] = query(negated, one, one.value, min(one.most, one.value + one.step))
    return queries


def bound_verdict(answers: Mapping[str, Sequence[str]], bounds: Sequence[Bound], by: tuple[str, ...]) -> EvidenceResult:
    """The verdict that follows from both solvers' answers to each query."""
    given = "; ".join(f"{name} says {answer}" for name, answer in zip(by, answers["negation"], strict=True))
    if not _refuted(answers["negation"]):
        verdict: ClaimVerdict = "failed" if set(answers["negation"]) == {"sat"} else "not_run"
        reason = f"not both solvers refute the negated statement for the values of the re-run: {given}"
        return EvidenceResult(verdict, reason, by)
    if _refuted(answers["tautology"]):
        return EvidenceResult("vacuous", "the statement holds for any values", by)
    if not _refuted(answers["rounding"]):
        return EvidenceResult("vacuous", "the statement does not hold for all values within rounding", by)
    objections = [*_idle(answers), *(reason for one in bounds for reason in _says_too_little(one, answers))]
    counted = {"tried": len(answers), "refused": len(answers) - len(objections)}
    pointers = ", ".join(one.pointer for one in bounds)
    if objections:
        reason = f"both solvers find that it follows from {pointers}; it raises no level, since {objections[0]}"
        return EvidenceResult("context", reason, by, counted)
    reason = f"both solvers find that it follows from the re-run's values at {pointers}"
    return EvidenceResult("verified", reason, by, counted, tuple(one.pointer for one in bounds))


def _idle(answers: Mapping[str, Sequence[str]]) -> Iterator[str]:
    compared = {name: given for name, given in answers.items() if name.startswith(("opposite", "deciding"))}
    if not compared:
        yield "it compares no value"
    for name, given in compared.items():
        if not _found(given):
            yield f"comparison {name.split()[1]} of its negation makes no difference"


def _says_too_little(one: Bound, answers: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Why the statement says too little about a value, if it does. What no solver decides counts as too little."""
    if not any(_fails(answers[f"{end} {one.name}"]) for end in ("lowest", "highest")):
        yield f"the statement may hold for nearly all values at {one.pointer}"
        return
    has_one_end = any(_refuted(answers[f"{side} {one.name}"]) for side in ("below", "above"))
    if not has_one_end and not all(_found(answers[f"just-{side} {one.name}"]) for side in ("below", "above")):
        yield f"the statement holds for too wide an interval of values at {one.pointer}"


def _refuted(answers: Sequence[str]) -> bool:
    return set(answers) == {"unsat"}


def _fails(answers: Sequence[str]) -> bool:
    return "unsat" in answers and "sat" not in answers


def _found(answers: Sequence[str]) -> bool:
    return "sat" in answers and "unsat" not in answers


def _between(name: str, low: float, high: float) -> str:
    if low == high:
        return f"(assert (= {name} {_real(low)}))"
    return f"(assert (<= {_real(low)} {name} {_real(high)}))"


def _real(value: float) -> str:
    """A number as SMT-LIB writes it, without rounding."""
    text = format(abs(Decimal(repr(float(value)))), "f")
    text = text if "." in text else f"{text}.0"
    return f"(- {text})" if value < 0 else text


@dataclass(frozen=True)
class _Comparison:
    """A comparison in a formula, the variables that quantifiers bind there, and the formula with its opposite."""

    term: Tree
    variables: tuple[str, ...]
    opposite: Tree


class _Language:
    """The script of a theorem about values, and the terms and formulas that may be built on it. Raises BadScript."""

    def __init__(self, script: str, names: Sequence[str]) -> None:
        commands, _ = parse_script(script)
        self.known: set[str] = set()
        """Names that stand for numbers."""
        self.functions: dict[str, int] = {}
        """Number of parameters of each defined function."""
        self._parameters: set[str] = set()
        for command in commands:
            match command:
                case ["declare-const", str() as name, "Real"] | ["declare-fun", str() as name, [], "Real"]:
                    if name not in names:
                        raise BadScript(f"{name} is bound to no value; a theorem about values declares nothing else")
                    self._declare(name)
                case ["define-const", str() as name, "Real", term] | ["define-fun", str() as name, [], "Real", term]:
                    self._check_term(term, frozenset())
                    self._declare(name)
                case ["define-fun", str() as name, list() as parameters, "Real", term]:
                    self._check_term(term, self._variables(parameters, frozenset()))
                    self._declare(name, len(parameters))
                case _:
                    raise BadScript(
                        f"({to_smtlib(command)[:60]} ...): a theorem about values may only declare its constants, and "
                        "define terms of numbers; state a condition in the negation"
                    )
        for name in names:
            if name not in self.known:
                raise BadScript(f"{name}, which is bound to a value, is not declared as a Real constant")
        self._commands = commands
        self.text = "\n".join(map(to_smtlib, commands))

    def _declare(self, name: str, parameters: int = 0) -> None:
        if name in self.known or name in self.functions or name in self._parameters:
            raise BadScript(f"{name} is declared twice, or bound again")
        if parameters:
            self.functions[name] = parameters
        else:
            self.known.add(name)

    def _variables(self, pairs: Tree, outer: frozenset[str]) -> frozenset[str]:
        names: set[str] = set()
        for pair in pairs:
            match pair:
                case [str() as name, "Real"] if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
                    if name in self.known or name in self.functions or name in outer or name in names:
                        raise BadScript(f"{name} is bound again")
                    names.add(name)
                    self._parameters.add(name)
                case _:
                    raise BadScript(f"{to_smtlib(pair)[:40]!r} is not a Real variable")
        return outer | names

    def _check_term(self, term: Tree, variables: frozenset[str]) -> None:
        match term:
            case str() as atom if atom in self.known or atom in variables or _NUMERAL.fullmatch(atom):
                return
            case [str() as head, _, *_] if head in _ARITHMETIC or self.functions.get(head) == len(term) - 1:
                for part in term[1:]:
                    self._check_term(part, variables)
            case _:
                raise BadScript(f"{to_smtlib(term)[:60]!r} is not a term of numbers, bound values and + - * /")

    def check_formula(self, formula: Tree, variables: frozenset[str]) -> None:
        """Raise BadScript unless the formula is one that a theorem about values may have."""
        match formula:
            case [str() as head, _, *_] if head in _LOGIC:
                for part in formula[1:]:
                    self.check_formula(part, variables)
            case [str() as head, _, _, *_] if head in COMPARISONS:
                for part in formula[1:]:
                    self._check_term(part, variables)
            case [str() as head, list() as pairs, inner] if head in _QUANTIFIERS and pairs:
                self.check_formula(inner, self._variables(pairs, variables))
            case _:
                raise BadScript(f"{to_smtlib(formula)[:60]!r} is not a comparison, and, or, not, =>, forall or exists")

    def deciding(self, comparison: _Comparison, bounds: Sequence[Bound]) -> str:
        """The query for two choices of values, such that a comparison holds for one and not for the other."""
        names = {*self.known, *self.functions}
        lines = [f"(declare-const {name} Real)" for name in comparison.variables]
        for suffix, formula in (("", comparison.term), (_OTHER, ["not", comparison.term])):
            lines += [to_smtlib(renamed(command, names, suffix)) for command in self._commands]
            lines += [_between(one.name + suffix, one.least, one.most) for one in bounds]
            lines.append(f"(assert {to_smtlib(renamed(formula, names, suffix))})")
        return "\n".join(lines)

    def is_of_values(self, term: Tree) -> bool:
        """Whether a term mentions a bound value, or what was defined."""
        if isinstance(term, str):
            return term in self.known or term in self.functions
        return any(map(self.is_of_values, term))


def _comparisons(tree: Tree, language: _Language, variables: tuple[str, ...]) -> Iterator[_Comparison]:
    """The comparisons of values in a formula."""
    assert isinstance(tree, list)
    if tree[0] in COMPARISONS:
        if language.is_of_values(tree):
            yield _Comparison(tree, variables, ["not", tree])
        return
    if tree[0] in _QUANTIFIERS:
        variables = (*variables, *(to_smtlib(pair[0]) for pair in tree[1]))
    for position in range(2 if tree[0] in _QUANTIFIERS else 1, len(tree)):
        for one in _comparisons(tree[position], language, variables):
            opposite = [*tree[:position], one.opposite, *tree[position + 1 :]]
            yield _Comparison(one.term, one.variables, opposite)

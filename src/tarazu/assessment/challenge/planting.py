"""Faults as functions from a paper to a paper: the tools of which `faults` makes its fifty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from tarazu.assessment.challenge.paper import Paper, Unsuitable
from tarazu.record.model import EmpiricalClaim, Expression, Value

Kind = Literal["number", "vacuous", "wording", "text"]
"""A claim that the data contradict; one that no data could; a statement that says more than its check; the text around
the claims."""
Change = Callable[[Paper], tuple[Paper, str]]
"""The paper with the fault, and where it is."""


@dataclass(frozen=True)
class Fault:
    """A fault that is planted, in words for the key."""

    id: str
    kind: Kind
    what: str
    plant: Change


def number(of: Callable[[Paper], str], change: Callable[[float], float], form: str = ".1f") -> Change:
    """A claim whose value is another, in its check and in its statement."""

    def plant(paper: Paper) -> tuple[Paper, str]:
        claim = paper.claim(of(paper))
        value = _value(claim)
        if not isinstance(value, float | int) or isinstance(value, bool):
            raise Unsuitable(f"a number in the claim {claim.id}")
        new = change(float(value))
        said, says = format(value, form), format(new, form)
        if said == says or said not in claim.statement:
            raise Unsuitable(f"the number {said} in the statement of the claim {claim.id}, or another than 0")
        statement = claim.statement.replace(said, says)
        return paper.with_claim(claim.id, _with(claim, new, statement)), claim.id

    return plant


def word(of: str, choose: Callable[[str], str]) -> Change:
    """A claim whose word is another, in its check and in its statement."""

    def plant(paper: Paper) -> tuple[Paper, str]:
        claim = paper.claim(of)
        value = str(_value(claim))
        new = choose(value)
        return paper.with_claim(of, _with(claim, new, claim.statement.replace(value, new))), of

    return plant


def states(of: Callable[[Paper], str], change: Callable[[Paper, str], str]) -> Change:
    """A claim whose statement is another, and whose check still holds."""

    def plant(paper: Paper) -> tuple[Paper, str]:
        claim = paper.claim(of(paper))
        statement = change(paper, claim.statement)
        if statement == claim.statement:
            raise Unsuitable(f"the words that the claim {claim.id} is drafted with")
        return paper.with_claim(claim.id, claim.model_copy(update={"statement": statement})), claim.id

    return plant


def claims(of: Callable[[Paper], str], made: Callable[[Paper], tuple[str, str]]) -> Change:
    """A claim with this statement and this expression, in the place of the one of that id or beside the others."""

    def plant(paper: Paper) -> tuple[Paper, str]:
        name, (statement, expression) = of(paper), made(paper)
        check = Expression(expression=expression)
        claim = EmpiricalClaim(kind="empirical", id=name, statement=statement, origin="build", check=check)
        return paper.with_claim(name, claim), name

    return plant


def abstract(change: Callable[[Paper], str]) -> Change:
    return lambda paper: (replace(paper, abstract=change(paper)), "abstract")


def adds(sentence: Callable[[Paper], str]) -> Change:
    """A sentence at the beginning of the abstract."""
    return abstract(lambda paper: f"{sentence(paper)} {paper.abstract}")


def rate(paper: Paper, arm: str, name: Literal["HmR", "HpR", "CAS"]) -> float:
    """An arm's rate over languages. Raises Unsuitable."""
    value = paper.results.arms[arm].rate_or_mean(name).value
    if value is None:
        raise Unsuitable(f"{name} of {arm}")
    return value


def estimate(paper: Paper) -> float:
    """The primary estimate. Raises Unsuitable."""
    if not paper.primary.estimate:
        raise Unsuitable("a primary estimate other than 0")
    return paper.primary.estimate


def arms(prefix: str) -> Callable[[Paper], str]:
    """The id of a drafted claim about the primary arm."""
    return lambda paper: f"{prefix}-{paper.arm}"


def bases(prefix: str) -> Callable[[Paper], str]:
    return lambda paper: f"{prefix}-{paper.base}"


def named(name: str) -> Callable[[Paper], str]:
    return lambda paper: name


def _value(claim: EmpiricalClaim) -> float | str | bool:
    if not isinstance(claim.check, Value):
        raise Unsuitable(f"a value in the claim {claim.id}")
    return claim.check.value


def _with(claim: EmpiricalClaim, value: float | str, statement: str) -> EmpiricalClaim:
    assert isinstance(claim.check, Value)
    check = claim.check.model_copy(update={"value": value})
    return claim.model_copy(update={"check": check, "statement": statement})

"""What a rule is: a question about a record's public facts with the answer yes, no or does not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tarazu.assessment.facts import Facts
from tarazu.record.contracts import AutomatedReview, ReviewCheck

RuleOutcome = tuple[bool | None, str]
"""Yes, no or null for does not apply, and what was found."""


@dataclass(frozen=True)
class Rule:
    """`evaluate` answers `question`; a no costs `weight`, and `fix` says what the author can do about it."""

    id: str
    question: str
    weight: int
    evaluate: Callable[[Facts], RuleOutcome]
    fix: str


@dataclass(frozen=True)
class Reviewer:
    name: str
    question: str
    rules: tuple[Rule, ...]

    def review(self, facts: Facts) -> AutomatedReview:
        """Ten times the weight of the rules answered yes, over that of those that apply; null where none does."""
        checks = []
        for rule in self.rules:
            passed, finding = rule.evaluate(facts)
            checks.append(
                ReviewCheck(
                    id=rule.id,
                    question=rule.question,
                    passed=passed,
                    weight=rule.weight,
                    finding=finding,
                    fix="" if passed is not False else rule.fix,
                )
            )
        apply = [check for check in checks if check.passed is not None]
        earned = sum(check.weight for check in apply if check.passed)
        possible = sum(check.weight for check in apply)
        return AutomatedReview(
            reviewer=self.name,
            kind="rules",
            score=round(10 * earned / possible, 2) if possible else None,
            basis=f"{sum(bool(check.passed) for check in apply)} of {len(apply)} rules that apply are met "
            f"({earned} of {possible} by weight).",
            checks=tuple(checks),
        )

"""Rules: yes-or-no questions about a record's public facts. A rule may not apply to a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tarazu.assessment.facts import Facts
from tarazu.record.contracts import AutomatedReview, ReviewCheck

RuleOutcome = tuple[bool | None, str]
"""True, False or, if the rule does not apply, None; and the finding."""


@dataclass(frozen=True)
class Rule:
    """`evaluate` answers `question`. A negative answer costs `weight`, and `fix` tells the author what to do."""

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
        """The score is ten times the share of the applicable rules that are met, by weight. None if no rule applies."""
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
        applicable = [check for check in checks if check.passed is not None]
        earned = sum(check.weight for check in applicable if check.passed)
        possible = sum(check.weight for check in applicable)
        return AutomatedReview(
            reviewer=self.name,
            kind="rules",
            score=round(10 * earned / possible, 2) if possible else None,
            basis=f"{sum(bool(check.passed) for check in applicable)} of {len(applicable)} applicable rules are met "
            f"({earned} of {possible} by weight).",
            checks=tuple(checks),
        )

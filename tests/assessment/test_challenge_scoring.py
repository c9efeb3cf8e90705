"""How findings are counted: by place alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import pytest
from sklearn.metrics import brier_score_loss, cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint
from test_challenge_faults import record

from tarazu.assessment.challenge.cases import Case, make_cases
from tarazu.assessment.challenge.paper import paper_of
from tarazu.assessment.challenge.prompt import Finding, findings_in
from tarazu.assessment.challenge.scoring import Challenge, challenge
from tarazu.assessment.challenge.table import table_of


@dataclass
class Prepared:
    """A reviewer whose findings are prepared, case by case."""

    name: str
    prepared: dict[str, tuple[Finding, ...] | None]
    kind: str = "prepared"
    seen: list[str] = field(default_factory=list)

    def findings(self, case: Case) -> tuple[Finding, ...] | None:
        self.seen.append(case.id)
        return self.prepared.get(case.id, ())


@cache
def cases() -> tuple[Case, ...]:
    return make_cases(paper_of(record()), 0, 10)


def faulty() -> list[Case]:
    return [case for case in cases() if case.place]


def right(case: Case, confidence: int | None = None) -> Finding:
    return Finding(place=case.place or "", confidence=confidence)


def run(*reviewers: Prepared) -> Challenge:
    return challenge(cases(), reviewers, record="sha256:0", seed=0)


def test_found_faults_false_alarms_and_confidence() -> None:
    wrong = Finding(place="nowhere", confidence=30)
    prepared: dict[str, tuple[Finding, ...] | None] = {case.id: (right(case, 90),) for case in faulty()[:4]}
    prepared |= {
        faulty()[4].id: (right(case=faulty()[4], confidence=60), wrong, Finding(place="authors", confidence=100))
    }
    prepared |= {faulty()[5].id: None, "clean-1": (wrong,), "clean-2": ()}
    (score,) = run(Prepared("one", prepared)).scores
    assert (score.detected.n, score.detected.of, score.unreadable) == (5, 10, 1)
    low, high = proportion_confint(5, 10, method="wilson")
    assert (score.detected.ci_low, score.detected.ci_high) == pytest.approx((100 * low, 100 * high))
    assert score.false_alarms_beside == pytest.approx(0.2) and score.false_alarms_clean == 0.5
    stated, truth = [0.9] * 4 + [0.6, 0.3, 1.0, 0.3], [1] * 5 + [0] * 3
    assert score.brier == pytest.approx(brier_score_loss(truth, stated))
    levels = [(one.above, one.findings, one.right) for one in score.reliability]
    assert levels == [(20, 2, 0), (60, 1, 100), (80, 5, 80)]


def test_agreement_is_that_of_other_packages() -> None:
    found = ([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 1])
    prepared = [
        Prepared(name, {case.id: (right(case),) for case, yes in zip(faulty(), own, strict=True) if yes})
        for name, own in zip(("one", "other"), found, strict=True)
    ]
    result = run(*prepared)
    (pair,) = result.pairs
    assert pair.kappa == pytest.approx(cohen_kappa_score(*found))
    assert result.alpha is not None and result.alpha.kappa is not None
    assert "Cohen's kappa 0.40" in table_of(result) and "| one | 6 of 10 [31 %, 83 %] |" in table_of(result)


def test_nothing_that_is_undefined_is_zero() -> None:
    result = run(Prepared("silent", {}), Prepared("mute", {case.id: None for case in cases()}))
    silent, mute = result.scores
    assert silent.detected.n == 0 and silent.brier is None and silent.reliability == () and mute.unreadable == 12
    assert result.pairs[0].kappa is None and result.pairs[0].reason
    assert "not defined: all labels are the same" in table_of(result)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "The record is fine.",
        "[]",
        "{}",
        '{"findings": [{"place": "title"}]} and more',
        '{"findings": [{"place": "title", "confidence": "high"}]}',
        '{"findings": [{"place": "title", "confidence": 101}]}',
        '{"findings": [{"place": "title", "confidence": 99.5}]}',
        '{"findings": [{"place": 3}]}',
        '{"findings": [], "score": 50}',
        '{"findings": [{"place": "title", "found": true}]}',
        '{"findings": ' + '[{"place": "title"}, ' * 60 + "]}",
        "[" * 30_000,
    ],
)
def test_an_answer_of_another_form_is_not_read(answer: str) -> None:
    assert findings_in(answer) is None


def test_an_answer_is_data() -> None:
    (one,) = findings_in('```json\n{"findings": [{"place": "title", "confidence": 5}]}\n```') or ()
    assert (one.place, one.confidence) == ("title", 5)
    twice = findings_in('{"findings": [{"place": "a", "confidence": 5}, {"place": "a", "confidence": 70}]}') or ()
    assert [finding.confidence for finding in twice] == [70]
    named = Finding(place="\u202eabstract | 50 of 50 |", reason="__import__('os')")
    table = table_of(run(Prepared("\u202ename | 50 of 50", {case.id: (named,) for case in cases()})))
    assert "0 of 10" in table and "\u202e" not in table and "\\| 50 of 50" in table

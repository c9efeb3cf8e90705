"""How many faults each reviewer finds, how many it invents, and what its stated confidence is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tarazu.assessment.challenge.cases import Case
from tarazu.assessment.challenge.planting import Kind
from tarazu.assessment.challenge.prompt import VERSION, Finding, prompt_sha256
from tarazu.assessment.challenge.reviewers import Reviewer
from tarazu.stats.agreement import Bootstrap, Coefficient, Ratings, agreement, cohen
from tarazu.stats.rates import wilson

KINDS: Final[tuple[Kind, ...]] = ("number", "vacuous", "wording", "text")
_EDGES: Final = (0, 20, 40, 60, 80, 101)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Share(_Frozen):
    """`n` of `of`, in percent with Wilson's 95 % interval; null where there is none to count."""

    n: int
    of: int
    percent: float | None
    ci_low: float | None
    ci_high: float | None


class Level(_Frozen):
    """Findings of about the same confidence: how many, the mean confidence, and the share that is right, in percent."""

    above: int
    findings: int
    confidence: float
    right: float


class Reviewed(_Frozen):
    """A reviewer's findings on a case. `readable` is false where its answer was not the requested object."""

    case: str
    detected: bool | None
    """Whether it named the planted fault's place; null for a clean case."""
    false_alarms: int
    readable: bool
    findings: tuple[Finding, ...]


class Score(_Frozen):
    """A reviewer over all cases."""

    reviewer: str
    kind: str
    detected: Share
    by_kind: dict[Kind, Share]
    false_alarms_clean: float | None
    """Per clean record."""
    false_alarms_beside: float | None
    """Per record with a fault, beside it."""
    unreadable: int
    brier: float | None
    """Mean squared difference between stated confidence and being right; null where no finding has a confidence."""
    reliability: tuple[Level, ...]
    reviews: tuple[Reviewed, ...]


class Pair(_Frozen):
    """Cohen's kappa of two reviewers on which faults were found; null, with a reason, where it is not defined."""

    one: str
    other: str
    kappa: float | None
    ci_low: float | None
    ci_high: float | None
    reason: str | None


class KeyEntry(_Frozen):
    """Where a case's fault is."""

    case: str
    kind: Kind | Literal["clean"]
    what: str
    place: str | None


class Challenge(_Frozen):
    """The result of `tarazu record challenge`."""

    schema_: Literal["tarazu/challenge/v1"] = Field("tarazu/challenge/v1", alias="schema")
    record: str
    """The digest of the record's manifest."""
    seed: int
    prompt_version: str = VERSION
    prompt_sha256: str
    key: tuple[KeyEntry, ...]
    scores: tuple[Score, ...]
    alpha: Pair | None
    """Krippendorff's alpha of all reviewers; null with one reviewer."""
    pairs: tuple[Pair, ...]


def challenge(
    cases: Sequence[Case],
    reviewers: Sequence[Reviewer],
    *,
    record: str,
    seed: int,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> Challenge:
    """Give every case to every reviewer, and compare with the key. Raises what a reviewer raises."""
    scores = []
    for reviewer in reviewers:
        reviews = []
        for done, case in enumerate(cases, 1):
            reviews.append(_reviewed(case, reviewer.findings(case)))
            progress(reviewer.name, done, len(cases))
        scores.append(score(reviewer.name, reviewer.kind, cases, reviews))
    return Challenge(
        record=record,
        seed=seed,
        prompt_sha256=prompt_sha256(),
        key=tuple(KeyEntry(case=one.id, kind=one.kind, what=one.what, place=one.place) for one in cases),
        scores=tuple(scores),
        alpha=_alpha(scores, seed) if len(scores) > 1 else None,
        pairs=tuple(_kappa(one, other, seed) for one, other in combinations(scores, 2)),
    )


def _reviewed(case: Case, findings: tuple[Finding, ...] | None) -> Reviewed:
    """The place decides, and nothing else of a finding: no text of record or answer can change what is counted."""
    named = findings or ()
    return Reviewed(
        case=case.id,
        detected=None if case.place is None else any(one.place == case.place for one in named),
        false_alarms=sum(one.place != case.place for one in named),
        readable=findings is not None,
        findings=named,
    )


def score(name: str, kind: str, cases: Sequence[Case], reviews: Sequence[Reviewed]) -> Score:
    """A reviewer's score on the cases, which `reviews` follow."""
    both = list(zip(cases, reviews, strict=True))
    faulty = [(case, one) for case, one in both if case.place is not None]
    clean = [one for case, one in both if case.place is None]
    stated = [
        (one.confidence / 100, one.place == case.place)
        for case, review in both
        for one in review.findings
        if one.confidence is not None
    ]
    return Score(
        reviewer=name,
        kind=kind,
        detected=_share([one for _, one in faulty]),
        by_kind={kind: _share([one for case, one in faulty if case.kind == kind]) for kind in KINDS},
        false_alarms_clean=_mean([one.false_alarms for one in clean]),
        false_alarms_beside=_mean([one.false_alarms for _, one in faulty]),
        unreadable=sum(not one.readable for one in reviews),
        brier=_mean([(confidence - right) ** 2 for confidence, right in stated]),
        reliability=tuple(_levels(stated)),
        reviews=tuple(reviews),
    )


def _share(reviews: Sequence[Reviewed]) -> Share:
    count = sum(one.detected is True for one in reviews)
    rate = wilson(count, len(reviews))
    return Share(n=count, of=len(reviews), percent=rate.value, ci_low=rate.ci_low, ci_high=rate.ci_high)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _levels(stated: Sequence[tuple[float, bool]]) -> list[Level]:
    levels = []
    for low, high in pairwise(_EDGES):
        own = [(confidence, right) for confidence, right in stated if low <= round(100 * confidence) < high]
        if own:
            confidence, right = (100 * float(np.mean(values)) for values in zip(*own, strict=True))
            levels.append(Level(above=low, findings=len(own), confidence=confidence, right=right))
    return levels


def _ratings(scores: Sequence[Score]) -> Ratings:
    """Found or not, for each fault (rows) by each reviewer. A fault is a unit of its own."""
    labels = np.array(
        [[bool(one.detected) for one in own.reviews if one.detected is not None] for own in scores], dtype=int
    ).T
    return Ratings(labels=labels, prompt=np.arange(len(labels)))


def _kappa(one: Score, other: Score, seed: int) -> Pair:
    coefficient = cohen(_ratings([one, other]), Bootstrap(draws=1000, seed=seed))
    return _pair(one.reviewer, other.reviewer, coefficient)


def _alpha(scores: Sequence[Score], seed: int) -> Pair:
    return _pair("all", "all", agreement(_ratings(scores), Bootstrap(draws=1000, seed=seed)).alpha)


def _pair(one: str, other: str, own: Coefficient) -> Pair:
    return Pair(one=one, other=other, kappa=own.value, ci_low=own.ci_low, ci_high=own.ci_high, reason=own.reason)

"""The cases: the same record with one fault each, and without any."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from tarazu.assessment.challenge.faults import FAULTS
from tarazu.assessment.challenge.paper import Paper, Unsuitable
from tarazu.assessment.challenge.planting import Kind
from tarazu.errors import BadInput

PER_CONTROL: Final = 5
"""Faults for each clean record."""
_KEPT: Final = 0.8
"""The share of its claims that a clean record keeps, so that clean records differ."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A paper with the key: where its fault is. A clean one has none."""

    id: str
    kind: Kind | Literal["clean"]
    what: str
    place: str | None
    paper: Paper


def make_cases(paper: Paper, seed: int, count: int | None = None) -> tuple[Case, ...]:
    """The first `count` faults of an even choice (all without it), and a clean record for every fifth.

    The seed decides the order of the claims in each case, and which a clean one lacks. Raises BadInput for a record
    that lacks what a fault needs.
    """
    chosen = [FAULTS[index * len(FAULTS) // count] for index in range(count)] if count else FAULTS
    cases = []
    for fault in chosen:
        try:
            planted, place = fault.plant(paper)
        except (Unsuitable, LookupError) as error:
            raise BadInput(
                f"the fault {fault.id} needs {error}, which this record does not have; give a record that `tarazu "
                "record build` drafted from a study with a primary estimate and its interval, without a plan"
            ) from None
        cases.append(_case(fault.id, fault.kind, fault.what, place, _shuffled(planted, f"{seed} {fault.id}")))
    for control in range(max(1, len(chosen) // PER_CONTROL)):
        name = f"clean-{control + 1}"
        cases.append(_case(name, "clean", "no fault", None, _clean(paper, f"{seed} {name}")))
    return tuple(cases)


def _case(name: str, kind: Kind | Literal["clean"], what: str, place: str | None, paper: Paper) -> Case:
    return Case(id=name, kind=kind, what=what, place=place, paper=paper)


def _shuffled(paper: Paper, seed: str) -> Paper:
    claims = list(paper.claims)
    random.Random(seed).shuffle(claims)
    return replace(paper, claims=tuple(claims))


def _clean(paper: Paper, seed: str) -> Paper:
    shuffled = _shuffled(paper, seed)
    return replace(shuffled, claims=shuffled.claims[: max(1, round(_KEPT * len(paper.claims)))])


def faulty(cases: Sequence[Case]) -> Iterator[Case]:
    return (case for case in cases if case.place is not None)

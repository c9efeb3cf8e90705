"""Replicates: each arm is trained once per seed, so that no result depends on one lucky training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tarazu.study.schema import ReadyArm, Study


@dataclass(frozen=True, kw_only=True, order=True)
class Replicate:
    """One model of a study: an arm, and the number of its training (`seed`, from 0, as in the scores table)."""

    arm: str
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of its stage, folder and files: the arm's name, followed by `@<seed>` from the second training on.
        No arm's name may contain an @."""
        return f"{self.arm}@{self.seed}" if self.seed else self.arm

    def uses(self, *names: object) -> tuple[object, ...]:
        """Names for `derived_seed`: the given ones and, from the second training on, its number. So the draws of the
        first training do not depend on the number of trainings."""
        return (*names, self.seed) if self.seed else names


def seeds_of(study: Study, arm: str) -> int:
    """How many models an arm has: one per seed of the study where the arm, or an arm that it starts from, is trained;
    else one."""
    parent = study.parent(arm)
    if not isinstance(study.arms[arm], ReadyArm):
        return study.seeds
    return 1 if parent is None else seeds_of(study, parent)


def replicates(study: Study) -> Sequence[Replicate]:
    """Every model of a study, each after the one that it starts from.

    All arms with the first seed come first (as in `arms_in_order`), then those that have a second, and so on. So the
    stages of one seed do not depend on whether there are more seeds.
    """
    return [
        Replicate(arm=arm, seed=seed)
        for seed in range(study.seeds)
        for arm in study.arms_in_order()
        if seed < seeds_of(study, arm)
    ]


def parent_of(study: Study, replicate: Replicate) -> Replicate | None:
    """The model that a replicate starts from: its arm's parent, with the same seed where the parent has several. None
    where the arm starts from a checkpoint."""
    parent = study.parent(replicate.arm)
    if parent is None:
        return None
    return Replicate(arm=parent, seed=min(replicate.seed, seeds_of(study, parent) - 1))


def labels(study: Study) -> dict[Replicate, str]:
    """A readable name for each model: the arm's name, with the seed where the arm has several."""
    return {
        replicate: f"{replicate.arm}, seed {replicate.seed}" if seeds_of(study, replicate.arm) > 1 else replicate.arm
        for replicate in replicates(study)
    }

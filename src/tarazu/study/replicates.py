"""Replicates: each trained arm is trained once per seed, so that an arm is not one lucky training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tarazu.study.schema import ReadyArm, Study


@dataclass(frozen=True, kw_only=True, order=True)
class Replicate:
    """One model of a study: an arm, and which of its trainings this is (`seed`, from 0, as in the scores table)."""

    arm: str
    seed: int = 0

    @property
    def name(self) -> str:
        """What its stage, folder and files are called: the arm's name, from the second training on with `@<seed>`
        (which no arm's name may hold)."""
        return f"{self.arm}@{self.seed}" if self.seed else self.arm

    def uses(self, *names: object) -> tuple[object, ...]:
        """Names for `derived_seed`: those given and, from the second training on, its number. So the draws of the
        first do not hang on how many there are."""
        return (*names, self.seed) if self.seed else names


def seeds_of(study: Study, arm: str) -> int:
    """How many models an arm has: as many as the study has seeds where it or an arm it starts from is trained, else
    one."""
    parent = study.parent(arm)
    if not isinstance(study.arms[arm], ReadyArm):
        return study.seeds
    return 1 if parent is None else seeds_of(study, parent)


def replicates(study: Study) -> Sequence[Replicate]:
    """Every model of a study, each after the one that it starts from.

    All arms with the first seed come first (as in `arms_in_order`), then those that have a second, and so on: what the
    stages of one seed do does not hang on whether there are more.
    """
    return [
        Replicate(arm=arm, seed=seed)
        for seed in range(study.seeds)
        for arm in study.arms_in_order()
        if seed < seeds_of(study, arm)
    ]


def parent_of(study: Study, replicate: Replicate) -> Replicate | None:
    """The model that a replicate starts from: its arm's parent, of the same seed where that has one; None where the
    arm starts from a checkpoint."""
    parent = study.parent(replicate.arm)
    if parent is None:
        return None
    return Replicate(arm=parent, seed=min(replicate.seed, seeds_of(study, parent) - 1))


def labels(study: Study) -> dict[Replicate, str]:
    """What people call each model: the arm's name, with the seed where the arm has several."""
    return {
        replicate: f"{replicate.arm}, seed {replicate.seed}" if seeds_of(study, replicate.arm) > 1 else replicate.arm
        for replicate in replicates(study)
    }

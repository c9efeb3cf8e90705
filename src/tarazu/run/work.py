"""A study's work: all that its stages are built from, and the stages. In another process they are built alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tarazu.progress import Progress
from tarazu.run.capability import capability_stages, read_tasks
from tarazu.run.facts import checkpoint_identities
from tarazu.run.frontier import frontier_response_stages
from tarazu.run.inputs import Inputs, read_inputs
from tarazu.run.responses import response_stages
from tarazu.run.rewards import reward_stages
from tarazu.run.stages import Stage
from tarazu.run.training import arm_stages, reward_model_stages, trained_identities, with_trained
from tarazu.study import Study

if TYPE_CHECKING:
    from tarazu.capability.harness import Loaded


@dataclass(frozen=True, kw_only=True)
class Work:
    """A study to be carried out in the folder `out`, with what it reads."""

    study: Study
    out: Path
    report_to: Sequence[str]
    identities: dict[str, Any]
    inputs: Inputs
    tasks: Loaded | None


def read_work(study: Study, out: Path, report_to: Sequence[str] = ()) -> Work:
    """Read all that a study needs. Raises BadInput for what is missing or cannot be read."""
    identities = checkpoint_identities(study)
    inputs, tasks = read_inputs(study), read_tasks(study)
    return Work(study=study, out=out, report_to=report_to, identities=identities, inputs=inputs, tasks=tasks)


def trainings(work: Work, progress: Progress) -> list[Stage]:
    """The stages that make the arms."""
    return arm_stages(work.study, work.inputs, work.out, work.identities, progress, work.report_to)


def questions(work: Work, arms: Sequence[Stage], progress: Progress) -> list[Stage]:
    """The stages that ask the arms, and the one that trains the study's reward model. `arms` are the trainings."""
    study, inputs, out = work.study, work.inputs, work.out
    return [
        *response_stages(study, inputs, out, arms, progress),
        *frontier_response_stages(study, inputs, out, arms, progress),
        *capability_stages(study, work.tasks, out, arms, progress),
        *_reward_models(work, progress),
    ]


def scorings(work: Work, progress: Progress) -> list[Stage]:
    """The stages that score; they can be built once all responses are there, since those say what is scored."""
    identities = work.identities | trained_identities(work.study, _reward_models(work, progress))
    return reward_stages(with_trained(work.study, work.out), work.inputs, work.out, identities, progress)


def _reward_models(work: Work, progress: Progress) -> list[Stage]:
    return reward_model_stages(work.study, work.inputs, work.out, work.identities, progress, work.report_to)

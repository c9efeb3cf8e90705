"""All stages of a study.

`run` executes them, `plan` lists them with their state and cost, and the workers of a cluster look theirs up by name. A
stage that is added here is added to all three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from tarazu.run.capability import capability_stages
from tarazu.run.context import RunContext
from tarazu.run.frontier import frontier_response_stages
from tarazu.run.outcome import result_stages
from tarazu.run.responses import response_stages
from tarazu.run.rewards import scoring_stages
from tarazu.run.stages import Stage, read_notes
from tarazu.run.training import reward_model_stage, training_stages
from tarazu.study.replicates import Replicate


def stage_graph(context: RunContext) -> dict[str, Stage]:
    """The stages by name, each after those that it depends on.

    They can be built before any has run. The inputs of some are read from the outputs of others (`Stage.inputs_from`),
    but only when the stage's turn comes.
    """
    models = training_stages(context)
    trainer = reward_model_stage(context)
    stages = [
        *models.values(),
        *generation_stages(context, models),
        *([trainer] if trainer else []),
        *scoring_stages(context, trainer),
    ]
    stages += result_stages(context, stages, partial(read_notes, context.out, [stage.name for stage in stages]))
    return _checked(stages)


def generation_stages(context: RunContext, models: Mapping[Replicate, Stage]) -> list[Stage]:
    """The stages in which the arms answer prompts and tasks. `models` are the stages that make the arms."""
    return [
        *response_stages(context, models),
        *frontier_response_stages(context, models),
        *capability_stages(context, models),
    ]


def _checked(stages: Sequence[Stage]) -> dict[str, Stage]:
    graph: dict[str, Stage] = {}
    for stage in stages:
        assert stage.name not in graph, f"two stages are called {stage.name}"
        assert set(stage.inputs_from) <= set(stage.after) <= graph.keys(), (
            f"{stage.name} comes before a stage that it reads"
        )
        graph[stage.name] = stage
    return graph

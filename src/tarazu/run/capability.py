"""What alignment cost: every replicate of an arm answers the study's tasks of lm-evaluation-harness."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tarazu.analysis.capability import CapabilityScores
from tarazu.files import write_json
from tarazu.run.context import RunContext, torch_facts
from tarazu.run.stages import Cost, Stage
from tarazu.study import Study
from tarazu.study.replicates import Replicate, replicates

if TYPE_CHECKING:
    from tarazu.capability.harness import Loaded


def capability_stages(context: RunContext, models: Mapping[Replicate, Stage]) -> list[Stage]:
    """One stage per replicate of an arm; none if the study has no tasks. `models` are the stages that make the arms."""
    tasks = context.tasks
    if tasks is None:
        return []
    work = f"{tasks.requests} texts of {len(tasks.tasks)} tasks"

    def inputs(model: Stage) -> dict[str, Any]:
        return {
            "arm": model.fingerprint,
            "tasks": tasks.digest,
            "settings": tasks.settings.model_dump(mode="json", include={"shots", "batch_size", "row_tokens"}),
            "dtype": context.study.model.dtype,
            "machine": torch_facts(),
        }

    return [
        Stage(
            name=f"capability:{replicate.name}",
            inputs=partial(inputs, model),
            outputs=[_file(replicate)],
            make=partial(_make, context, replicate, tasks),
            after=[model.name],
            cost=lambda: Cost(work=work),
        )
        for replicate, model in models.items()
    ]


def capability_files(study: Study) -> list[str]:
    """The files that the stages write, in the order of `replicates`; none if the study has no tasks."""
    return [_file(replicate) for replicate in replicates(study)] if study.capability else []


def read_capability(study: Study, out: Path) -> CapabilityScores | None:
    """The scores for the results; None if the study has no tasks."""
    if study.capability is None:
        return None
    files = [json.loads((out / file).read_text(encoding="utf-8")) for file in capability_files(study)]
    return CapabilityScores(
        items=[{"arm": one["arm"], "seed": one["seed"], **item} for one in files for item in one["items"]],
        metrics=files[0]["metrics"],
        shots=study.capability.shots,
        limit=study.capability.limit,
        harness=files[0]["harness"],
    )


def _file(replicate: Replicate) -> str:
    return f"capability/{replicate.name}.json"


def _make(context: RunContext, replicate: Replicate, tasks: Loaded) -> dict[str, int]:
    from importlib.metadata import version

    from tarazu.align import checkpoints
    from tarazu.capability.harness import evaluate
    from tarazu.capability.lm import CheckpointLM
    from tarazu.errors import NotFinite

    study, out = context.study, context.out
    folder = str(out / "arms" / replicate.name)
    options: dict[str, Any] = {"key": f"arms.{replicate.arm}", "trust_remote_code": study.model.trust_remote_code}
    lm = CheckpointLM(
        checkpoints.load_causal_lm(folder, dtype=study.model.dtype, **options),
        checkpoints.load_tokenizer(folder, **options),
        batch_size=tasks.settings.batch_size,
        row_tokens=tasks.settings.row_tokens,
        progress=context.progress.update,
    )
    try:
        items = evaluate(tasks, lm)
    except NotFinite as fault:
        raise fault.at_tokens(f"arms.{replicate.name}", lm.tokenizer) from None
    measured = {
        "arm": replicate.arm,
        "seed": replicate.seed,
        "harness": version("lm_eval"),
        "metrics": {task.wanted.name: task.metric for task in tasks.tasks},
        "items": items,
    }
    write_json(out / _file(replicate), measured)
    return {"contexts shortened": lm.shortened} if lm.shortened else {}

"""What alignment cost: every replicate of an arm does the study's tasks of lm-evaluation-harness."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tarazu.analysis.capability import CapabilityScores
from tarazu.errors import BadInput
from tarazu.files import write_json
from tarazu.progress import Progress
from tarazu.run.facts import torch_facts
from tarazu.run.stages import Stage
from tarazu.seeds import derived_seed
from tarazu.study import Study
from tarazu.study.capability import wanted
from tarazu.study.replicates import Replicate, replicates

if TYPE_CHECKING:
    from tarazu.capability.harness import Loaded


def read_tasks(study: Study) -> Loaded | None:
    """The tasks of a study with their data; None where it asks for none.

    Raises BadInput for a task that is not there or cannot be read, MissingExtra where the harness is not installed.
    """
    settings = study.capability
    if settings is None:
        return None
    from tarazu.capability.harness import load

    chosen = wanted(settings, study.language_codes())
    if not chosen:
        raise BadInput("capability: none of its tasks is there in the languages asked for; change tasks or languages")
    places = [(one.task, one.language) for one in chosen]
    for task, language in places:
        if places.count((task, language)) > 1:
            raise BadInput(f"capability.tasks: two tasks count as {task} in {language}; give one another `task`")
    root = Path(study.data.root).expanduser() if study.data.root else None
    return load(settings, chosen, root=root, seed=derived_seed(study.seed, "capability"))


def capability_stages(
    study: Study, tasks: Loaded | None, out: Path, models: Sequence[Stage], progress: Progress
) -> list[Stage]:
    """One stage per replicate of an arm. `models` are the stages of `replicates`."""
    if tasks is None:
        return []
    return [
        Stage(
            name=f"capability:{replicate.name}",
            inputs={
                "arm": model.fingerprint,
                "tasks": tasks.digest,
                "settings": tasks.settings.model_dump(mode="json", include={"shots", "batch_size", "row_tokens"}),
                "dtype": study.model.dtype,
                "machine": torch_facts(),
            },
            outputs=[_file(replicate)],
            make=partial(_make, study, replicate, tasks, out, progress),
            after=[model.name],
        )
        for replicate, model in zip(replicates(study), models, strict=True)
    ]


def capability_files(study: Study) -> list[str]:
    """What the stages write, in the order of `replicates`; nothing where the study asks for no tasks."""
    return [_file(replicate) for replicate in replicates(study)] if study.capability else []


def read_capability(study: Study, out: Path) -> CapabilityScores | None:
    """What the results are made from; None where the study asks for no tasks."""
    if study.capability is None:
        return None
    found = [json.loads((out / file).read_text(encoding="utf-8")) for file in capability_files(study)]
    return CapabilityScores(
        items=[{"arm": one["arm"], "seed": one["seed"], **item} for one in found for item in one["items"]],
        metrics=found[0]["metrics"],
        shots=study.capability.shots,
        limit=study.capability.limit,
        harness=found[0]["harness"],
    )


def _file(replicate: Replicate) -> str:
    return f"capability/{replicate.name}.json"


def _make(study: Study, replicate: Replicate, tasks: Loaded, out: Path, progress: Progress) -> dict[str, int]:
    from importlib.metadata import version

    from tarazu.align import checkpoints
    from tarazu.capability.harness import evaluate
    from tarazu.capability.lm import CheckpointLM

    folder = str(out / "arms" / replicate.name)
    options: dict[str, Any] = {"key": f"arms.{replicate.arm}", "trust_remote_code": study.model.trust_remote_code}
    lm = CheckpointLM(
        checkpoints.load_causal_lm(folder, dtype=study.model.dtype, **options),
        checkpoints.load_tokenizer(folder, **options),
        batch_size=tasks.settings.batch_size,
        row_tokens=tasks.settings.row_tokens,
        progress=progress.update,
    )
    items = evaluate(tasks, lm)
    found = {
        "arm": replicate.arm,
        "seed": replicate.seed,
        "harness": version("lm_eval"),
        "metrics": {task.wanted.name: task.metric for task in tasks.tasks},
        "items": items,
    }
    write_json(out / _file(replicate), found)
    return {"contexts shortened": lm.shortened} if lm.shortened else {}

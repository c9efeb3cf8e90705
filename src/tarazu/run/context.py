"""What the stages of a study are built from: one object that every builder takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tarazu.progress import Progress
from tarazu.run.inputs import Inputs, read_inputs, read_tasks
from tarazu.run.lock import versions
from tarazu.study import Study
from tarazu.study.schema import TRAINED

if TYPE_CHECKING:
    from tarazu.capability.harness import Loaded


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A study to run in the folder `out`, with all that it reads."""

    study: Study
    out: Path
    inputs: Inputs
    identities: Mapping[str, Any]
    """What each checkpoint that the study names is, by the key that names it."""
    tasks: Loaded | None = None
    report_to: Sequence[str] = ()
    """Transformers' integrations that training is logged to."""
    progress: Progress = field(default_factory=Progress)

    @cached_property
    def parameters(self) -> int | None:
        """Weights of the study's model, counted in the headers of its safetensors files; None where it is not on this
        machine."""
        from safetensors import safe_open

        from tarazu.align.checkpoints import is_local, resolve

        path = self.study.model.path
        if not is_local(path):
            return None
        total = 0
        for file in sorted(Path(resolve(path, "model.path")).glob("*.safetensors")):
            with safe_open(file, framework="pt") as weights:
                for name in weights.keys():  # noqa: SIM118 (not a dict: it has no __iter__)
                    count = 1
                    for size in weights.get_slice(name).get_shape():
                        count *= size
                    total += count
        return total


def read_context(
    study: Study, out: Path, *, report_to: Sequence[str] = (), progress: Progress | None = None
) -> RunContext:
    """Read all that a study needs. Raises BadInput for what is missing or cannot be read."""
    return RunContext(
        study=study,
        out=out,
        identities=checkpoint_identities(study),
        inputs=read_inputs(study),
        tasks=read_tasks(study),
        report_to=report_to,
        progress=progress or Progress(),
    )


def checkpoint_identities(study: Study) -> dict[str, Any]:
    """What each checkpoint named by the study is, by key; a missing one is refused here, before anything runs."""
    from tarazu.align.checkpoints import identity

    found = {"model.path": identity(study.model.path, study.model.revision, "model.path")}
    for name, arm in study.arms.items():
        if arm.from_ is not None and study.parent(name) is None:
            found[f"arms.{name}.from"] = identity(arm.from_, None, f"arms.{name}.from")
    if study.reward.train is not None:
        found["reward.train.from"] = identity(study.reward.train.from_, None, "reward.train.from")
    return found | reward_identities(study)


def reward_identities(study: Study) -> dict[str, Any]:
    """What each reward model is, by key; a missing one is refused, one that the study trains is left out."""
    from tarazu.align.checkpoints import identity

    return {
        f"reward.{key}.model": identity(judge.model, judge.revision, f"reward.{key}.model")
        for key, judge in study.reward.judges().items()
        if judge.model != TRAINED
    }


def torch_facts() -> dict[str, Any]:
    """What the numbers of a model's arithmetic depend on, beside its inputs."""
    import torch

    known = versions()
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"accelerator": accelerator, **{name: known[name] for name in ("torch", "transformers", "peft")}}

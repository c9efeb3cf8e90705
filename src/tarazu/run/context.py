"""The context from which all stages of a study are built."""

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
from tarazu.study.judges import TRAINED

if TYPE_CHECKING:
    from tarazu.capability.harness import Loaded


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A study, the folder that it runs in (`out`), and all its input data."""

    study: Study
    out: Path
    inputs: Inputs
    identities: Mapping[str, Any]
    """The identity of each checkpoint that the study names, by the key that names it."""
    tasks: Loaded | None = None
    report_to: Sequence[str] = ()
    """The integrations of transformers that log training."""
    progress: Progress = field(default_factory=Progress)

    @cached_property
    def parameters(self) -> int | None:
        """The number of weights of the study's model, from the headers of its safetensors files; None if the model is
        not on this machine."""
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
    """Read all the data that a study needs. Raises BadInput if any is missing or cannot be read."""
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
    """The identity of each checkpoint that the study names, by key. Raises BadInput if one is missing."""
    from tarazu.align.checkpoints import identity

    identities = {"model.path": identity(study.model.path, study.model.revision, "model.path")}
    for name, arm in study.arms.items():
        if arm.from_ is not None and study.parent(name) is None:
            identities[f"arms.{name}.from"] = identity(arm.from_, None, f"arms.{name}.from")
    if study.reward.train is not None:
        identities["reward.train.from"] = identity(study.reward.train.from_, None, "reward.train.from")
    return identities | reward_identities(study)


def reward_identities(study: Study) -> dict[str, Any]:
    """The identity of each judge that the study does not train, by key. Raises BadInput if one is missing."""
    from tarazu.align.checkpoints import identity

    return {
        f"reward.{key}.model": identity(judge.model, judge.revision, f"reward.{key}.model")
        # A server's model has its name only, which is in the settings.
        if judge.model is not None
        else {"server": judge.name}
        for key, judge in study.reward.judges().items()
        if judge.model != TRAINED
    }


def torch_facts() -> dict[str, Any]:
    """Everything besides its inputs that affects the numbers that a model computes."""
    import torch

    known = versions()
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"accelerator": accelerator, **{name: known[name] for name in ("torch", "transformers", "peft")}}

"""What the numbers of a stage hang on, beside its inputs."""

from __future__ import annotations

from typing import Any

from tarazu.run.lock import versions
from tarazu.study import Study
from tarazu.study.schema import TRAINED


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
    """What the numbers of a model's arithmetic hang on, beside its inputs."""
    import torch

    known = versions()
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"accelerator": accelerator, **{name: known[name] for name in ("torch", "transformers", "peft")}}

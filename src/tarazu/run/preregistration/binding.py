"""A run and its plan: which plan the responses of a run folder are bound to, and what was done.

A plan is bound when it is handed to a run that has no response yet: preregistration.order.json then has its digest, and
every file of responses gets the digest in its metadata. A plan that is handed to a run with responses is not bound, and
that stays so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tarazu.errors import BadInput
from tarazu.files import write_json
from tarazu.preregistration.conduct import Answered, Cell, Conduct, answered_in, order_of
from tarazu.preregistration.model import InputDigests
from tarazu.preregistration.reading import PLAN_FILE, FrozenPlan, read_plan, write_plan
from tarazu.results.model import Order
from tarazu.run.lock import LOCK_FILE
from tarazu.study import LoadedStudy, Study
from tarazu.study.replicates import Replicate, seeds_of
from tarazu.yaml_files import load_yaml

ORDER_FILE: Final = "preregistration.order.json"
"""`{"bound": DIGEST}`: the plan that all responses are bound to; null where they were made without it."""
_SIGNS = ("responses", "frontier/responses", "rewards", "scores.parquet", "results.json")
"""Files, and folders with anything in them, that show that there are or were responses."""


@dataclass(frozen=True, kw_only=True)
class PlannedStudy(LoadedStudy):
    """A study with the plan that was preregistered for it."""

    plan: FrozenPlan


@dataclass(frozen=True, kw_only=True)
class Before:
    """What a run folder held before a command: the plan that its responses are bound to, and whether it had responses,
    now or when an earlier plan came."""

    bound: str | None
    begun: bool


def before(out: Path) -> Before:
    """The state of a run folder, which need not exist."""
    order = _order(out)
    responses = any((out / name).is_file() or any((out / name).glob("*")) for name in _SIGNS)
    bound = order.get("bound")
    return Before(bound=bound, begun=responses or (bool(order) and bound is None))


def _order(out: Path) -> dict[str, str | None]:
    try:
        order = json.loads((out / ORDER_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return {"bound": None}
    return order if isinstance(order, dict) else {"bound": None}


def bind(out: Path, given: FrozenPlan | None, earlier: Before) -> None:
    """Put a plan into a run folder, and bind it if no response was made without it. `earlier` is the folder's state
    when the command was started. Without a plan, the folder keeps the one that it has.

    Raises BadInput where the responses are bound to another plan.
    """
    if given is None:
        return
    now = before(out)
    if now.begun and now.bound not in (None, given.sha256):
        raise BadInput(
            f"{out}: its responses are bound to another plan ({PLAN_FILE}, sha256 {now.bound}), which cannot be "
            "exchanged after them; run with that plan, or choose another --out"
        )
    seen = (earlier.begun and earlier.bound != given.sha256) or (now.begun and now.bound is None)
    write_plan(out, given)
    write_json(out / ORDER_FILE, {"bound": None if seen else given.sha256})


def bound_plan(out: Path) -> str | None:
    """The digest of the plan that responses of this folder are bound to; None if there is none."""
    return _order(out).get("bound")


def folder_plan(out: Path) -> FrozenPlan | None:
    """The plan of a run folder. Raises BadInput if it was changed."""
    return read_plan(out / PLAN_FILE) if (out / PLAN_FILE).is_file() else None


def lock_facts(folder: Path) -> list[Any]:
    """What the lock file says that a plan is compared with: the study and the digests of its inputs."""
    lock = load_yaml((folder / LOCK_FILE).read_text(encoding="utf-8"))
    return [lock["study"], lock.get("inputs")]


def conduct_of(folder: Path) -> Conduct | None:
    """The plan of a folder and what was done, from its lock file, scores and responses; None without a plan. Also of a
    copy of a record's files. Raises BadInput."""
    frozen = folder_plan(folder)
    if frozen is None:
        return None
    study, inputs = lock_facts(folder)
    answered = answered_in(folder / "scores.parquet")
    return Conduct(
        frozen=frozen,
        settings=study,
        inputs=None if inputs is None else InputDigests.model_validate(inputs),
        answered=answered,
        repeats=_repeats(study) if inputs else {},
        order=_order_of(folder, answered, frozen.sha256) if inputs else "not_shown",
    )


def _repeats(study: Any) -> dict[str, int]:
    """How many responses each arm gives to a prompt: one per training seed and sample."""
    settings = Study.model_validate(study)
    return {arm: seeds_of(settings, arm) * settings.generation.samples for arm in settings.arms}


def _order_of(folder: Path, answered: Mapping[Cell, Answered], plan: str) -> Order:
    """Whether the responses of every model with scores were bound to the plan."""
    models = {Replicate(arm=arm, seed=seed) for (_, _, arm), own in answered.items() for seed, _ in own.replicates}
    files = [folder / "responses" / f"{model.name}.parquet" for model in models]
    return order_of(files, plan) if all(file.is_file() for file in files) else "not_shown"

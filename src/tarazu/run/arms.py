"""Arms: each a checkpoint (one per training seed, where it is trained), made from the one that it starts from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tarazu.files import digest, reset_scratch
from tarazu.run.facts import torch_facts
from tarazu.run.inputs import Inputs
from tarazu.run.progress import Progress
from tarazu.run.stages import Stage
from tarazu.run.tracking import logging_below
from tarazu.seeds import derived_seed
from tarazu.study import Study
from tarazu.study.replicates import Replicate, parent_of, replicates
from tarazu.study.schema import DPOArm, ReadyArm


def arm_stages(
    study: Study,
    inputs: Inputs,
    out: Path,
    identities: dict[str, Any],
    progress: Progress,
    report_to: Sequence[str] = (),
) -> list[Stage]:
    """One stage per replicate of an arm, in the order of `replicates`."""
    made: dict[Replicate, Stage] = {}
    for replicate in replicates(study):
        arm, parent = replicate.arm, parent_of(study, replicate)
        settings = study.arms[arm]
        trained = not isinstance(settings, ReadyArm)
        start: Any
        if parent is not None:
            start = made[parent].fingerprint
        else:
            start = identities.get(f"arms.{arm}.from", identities["model.path"])
        hangs_on = {
            "start": start,
            "arm": settings.model_dump(mode="json", exclude={"pairs"}),
            "model": study.model.model_dump(mode="json", exclude={"path"}),
            "study": [study.name, study.caution],  # on the model card
            **({"pairs": inputs.pairs_digest(arm), "seed": study.seed} if trained else {}),
            "machine": torch_facts(),
        }
        made[replicate] = Stage(
            name=f"arm:{replicate.name}",
            inputs=hangs_on,
            outputs=[f"arms/{replicate.name}"],
            make=partial(_make_arm, study, replicate, inputs, out, digest(hangs_on), progress, report_to),
            after=[made[parent].name] if parent is not None else (),
        )
    return list(made.values())


def _make_arm(
    study: Study,
    replicate: Replicate,
    inputs: Inputs,
    out: Path,
    of: str,
    progress: Progress,
    report_to: Sequence[str],
) -> dict[str, int]:
    """Make one arm's checkpoint. `of` is the digest of what it hangs on: checkpoints of training that an earlier,
    stopped run left are gone on from where it is the same."""
    from tarazu.align import checkpoints
    from tarazu.align.cards import model_card
    from tarazu.align.processes import from_leader

    unfinished = _unfinished(out, replicate)
    reset_scratch(unfinished, of)
    from_leader(lambda: replicate)  # received by `run_worker_loop`
    with logging_below(out / "logs" / replicate.name):
        made = _train_arm(study, replicate, inputs, out, progress.update, report_to)
    parent = parent_of(study, replicate)
    base = f"../{parent.name}" if parent else study.arms[replicate.arm].from_ or study.model.path
    card = model_card(study, replicate, inputs.pairs.get(replicate.arm, ()))
    folder = out / "arms" / replicate.name
    checkpoints.save_trained(made.model, made.tokenizer, folder, base=base, card=card, curve=made.curve)
    shutil.rmtree(unfinished, ignore_errors=True)
    return made.notes


def run_worker_loop(study: Study, inputs: Inputs, out: Path) -> None:
    """Take part in each training that the first process of an `accelerate launch` begins, until it begins no more."""
    from tarazu.align.processes import from_leader

    while (replicate := from_leader(lambda: Replicate(arm=""))) is not None:
        _train_arm(study, replicate, inputs, out, lambda *_: None, ())


def release_workers() -> None:
    """Tell the other processes that there is nothing more to train, and continue alone."""
    from tarazu.align.processes import from_leader, leave_process_group

    from_leader(lambda: None)
    leave_process_group()


@dataclass(frozen=True, kw_only=True)
class _Trained:
    model: Any
    tokenizer: Any
    curve: list[dict[str, float]]
    notes: dict[str, int]


def _unfinished(out: Path, replicate: Replicate) -> Path:
    return out / ".training" / replicate.name


def _train_arm(
    study: Study,
    replicate: Replicate,
    inputs: Inputs,
    out: Path,
    progress: Callable[[int, int, str], None],
    report_to: Sequence[str],
) -> _Trained:
    """Load what an arm starts from and train it; every process of a launch calls this alike."""
    from tarazu.align import checkpoints
    from tarazu.align.reference import reference_log_probs
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.align.train import train
    from tarazu.align.trainer import TrainingRun

    arm, parent = replicate.arm, parent_of(study, replicate)
    settings = study.arms[arm]
    trained = not isinstance(settings, ReadyArm)
    start = str(out / "arms" / parent.name) if parent else settings.from_ or study.model.path
    options: dict[str, Any] = {"key": f"arms.{arm}.from" if settings.from_ else "model.path"}
    if start == study.model.path:
        options |= {"revision": study.model.revision, "trust_remote_code": study.model.trust_remote_code}
    tokenizer = checkpoints.load_tokenizer(start, **options)
    # Weights train in float32 whatever the study's precision: small steps would be rounded away in 16 bits.
    model = checkpoints.load_causal_lm(start, dtype="float32" if trained else study.model.dtype, **options)
    if isinstance(settings, ReadyArm):
        return _Trained(model=model, tokenizer=tokenizer, curve=[], notes={})
    pairs, notes = tokenize_pairs(inputs.pairs[arm], tokenizer, max_length=settings.max_length)
    run = TrainingRun(
        pad_id=tokenizer.pad_token_id,
        seed=derived_seed(study.seed, *replicate.uses("train", arm)),
        progress=progress,
        use_bf16=study.model.dtype == "bfloat16",
        folder=_unfinished(out, replicate),
        report_to=report_to,
    )
    reference = None
    if isinstance(settings, DPOArm):
        reference = reference_log_probs(model, pairs, run, store=out / "reference", facts=torch_facts())
    model, curve = train(model, pairs, settings, run, reference=reference)
    return _Trained(model=model, tokenizer=tokenizer, curve=curve, notes=notes)

"""Arms: each a checkpoint, trained from the one that it starts from."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from tarazu.errors import BadInput
from tarazu.files import atomic_directory, digest, write_text
from tarazu.run.facts import torch_facts
from tarazu.run.inputs import Inputs
from tarazu.run.progress import Progress
from tarazu.run.stages import Stage
from tarazu.seeds import derived_seed
from tarazu.study import Study
from tarazu.study.schema import DPOArm, ReadyArm


def arm_stages(study: Study, inputs: Inputs, out: Path, identities: dict[str, Any], progress: Progress) -> list[Stage]:
    """One stage per arm, each after the arm that it starts from."""
    made: dict[str, Stage] = {}
    for arm in study.arms_in_order():
        parent = study.parent(arm)
        settings = study.arms[arm]
        trained = not isinstance(settings, ReadyArm)
        start: Any
        if parent is not None:
            start = made[parent].fingerprint
        else:
            start = identities.get(f"arms.{arm}.from", identities["model.path"])
        hangs_on = {
            "start": start,
            "arm": settings.model_dump(mode="json"),
            "model": study.model.model_dump(mode="json", exclude={"path"}),
            "study": [study.name, study.caution],  # on the model card
            **({"pairs": inputs.pairs_digest, "seed": study.seed} if trained else {}),
            "machine": torch_facts(),
        }
        made[arm] = Stage(
            name=f"arm:{arm}",
            inputs=hangs_on,
            outputs=[f"arms/{arm}"],
            make=partial(_make_arm, study, arm, inputs, out, digest(hangs_on), progress),
        )
    return list(made.values())


def _make_arm(study: Study, arm: str, inputs: Inputs, out: Path, of: str, progress: Progress) -> dict[str, int]:
    """Make one arm's checkpoint. `of` is the digest of what it hangs on: checkpoints of training that an earlier,
    stopped run left are gone on from where it is the same."""
    from tarazu.align import checkpoints
    from tarazu.align.cards import model_card
    from tarazu.align.reference import reference_log_probs
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.align.train import train

    settings = study.arms[arm]
    trained = not isinstance(settings, ReadyArm)
    parent = study.parent(arm)
    start = str(out / "arms" / parent) if parent else settings.from_ or study.model.path
    key = f"arms.{arm}.from" if settings.from_ else "model.path"
    options: dict[str, Any] = {"key": key}
    if start == study.model.path:
        options |= {"revision": study.model.revision, "trust_remote_code": study.model.trust_remote_code}
    tokenizer = checkpoints.load_tokenizer(start, **options)
    # Weights train in float32 whatever the study's precision: small steps would be rounded away in 16 bits.
    model = checkpoints.load_causal_lm(start, dtype="float32" if trained else study.model.dtype, **options)
    curve: list[dict[str, float]] = []
    notes: dict[str, int] = {}
    unfinished = out / ".training" / arm
    if not isinstance(settings, ReadyArm):
        pairs, notes = tokenize_pairs(inputs.pairs, tokenizer, max_length=settings.max_length)
        if not pairs:
            raise BadInput(f"arms.{arm}.max_length: no pair's prompt is shorter than {settings.max_length} tokens")
        common: dict[str, Any] = {
            "pad_id": tokenizer.pad_token_id,
            "half": study.model.dtype == "bfloat16",
            "progress": progress.update,
        }
        reference = None
        if isinstance(settings, DPOArm):
            reference = reference_log_probs(model, pairs, store=out / "reference", facts=torch_facts(), **common)
        _clear_unless(unfinished, of)
        model, curve = train(
            model,
            pairs,
            settings,
            seed=derived_seed(study.seed, "train", arm),
            reference=reference,
            folder=unfinished,
            **common,
        )
    languages = sorted({pair.language for pair in inputs.pairs if pair.language})
    with atomic_directory(out / "arms" / arm) as folder:
        checkpoints.save(model, tokenizer, folder, base=f"../{parent}" if parent else start)
        (folder / "README.md").write_text(model_card(study, arm, len(inputs.pairs), languages), encoding="utf-8")
        rows = "".join(json.dumps(row, sort_keys=True) + "\n" for row in curve)
        (folder / "training.jsonl").write_text(rows, encoding="utf-8")
    shutil.rmtree(unfinished, ignore_errors=True)
    return notes


def _clear_unless(folder: Path, of: str) -> None:
    """Make `folder` hold unfinished training of `of`, or nothing."""
    mark = folder / "of"
    if not mark.exists() or mark.read_text(encoding="utf-8") != of:
        shutil.rmtree(folder, ignore_errors=True)
        write_text(mark, of)

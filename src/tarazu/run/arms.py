"""Arms: each a checkpoint, trained from the one that it starts from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tarazu.files import atomic_directory
from tarazu.run.facts import torch_facts
from tarazu.run.inputs import Inputs
from tarazu.run.progress import Progress
from tarazu.run.stages import Stage
from tarazu.seeds import derived_seed
from tarazu.study import Study
from tarazu.study.schema import ReadyArm


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
        made[arm] = Stage(
            name=f"arm:{arm}",
            inputs={
                "start": start,
                "arm": settings.model_dump(mode="json"),
                "model": study.model.model_dump(mode="json", exclude={"path"}),
                "study": [study.name, study.caution],  # on the model card
                **({"pairs": inputs.pairs_digest, "seed": study.seed} if trained else {}),
                "machine": torch_facts(),
            },
            outputs=[f"arms/{arm}"],
            make=lambda arm=arm: _make_arm(study, arm, inputs, out, progress),  # type: ignore[misc]
        )
    return list(made.values())


def _make_arm(study: Study, arm: str, inputs: Inputs, out: Path, progress: Progress) -> dict[str, int]:
    from tarazu.align import checkpoints
    from tarazu.align.cards import model_card
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.align.train import train

    settings = study.arms[arm]
    parent = study.parent(arm)
    start = str(out / "arms" / parent) if parent else settings.from_ or study.model.path
    key = f"arms.{arm}.from" if settings.from_ else "model.path"
    options: dict[str, Any] = {"key": key}
    if start == study.model.path:
        options |= {"revision": study.model.revision, "trust_remote_code": study.model.trust_remote_code}
    tokenizer = checkpoints.load_tokenizer(start, **options)
    model = checkpoints.load_causal_lm(start, dtype=study.model.dtype, **options)
    curve: list[dict[str, float]] = []
    notes: dict[str, int] = {}
    if not isinstance(settings, ReadyArm):
        pairs, notes = tokenize_pairs(inputs.pairs, tokenizer, max_length=settings.max_length)
        model, curve = train(
            model,
            pairs,
            settings,
            pad_id=tokenizer.pad_token_id,
            seed=derived_seed(study.seed, "train", arm),
            progress=progress.update,
        )
    languages = sorted({pair.language for pair in inputs.pairs if pair.language})
    with atomic_directory(out / "arms" / arm) as folder:
        checkpoints.save(model, tokenizer, folder, base=f"../{parent}" if parent else start)
        (folder / "README.md").write_text(model_card(study, arm, len(inputs.pairs), languages), encoding="utf-8")
        rows = "".join(json.dumps(row, sort_keys=True) + "\n" for row in curve)
        (folder / "training.jsonl").write_text(rows, encoding="utf-8")
    return notes

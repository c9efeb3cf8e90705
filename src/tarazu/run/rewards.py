"""Rewards: each distinct (kind, prompt, response) scored once, and the known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.files import atomic_file, digest
from tarazu.known_answers import write_known_answers
from tarazu.run.facts import torch_facts
from tarazu.run.inputs import Inputs
from tarazu.run.progress import Progress
from tarazu.run.stages import Stage
from tarazu.study import Study
from tarazu.study.replicates import replicates
from tarazu.study.schema import RewardModel

Text = tuple[str, str, str]
"""Prompt kind, prompt, response."""


def reward_stages(
    study: Study, inputs: Inputs, out: Path, identities: dict[str, Any], progress: Progress
) -> list[Stage]:
    """One stage per replicate of an arm that scores the texts which no earlier one has, and one for the known answers.

    A text is (kind, prompt, response); equal texts of two models are scored once, in the stage of the first.
    """
    seen: set[Text] = set()
    stages = []
    for replicate in replicates(study):
        table = pq.read_table(out / "responses" / f"{replicate.name}.parquet", columns=["kind", "prompt", "response"])
        texts = [(row["kind"], row["prompt"], row["response"]) for row in table.to_pylist()]
        own = [text for text in dict.fromkeys(texts) if text not in seen]
        seen.update(own)
        target = f"rewards/{replicate.name}.parquet"
        stages.append(
            Stage(
                name=f"rewards:{replicate.name}",
                inputs={"texts": digest(own), **_reward_facts(study, identities)},
                outputs=[target],
                make=partial(_make_rewards, study, own, out / target, progress),
            )
        )
    known = [asdict(row) for row in inputs.known_answers]
    stages.append(
        Stage(
            name="known_answers",
            inputs={"rows": digest(known), **_reward_facts(study, identities)},
            outputs=["known_answers.parquet"],
            make=lambda: _make_known_answers(study, inputs, out, progress),
        )
    )
    return stages


def read_rewards(out: Path, files: Sequence[str]) -> dict[Text, float]:
    """The reward of every text in these files of the run."""
    rewards: dict[Text, float] = {}
    for file in files:
        for row in pq.read_table(out / file).to_pylist():
            rewards[row["kind"], row["prompt"], row["response"]] = row["reward"]
    return rewards


def _reward_facts(study: Study, identities: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": {
            kind: getattr(study.reward, kind).model_dump(mode="json", exclude={"model"})
            for kind in ("harmful", "benign")
        },
        "models": {kind: identities[f"reward.{kind}.model"] for kind in ("harmful", "benign")},
        "machine": torch_facts(),
    }


def score_texts(study: Study, texts: Sequence[Text], progress: Progress) -> tuple[dict[Text, float], dict[str, int]]:
    """The reward of each (kind, prompt, response) by the model of its kind, and counts of inputs cut."""
    from tarazu.align import checkpoints
    from tarazu.reward.score import score

    rewards: dict[Text, float] = {}
    notes: dict[str, int] = {}
    for kind in ("harmful", "benign"):
        rows = [text for text in texts if text[0] == kind]
        if not rows:
            continue
        settings: RewardModel = getattr(study.reward, kind)
        options: dict[str, Any] = {
            "key": f"reward.{kind}.model",
            "revision": settings.revision,
            "trust_remote_code": settings.trust_remote_code,
        }
        tokenizer = checkpoints.load_tokenizer(settings.model, **options)
        model = checkpoints.load_reward_model(settings.model, dtype=settings.dtype, **options)
        values, cut = score(
            model, tokenizer, [(prompt, response) for _, prompt, response in rows], settings, progress=progress.update
        )
        rewards |= dict(zip(rows, values.tolist(), strict=True))
        if cut:
            notes[f"{kind} reward inputs cut"] = cut
    return rewards, notes


def _make_rewards(study: Study, texts: Sequence[Text], path: Path, progress: Progress) -> dict[str, int]:
    rewards, notes = score_texts(study, texts, progress)
    columns = {
        "kind": [text[0] for text in texts],
        "prompt": [text[1] for text in texts],
        "response": [text[2] for text in texts],
        "reward": [rewards[text] for text in texts],
    }
    types = [pa.string(), pa.string(), pa.string(), pa.float64()]
    with atomic_file(path) as temporary:
        pq.write_table(pa.table(columns, schema=pa.schema(list(zip(columns, types, strict=True)))), temporary)
    return notes


def _make_known_answers(study: Study, inputs: Inputs, out: Path, progress: Progress) -> dict[str, int]:
    known = inputs.known_answers
    texts = [(row.kind, row.prompt, answer) for row in known for answer in (row.good, row.bad)]
    rewards, notes = score_texts(study, texts, progress)
    write_known_answers(
        out / "known_answers.parquet",
        [
            {
                "language": row.language,
                "kind": row.kind,
                "prompt_id": row.prompt_id,
                "source": row.source,
                "reward_good": rewards[row.kind, row.prompt, row.good],
                "reward_bad": rewards[row.kind, row.prompt, row.bad],
            }
            for row in known
        ],
    )
    return notes

"""Responses: every arm answers every prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.rows import Prompt
from tarazu.files import atomic_file
from tarazu.run.inputs import Inputs
from tarazu.run.progress import Progress
from tarazu.run.stages import Stage
from tarazu.seeds import derived_seed
from tarazu.study import Study

RESPONSE_COLUMNS = pa.schema(
    [
        ("arm", pa.string()),
        ("language", pa.string()),
        ("kind", pa.string()),
        ("prompt_id", pa.string()),
        ("source", pa.string()),
        ("seed", pa.int64()),
        ("sample", pa.int64()),
        ("prompt", pa.string()),
        ("response", pa.string()),
        ("finish", pa.string()),
        ("tokens", pa.int64()),
    ]
)


def response_stages(
    study: Study, inputs: Inputs, out: Path, models: Sequence[Stage], progress: Progress
) -> list[Stage]:
    """One stage per arm: its responses to every prompt."""
    return [
        Stage(
            name=f"responses:{arm}",
            inputs={
                "arm": model.fingerprint,
                "prompts": inputs.prompts_digest,
                "generation": study.generation.model_dump(mode="json"),
                "dtype": study.model.dtype,
                **({"seed": study.seed} if study.generation.sampling else {}),
            },
            outputs=[f"responses/{arm}.parquet"],
            make=lambda arm=arm: _make_responses(study, arm, inputs.prompts, out, progress),  # type: ignore[misc]
        )
        for arm, model in zip(study.arms_in_order(), models, strict=True)
    ]


def _make_responses(study: Study, arm: str, prompts: Sequence[Prompt], out: Path, progress: Progress) -> dict[str, int]:
    from tarazu.align import checkpoints
    from tarazu.respond.budgets import response_budgets
    from tarazu.respond.formats import render
    from tarazu.respond.generate import generate

    settings = study.generation
    folder = str(out / "arms" / arm)
    key = f"arms.{arm}"
    trust = study.model.trust_remote_code
    tokenizer = checkpoints.load_tokenizer(folder, key=key, trust_remote_code=trust)
    model = checkpoints.load_causal_lm(folder, key=key, dtype=study.model.dtype, trust_remote_code=trust)
    budgets = response_budgets(settings, prompts, tokenizer)
    rendered = [render(prompt.text, settings, tokenizer) for prompt in prompts]
    rows: list[dict[str, Any]] = []
    shortened = 0
    for sample in range(settings.samples):
        responses, shortened = generate(
            model,
            tokenizer,
            rendered,
            [budgets[prompt.language] for prompt in prompts],
            settings,
            seed=derived_seed(study.seed, "generate", sample),
            progress=progress.update,
        )
        for prompt, response in zip(prompts, responses, strict=True):
            rows.append(
                {
                    "arm": arm,
                    "language": prompt.language,
                    "kind": prompt.kind,
                    "prompt_id": prompt.prompt_id,
                    "source": prompt.source,
                    "seed": 0,
                    "sample": sample,
                    "prompt": prompt.text,
                    "response": response.text,
                    "finish": response.finish,
                    "tokens": response.tokens,
                }
            )
    with atomic_file(out / "responses" / f"{arm}.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=RESPONSE_COLUMNS), temporary)
    notes = {
        "prompts shortened": shortened,
        "empty responses": sum(not row["response"] for row in rows),
        "responses cut by their budget": sum(row["finish"] == "length" for row in rows),
    }
    return {name: count for name, count in notes.items() if count}

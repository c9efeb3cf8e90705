"""Responses: every arm answers every prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
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
from tarazu.study.replicates import Replicate, replicates

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
    """One stage per replicate of an arm: its responses to every prompt. `models` are the stages of `replicates`."""
    return [
        Stage(
            name=f"responses:{replicate.name}",
            inputs={"arm": model.fingerprint, **response_facts(study, inputs)},
            outputs=[f"responses/{replicate.name}.parquet"],
            make=partial(_make_responses, study, replicate, inputs.prompts, out, progress),
        )
        for replicate, model in zip(replicates(study), models, strict=True)
    ]


def response_facts(study: Study, inputs: Inputs) -> dict[str, Any]:
    """What responses hang on, beside the model that gives them."""
    return {
        "prompts": inputs.prompts_digest,
        "generation": study.generation.model_dump(mode="json"),
        "dtype": study.model.dtype,
        **({"seed": study.seed} if study.generation.sampling else {}),
    }


def _make_responses(
    study: Study, replicate: Replicate, prompts: Sequence[Prompt], out: Path, progress: Progress
) -> dict[str, int]:
    from tarazu.align import checkpoints

    folder = str(out / "arms" / replicate.name)
    options: dict[str, Any] = {"key": f"arms.{replicate.arm}", "trust_remote_code": study.model.trust_remote_code}
    tokenizer = checkpoints.load_tokenizer(folder, **options)
    model = checkpoints.load_causal_lm(folder, dtype=study.model.dtype, **options)
    return write_responses(
        out / "responses" / f"{replicate.name}.parquet", study, replicate, model, tokenizer, prompts, progress
    )


def write_responses(
    path: Path,
    study: Study,
    replicate: Replicate,
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    progress: Progress,
) -> dict[str, int]:
    """Have a model answer every prompt, write its responses as those of `replicate`, and return counts of notes."""
    from tarazu.respond.budgets import response_budgets
    from tarazu.respond.formats import render
    from tarazu.respond.generate import generate

    settings = study.generation
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
            seed=derived_seed(study.seed, *replicate.uses("generate", sample)),
            progress=progress.update,
        )
        for prompt, response in zip(prompts, responses, strict=True):
            rows.append(
                {
                    "arm": replicate.arm,
                    "language": prompt.language,
                    "kind": prompt.kind,
                    "prompt_id": prompt.prompt_id,
                    "source": prompt.source,
                    "seed": replicate.seed,
                    "sample": sample,
                    "prompt": prompt.text,
                    "response": response.text,
                    "finish": response.finish,
                    "tokens": response.tokens,
                }
            )
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=RESPONSE_COLUMNS), temporary)
    notes = {
        "prompts shortened": shortened,
        "empty responses": sum(not row["response"] for row in rows),
        "responses cut by their budget": sum(row["finish"] == "length" for row in rows),
    }
    return {name: count for name, count in notes.items() if count}

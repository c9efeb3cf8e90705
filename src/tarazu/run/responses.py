"""Responses: every arm answers every prompt."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.rows import Prompt
from tarazu.files import atomic_file, digest
from tarazu.respond.engine import Request
from tarazu.respond.engines import engine_facts, open_engine
from tarazu.run.inputs import Inputs
from tarazu.run.progress import Progress
from tarazu.run.shards import answer_in_shards
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
    stages = []
    for replicate, model in zip(replicates(study), models, strict=True):
        facts = {"arm": model.fingerprint, **response_facts(study, inputs)}
        stages.append(
            Stage(
                name=f"responses:{replicate.name}",
                inputs=facts,
                outputs=[f"responses/{replicate.name}.parquet"],
                make=partial(_make_responses, study, replicate, inputs.prompts, out, digest(facts), progress),
            )
        )
    return stages


def response_facts(study: Study, inputs: Inputs) -> dict[str, Any]:
    """What responses hang on, beside the model that gives them."""
    return {
        "prompts": inputs.prompts_digest,
        "generation": study.generation.model_dump(mode="json"),
        "engine": engine_facts(study.generation, study.model.dtype),
        "dtype": study.model.dtype,
        **({"seed": study.seed} if study.generation.sampling else {}),
    }


def _make_responses(
    study: Study, replicate: Replicate, prompts: Sequence[Prompt], out: Path, of: str, progress: Progress
) -> dict[str, int]:
    from tarazu.align import checkpoints

    folder = out / "arms" / replicate.name
    options: dict[str, Any] = {"key": f"arms.{replicate.arm}", "trust_remote_code": study.model.trust_remote_code}
    return write_responses(
        out / "responses" / f"{replicate.name}.parquet",
        study,
        replicate,
        lambda: checkpoints.load_causal_lm(str(folder), dtype=study.model.dtype, **options),
        folder,
        prompts,
        of=of,
        progress=progress,
    )


def write_responses(
    path: Path,
    study: Study,
    replicate: Replicate,
    load_model: Callable[[], Any],
    folder: Path,
    prompts: Sequence[Prompt],
    *,
    of: str,
    progress: Progress,
) -> dict[str, int]:
    """Have a model answer every prompt, write its responses as those of `replicate`, and return counts of notes.

    `folder` holds the model's tokenizer and configuration; `of` is a digest of all that responses hang on.
    """
    from tarazu.align import checkpoints

    settings = study.generation
    options: dict[str, Any] = {"key": f"arms.{replicate.arm}", "trust_remote_code": study.model.trust_remote_code}
    tokenizer = checkpoints.load_tokenizer(str(folder), **options)
    room = checkpoints.positions(folder, trust_remote_code=study.model.trust_remote_code)
    requests, shortened = requests_of(study, replicate, prompts, tokenizer, room)
    shards = path.parent / f".{path.stem}.shards"
    responses, told = answer_in_shards(
        lambda: open_engine(load_model, tokenizer, settings, arm=replicate.name, folder=folder, scratch=path.parent),
        requests,
        folder=shards,
        of=of,
        progress=progress.update,
    )
    rows = [
        {
            "arm": replicate.arm,
            "language": prompt.language,
            "kind": prompt.kind,
            "prompt_id": prompt.prompt_id,
            "source": prompt.source,
            "seed": replicate.seed,
            "sample": index // len(prompts),
            "prompt": prompt.text,
            "response": response.text,
            "finish": response.finish,
            "tokens": response.tokens,
        }
        for index, (prompt, response) in enumerate(zip(list(prompts) * settings.samples, responses, strict=True))
    ]
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=RESPONSE_COLUMNS), temporary)
    shutil.rmtree(shards)
    notes = {
        "prompts shortened": shortened,
        "empty responses": sum(not row["response"] for row in rows),
        "responses cut by their budget": sum(row["finish"] == "length" for row in rows),
        **told,
    }
    return {name: count for name, count in notes.items() if count}


def requests_of(
    study: Study, replicate: Replicate, prompts: Sequence[Prompt], tokenizer: Any, positions: int | None
) -> tuple[list[Request], int]:
    """What is asked: every prompt for each sample, samples one after another; and how many prompts had to be shortened.

    `positions` is how many tokens the model has room for; None where it does not say. Where responses are sampled, each
    request has a seed of its own, from the sample's and the prompt's tokens.
    """
    from tarazu.respond.budgets import response_budgets
    from tarazu.respond.finish import fit_prompt
    from tarazu.respond.formats import prompt_text, render

    settings = study.generation
    budgets = response_budgets(settings, prompts, tokenizer)
    asked = []
    shortened = 0
    for prompt in prompts:
        budget = budgets[prompt.language]
        limit = min(settings.max_prompt_tokens, positions - budget if positions else settings.max_prompt_tokens)
        ids = render(prompt.text, settings, tokenizer)
        fitted = fit_prompt(ids, limit, tokenizer.bos_token_id)
        whole = len(fitted) == len(ids)
        shortened += not whole
        asked.append((fitted, budget, prompt_text(prompt.text, settings, tokenizer) if whole else ""))
    requests = []
    for sample in range(settings.samples):
        seed = derived_seed(study.seed, *replicate.uses("generate", sample))
        seen: Counter[tuple[int, ...]] = Counter()
        for fitted, budget, text in asked:
            own = derived_seed(seed, fitted, seen[fitted]) if settings.sampling else 0
            seen[fitted] += 1
            requests.append(Request(ids=fitted, budget=budget, text=text, seed=own))
    return requests, shortened

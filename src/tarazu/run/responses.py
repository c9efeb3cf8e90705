"""Responses: every arm answers every prompt, in shards, so that a run that is killed keeps the shards it finished."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import astuple, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tarazu.data.rows import Prompt
from tarazu.files import atomic_file, digest, reset_scratch, write_text
from tarazu.preregistration.conduct import BINDING
from tarazu.progress import OnProgress
from tarazu.respond.engine import Engine, Request, Response
from tarazu.respond.engines import engine_facts, open_engine
from tarazu.run.context import RunContext
from tarazu.run.lengths import generation_limits
from tarazu.run.preregistration.binding import bound_plan
from tarazu.run.stages import Cost, Parts, Stage
from tarazu.seeds import derived_seed
from tarazu.study import Study
from tarazu.study.replicates import Replicate

SHARD = 512
"""Requests per shard: few enough that a kill loses little, and enough for large batches."""

Opener = Callable[[], AbstractContextManager[Engine]]


def shard_files(requests: int, size: int = SHARD) -> list[str]:
    """The names of the shards' files, for this number of requests."""
    return [f"{number:05d}.json" for number in range(-(-requests // size))]


def answer_in_shards(
    open_engine: Opener,
    requests: Sequence[Request],
    *,
    folder: Path,
    fingerprint: str,
    progress: OnProgress,
    size: int = SHARD,
) -> tuple[list[Response], dict[str, int]]:
    """A response to each request, in the given order, and counts that a reader should know.

    Each shard is written to `folder` atomically when it is answered, and is not answered again. `fingerprint` is a
    digest of all that responses depend on; shards with another fingerprint are removed. The division into shards
    depends only on the lengths of the requests, so a run that was killed answers the same shards as one that was not.
    The engine is opened only if a shard is missing.
    """
    reset_scratch(folder, fingerprint)
    responses: list[Response | None] = [None] * len(requests)
    notes: Counter[str] = Counter()
    shards = _shards(requests, size)
    with ExitStack() as stack:
        engine: Engine | None = None
        for number, (name, indices) in enumerate(zip(shard_files(len(requests), size), shards, strict=True)):
            if not (folder / name).exists():
                engine = engine or stack.enter_context(open_engine())
                before = number * size
                _answer(engine, requests, indices, folder / name, _counted(progress, before, len(requests)))
            shard = json.loads((folder / name).read_text(encoding="utf-8"))
            notes.update(shard["notes"])
            for i, (text, finish, tokens) in zip(indices, shard["responses"], strict=True):
                responses[i] = Response(text=text, finish=finish, tokens=tokens)
    return [one for one in responses if one is not None], dict(notes)


def answer_shard(
    open_engine: Opener,
    requests: Sequence[Request],
    number: int,
    *,
    folder: Path,
    progress: OnProgress,
    size: int = SHARD,
) -> None:
    """Answer one shard of `requests` into `folder`, which must not contain shards of other requests."""
    indices = _shards(requests, size)[number]
    with open_engine() as engine:
        _answer(engine, requests, indices, folder / shard_files(len(requests), size)[number], progress)


def _shards(requests: Sequence[Request], size: int) -> list[list[int]]:
    """The indices of each shard's requests."""
    # Longest first: the requests of a shard have similar lengths, and a lack of memory shows at once.
    order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].ids) - requests[i].budget, i))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _answer(
    engine: Engine, requests: Sequence[Request], indices: Sequence[int], path: Path, progress: OnProgress
) -> None:
    responses, counts = engine.answer([requests[i] for i in indices], progress)
    shard = {"responses": [astuple(one) for one in responses], "notes": counts}
    write_text(path, json.dumps(shard, ensure_ascii=False))


def _counted(progress: OnProgress, before: int, total: int) -> OnProgress:
    return lambda done, _, state: progress(before + done, total, state)


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
        ("reasoning", pa.string()),
        ("unfinished_reasoning", pa.bool_()),
        ("finish", pa.string()),
        ("tokens", pa.int64()),
        ("shortened", pa.bool_()),
    ]
)


def response_stages(context: RunContext, models: Mapping[Replicate, Stage]) -> list[Stage]:
    """One stage per replicate of an arm, which writes its responses to every prompt. `models` are the stages that make
    the arms."""
    return [
        response_stage(
            context,
            f"responses:{replicate.name}",
            _answerer(context, replicate),
            target=f"responses/{replicate.name}.parquet",
            models={"arm": model},
        )
        for replicate, model in models.items()
    ]


def _answerer(context: RunContext, replicate: Replicate) -> Answerer:
    from tarazu.align import checkpoints

    study, folder = context.study, context.out / "arms" / replicate.name
    options: dict[str, Any] = {"key": f"arms.{replicate.arm}", "trust_remote_code": study.model.trust_remote_code}
    return Answerer(
        study=study,
        replicate=replicate,
        load_model=lambda: checkpoints.load_causal_lm(str(folder), dtype=study.model.dtype, **options),
        folder=folder,
        prompts=context.inputs.prompts,
    )


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """A model that answers every prompt of a study, as `replicate`. `folder` holds its tokenizer and configuration."""

    study: Study
    replicate: Replicate
    load_model: Callable[[], Any]
    folder: Path
    prompts: Sequence[Prompt]
    check: Callable[[], None] = lambda: None
    """Called before the first request; raises BadInput."""

    def prepare(self, scratch: Path) -> tuple[Opener, list[Request], list[bool]]:
        """A function that opens the engine, the requests, and which prompts had to be shortened."""
        from tarazu.align import checkpoints

        self.check()
        study, arm = self.study, self.replicate.arm
        remote = study.model.trust_remote_code
        tokenizer = checkpoints.load_tokenizer(str(self.folder), key=f"arms.{arm}", trust_remote_code=remote)
        room = checkpoints.positions(str(self.folder), key=f"arms.{arm}", trust_remote_code=remote)
        requests, shortened = requests_of(study, self.replicate, self.prompts, tokenizer, room)
        names: dict[str, Any] = {"arm": self.replicate.name, "folder": self.folder, "scratch": scratch}
        return partial(open_engine, self.load_model, tokenizer, study.generation, **names), requests, shortened


def response_stage(
    context: RunContext,
    name: str,
    answerer: Answerer,
    *,
    target: str,
    models: Mapping[str, Stage],
    facts: Mapping[str, Any] | None = None,
) -> Stage:
    """The stage that writes a model's responses to `target`. `models` are the stages of the checkpoints that the model
    is made from, and `facts` are its other inputs, both by their names in the stage's inputs."""
    study, path = context.study, context.out / target

    @cache
    def inputs() -> dict[str, Any]:
        return {
            **{key: model.fingerprint for key, model in models.items()},
            **(facts or {}),
            "prompts": context.inputs.prompts_digest,
            "generation": study.generation.model_dump(mode="json"),
            "engine": engine_facts(study.generation, study.model.dtype),
            "dtype": study.model.dtype,
            **({"seed": study.seed} if study.generation.sampling else {}),
            **({"preregistration": bound} if (bound := bound_plan(context.out)) else {}),
        }

    return Stage(
        name=name,
        inputs=inputs,
        outputs=[target],
        make=lambda: write_responses(
            path, answerer, digest(inputs()), context.progress.update, bound_plan(context.out)
        ),
        after=[model.name for model in models.values()],
        cost=lambda: _cost(context),
        parts=Parts(
            folder=_shards_folder(path),
            fingerprint=lambda: digest(inputs()),
            files=shard_files(len(answerer.prompts) * study.generation.samples),
            make=partial(_make_shard, answerer, path, context.progress.update),
        ),
    )


@contextmanager
def _naming_prompt(answerer: Answerer, requests: Sequence[Request]) -> Iterator[None]:
    """Name arm and prompt where the model's logits are not finite."""
    from tarazu.errors import NotFinite

    try:
        yield
    except NotFinite as fault:
        place = next(place for place, request in enumerate(requests) if request.ids == fault.tokens)
        prompt = answerer.prompts[place % len(answerer.prompts)]
        text = f"the prompt {prompt.prompt_id} ({prompt.language}, {prompt.kind})"
        raise fault.at(f"arms.{answerer.replicate.name}", text) from None


def _shards_folder(path: Path) -> Path:
    """The folder of the shards of `path` until all are answered."""
    return path.parent / f".{path.stem}.shards"


def _make_shard(answerer: Answerer, path: Path, progress: OnProgress, number: int) -> None:
    opener, requests, _ = answerer.prepare(path.parent)
    with _naming_prompt(answerer, requests):
        answer_shard(opener, requests, number, folder=_shards_folder(path), progress=progress)


def _cost(context: RunContext) -> Cost:
    """2 operations per weight and token, with every response at its longest."""
    from tarazu.align.checkpoints import load_tokenizer
    from tarazu.conversation.formats import conversation, format_of
    from tarazu.respond.budgets import response_budgets

    study, prompts = context.study, context.inputs.prompts
    samples = study.generation.samples
    words = f"{len(prompts) * samples} responses"
    if context.parameters is None:
        return Cost(work=words)
    tokenizer = load_tokenizer(study.model.path, key="model.path", revision=study.model.revision)
    budgets = response_budgets(study.generation, prompts, tokenizer)
    form = format_of(study.generation, tokenizer, study.model.path)
    own = sum(len(prompt.ids) for prompt in form.prompts([conversation(prompt) for prompt in prompts]))
    tokens = own + sum(budgets[prompt.language] for prompt in prompts)
    gflop = 2 * context.parameters * tokens * samples / 1e9
    return Cost(work=f"{words}, at most {tokens * samples:,} tokens", gflop=gflop)


def write_responses(
    path: Path, answerer: Answerer, fingerprint: str, progress: OnProgress, plan: str | None = None
) -> dict[str, int]:
    """Let a model answer every prompt, write its responses, and return counts that a reader should know.

    `fingerprint` is a digest of all that responses depend on, and `plan` that of the plan that they are bound to.
    """
    from tarazu.respond.reasoning import split_reasoning

    shards = _shards_folder(path)
    opener, requests, shortened = answerer.prepare(path.parent)
    with _naming_prompt(answerer, requests):
        responses, counts = answer_in_shards(
            opener, requests, folder=shards, fingerprint=fingerprint, progress=progress
        )
    replicate, prompts = answerer.replicate, answerer.prompts
    parts = [split_reasoning(one.text, opened=request.opened) for one, request in zip(responses, requests, strict=True)]
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
            "response": parts[index].answer,
            "reasoning": parts[index].reasoning,
            "unfinished_reasoning": parts[index].unfinished,
            "finish": response.finish,
            "tokens": response.tokens,
            "shortened": shortened[index % len(prompts)],
        }
        for index, (prompt, response) in enumerate(
            zip(list(prompts) * answerer.study.generation.samples, responses, strict=True)
        )
    ]
    schema = RESPONSE_COLUMNS if plan is None else RESPONSE_COLUMNS.with_metadata({BINDING: plan.encode()})
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)
    shutil.rmtree(shards)
    notes = {
        "prompts shortened": sum(shortened),
        "responses without an answer after their reasoning": sum(part.unfinished for part in parts),
        "empty responses": sum(not row["response"] for row in rows),
        "responses truncated at their length limit": sum(row["finish"] == "length" for row in rows),
        **counts,
    }
    return {name: count for name, count in notes.items() if count}


def requests_of(
    study: Study, replicate: Replicate, prompts: Sequence[Prompt], tokenizer: Any, positions: int | None
) -> tuple[list[Request], list[bool]]:
    """The requests, all prompts of one sample after those of another, and which prompts had to be shortened.

    `positions` is the number of tokens that the model has room for; None if it has no limit. Where responses are
    sampled, each request has its own seed, derived from the sample and the prompt's tokens. Raises BadInput if a
    language has no room.
    """
    from tarazu.conversation.formats import conversation, format_of
    from tarazu.respond.finish import fit_prompt
    from tarazu.respond.reasoning import opens_reasoning

    settings = study.generation
    limits = generation_limits(settings, prompts, tokenizer, positions, f"arms.{replicate.arm}")
    fitted_prompts = []
    shortened = []
    form = format_of(settings, tokenizer, f"arms.{replicate.arm}")
    for prompt, whole in zip(prompts, form.prompts([conversation(prompt) for prompt in prompts]), strict=True):
        fitted = fit_prompt(whole.ids, limits.prompts[prompt.language], tokenizer.bos_token_id)
        shortened.append(len(fitted) < len(whole.ids))
        text = "" if shortened[-1] else whole.text
        fitted_prompts.append((fitted, limits.budgets[prompt.language], text, opens_reasoning(whole.text)))
    requests = []
    for sample in range(settings.samples):
        seed = derived_seed(study.seed, *replicate.uses("generate", sample))
        seen: Counter[tuple[int, ...]] = Counter()
        for fitted, budget, text, opened in fitted_prompts:
            own = derived_seed(seed, fitted, seen[fitted]) if settings.sampling else 0
            seen[fitted] += 1
            requests.append(Request(ids=fitted, budget=budget, text=text, seed=own, opened=opened))
    return requests, shortened

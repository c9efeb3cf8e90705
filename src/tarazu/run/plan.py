"""`tarazu plan`: the stages of a study, which are done, and what the others cost, before anything is spent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tarazu.progress import Progress
from tarazu.run.capability import capability_stages, read_tasks
from tarazu.run.facts import checkpoint_identities
from tarazu.run.foresight import foresee, foresight_text
from tarazu.run.frontier import frontier_response_stages
from tarazu.run.inputs import Inputs, read_inputs
from tarazu.run.lengths import check_lengths
from tarazu.run.responses import response_stages
from tarazu.run.rewards import reward_stage_names, reward_stages
from tarazu.run.stages import Stage, done_before
from tarazu.run.training import arm_stages, reward_model_stages, trained_identities
from tarazu.study import LoadedStudy, Study
from tarazu.study.replicates import Replicate, parent_of, replicates
from tarazu.study.schema import DPOArm, ReadyArm
from tarazu.summary import sources_read


def plan(loaded: LoadedStudy, out: Path, pilot: Path | None = None) -> dict[str, Any]:
    """What `tarazu run` would do in `out`.

    `stages` is a list of {name, state, work, gflop}: state is `done`, `to do`, or `later` where it hangs on responses
    that are not there; work is in words; gflop, in 1e9 floating-point operations, is null where it is not known.
    `parameters` is the model's, null where its weights are not on this machine. `power` is what `foresee` says, with
    the components of variance of the run `pilot`. `shortened` counts the prompts that are too long for a model, by
    language and kind. Raises BadInput where a length of the study leaves a language no room.
    """
    study = loaded.study
    identities = checkpoint_identities(study)
    inputs = read_inputs(study)
    shortened = check_lengths(study, inputs)
    tasks = read_tasks(study)
    quiet = Progress()
    parameters = _parameters(study)
    arms = arm_stages(study, inputs, out, identities, quiet)
    responses = response_stages(study, inputs, out, arms, quiet)
    responses += frontier_response_stages(study, inputs, out, arms, quiet)
    rows = [
        _row(out, stage, *_training_work(study, replicate, inputs, parameters))
        for replicate, stage in zip(replicates(study), arms, strict=True)
    ]
    rows += [_row(out, stage, *_response_work(study, inputs, parameters)) for stage in responses]
    if tasks is not None:
        words = f"{tasks.requests} texts of {len(tasks.tasks)} tasks"
        rows += [_row(out, stage, words, None) for stage in capability_stages(study, tasks, out, arms, quiet)]
    judges = reward_model_stages(study, inputs, out, identities, quiet)
    rows += [_row(out, stage, f"{len(inputs.reward_pairs)} pairs", None) for stage in judges]
    identities |= trained_identities(study, judges)
    if all(done_before(out, stage) for stage in responses):
        rows += [_row(out, stage, "", None) for stage in reward_stages(study, inputs, out, identities, quiet)]
    else:
        texts = f"at most {len(inputs.prompts) * study.generation.samples} texts"
        rows += [{"name": name, "state": "later", "work": texts, "gflop": None} for name in reward_stage_names(study)]
        known = f"{2 * len(inputs.known_answers)} texts"
        rows.append({"name": "known_answers", "state": "later", "work": known, "gflop": None})
    return {
        "study": study.name,
        "parameters": parameters,
        "languages": sorted({prompt.language for prompt in inputs.prompts}),
        "stages": rows,
        "shortened": [asdict(row) for row in shortened],
        "data": inputs.account,
        "power": foresee(study, inputs.prompts, pilot),
    }


def plan_text(found: dict[str, Any]) -> str:
    """The plan for a terminal."""
    model = f"{found['parameters']:,} parameters" if found["parameters"] else "a model that is not on this machine yet"
    lines = [f"{found['study']}: {model}, {len(found['languages'])} languages: {' '.join(found['languages'])}", ""]
    width = max(22, *(len(row["name"]) + 2 for row in found["stages"]))
    for row in found["stages"]:
        cost = f"{row['gflop']:,.0f} GFLOP" if row["gflop"] else ""
        lines.append(f"{row['name']:<{width}}{row['state']:<8}{row['work']:<46}{cost}".rstrip())
    for row in found["shortened"]:
        lines.append(
            f"{row['model']}: {row['shortened']} of {row['n']} {row['kind']} prompts in {row['language']} are too long "
            "and will be shortened"
        )
    for what, account in sources_read(found["data"]):
        dropped = ", ".join(f"{count} {reason}" for reason, count in account["dropped"].items())
        lines.append(
            f"{what}: {account['source']}: {account['kept']} of {account['read']} rows"
            + (f"; dropped: {dropped}" if dropped else "")
        )
    return "\n".join(lines) + "\n" + foresight_text(found["power"])


def _row(out: Path, stage: Stage, work: str, gflop: float | None) -> dict[str, Any]:
    return {
        "name": stage.name,
        "state": "done" if done_before(out, stage) else "to do",
        "work": work,
        "gflop": gflop,
    }


def _parameters(study: Study) -> int | None:
    """Weights of the model, counted in the headers of its safetensors files."""
    from safetensors import safe_open

    from tarazu.align.checkpoints import is_local, resolve

    if not is_local(study.model.path):
        return None
    total = 0
    for file in sorted(Path(resolve(study.model.path, "model.path")).glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (not a dict: it has no __iter__)
                count = 1
                for size in weights.get_slice(name).get_shape():
                    count *= size
                total += count
    return total


def _training_work(
    study: Study, replicate: Replicate, inputs: Inputs, parameters: int | None
) -> tuple[str, float | None]:
    """A training stage in words and in GFLOP: 6 per weight and token trained on, 2 per token of the reference pass
    (Kaplan et al. 2020, arXiv 2001.08361, sec. 2.1; attention left out)."""
    from tarazu.align.checkpoints import load_tokenizer
    from tarazu.align.packing import documents_of
    from tarazu.align.tokens import tokenize_pairs

    settings = study.arms[replicate.arm]
    if isinstance(settings, ReadyArm):
        return "a copy of the checkpoint", None
    if parameters is None:
        return f"{len(inputs.pairs[replicate.arm])} pairs, {settings.epochs:g} epochs", None
    tokenizer = load_tokenizer(study.model.path, key="model.path", revision=study.model.revision)
    pairs, _ = tokenize_pairs(inputs.pairs[replicate.arm], tokenizer, max_length=settings.max_length)
    # A pair's prompt is computed once for both of its answers.
    tokens = sum(document.tokens for document in documents_of(pairs, settings))
    parent = parent_of(study, replicate)
    # Where a further seed starts from the same model as the first, its reference is found again.
    stored = replicate.seed > 0 and (parent is None or parent.seed == 0)
    passes = 6 * settings.epochs + (2 if isinstance(settings, DPOArm) and not stored else 0)
    gflop = passes * parameters * tokens / 1e9
    return f"{len(pairs)} pairs, {tokens:,} tokens, {settings.epochs:g} epochs", gflop


def _response_work(study: Study, inputs: Inputs, parameters: int | None) -> tuple[str, float | None]:
    """A response stage in words and in GFLOP: 2 per weight and token, every response as long as it may be."""
    from tarazu.align.checkpoints import load_tokenizer
    from tarazu.respond.budgets import response_budgets
    from tarazu.respond.formats import render

    samples = study.generation.samples
    words = f"{len(inputs.prompts) * samples} responses"
    if parameters is None:
        return words, None
    tokenizer = load_tokenizer(study.model.path, key="model.path", revision=study.model.revision)
    budgets = response_budgets(study.generation, inputs.prompts, tokenizer)
    tokens = sum(
        len(render(prompt.text, study.generation, tokenizer)) + budgets[prompt.language] for prompt in inputs.prompts
    )
    return f"{words}, at most {tokens * samples:,} tokens", 2 * parameters * tokens * samples / 1e9

"""The trainings of a study: its arms (one checkpoint per training seed) and its own reward model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from tarazu.files import digest, reset_scratch
from tarazu.progress import OnProgress
from tarazu.run.context import RunContext, torch_facts
from tarazu.run.stages import Cost, Stage
from tarazu.seeds import derived_seed
from tarazu.study.replicates import Replicate, parent_of, replicates
from tarazu.study.schema import DPOArm, ReadyArm, SFTArm

REWARD_MODEL = "reward_model"
"""The name and the output of the stage that trains the study's reward model."""

_TENSORBOARD = "TENSORBOARD_LOGGING_DIR"


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """A trained model and what is saved with it. `base` is the model that it was trained from: a checkpoint's name, or
    a path relative to its own folder."""

    model: Any
    tokenizer: Any
    base: str
    card: str
    curve: list[dict[str, float]]
    notes: dict[str, int]


# --- arms ----------------------------------------------------------------------------------------------------------


def training_stages(context: RunContext) -> dict[Replicate, Stage]:
    """The stages that make the arms, one per replicate, in the order of `replicates`."""
    made: dict[Replicate, Stage] = {}
    for replicate in replicates(context.study):
        parent = parent_of(context.study, replicate)
        made[replicate] = _arm_stage(context, replicate, None if parent is None else made[parent])
    return made


def _arm_stage(context: RunContext, replicate: Replicate, parent: Stage | None) -> Stage:
    """The stage that makes an arm. `parent` is the stage of the arm that it starts from."""
    study, arm = context.study, replicate.arm
    settings = study.arms[arm]

    @cache
    def inputs() -> dict[str, Any]:
        start: Any
        if parent is not None:
            start = parent.fingerprint
        else:
            start = context.identities.get(f"arms.{arm}.from", context.identities["model.path"])
        trained = not isinstance(settings, ReadyArm)
        return {
            "start": start,
            "arm": settings.model_dump(mode="json", exclude={"pairs"}),
            "model": study.model.model_dump(mode="json", exclude={"path"}),
            "study": [study.name, study.caution],  # on the model card
            **({"pairs": context.inputs.pairs_digest(arm), "seed": study.seed} if trained else {}),
            **({"format": [study.generation.prompt_format, study.generation.template]} if trained else {}),
            "machine": torch_facts(),
        }

    return Stage(
        name=f"arm:{replicate.name}",
        inputs=inputs,
        outputs=[f"arms/{replicate.name}"],
        make=lambda: _make_arm(context, replicate, digest(inputs())),
        after=[parent.name] if parent is not None else (),
        cost=lambda: _training_cost(context, replicate),
        every_process=True,
    )


def _make_arm(context: RunContext, replicate: Replicate, fingerprint: str) -> dict[str, int]:
    """Make one arm's checkpoint. `fingerprint` is the digest of the stage's inputs."""
    from tarazu.align.processes import from_leader

    def train(unfinished: Path) -> _Trained:
        from_leader(lambda: replicate)  # received by `run_worker_loop`
        return _train_arm(context, replicate, unfinished, context.progress.update)

    return _save_trained(context, replicate.name, f"arms/{replicate.name}", fingerprint, train)


def run_worker_loop(context: RunContext) -> None:
    """Take part in each training that the first process of an `accelerate launch` begins, until there are no more."""
    from tarazu.align.processes import from_leader

    while (replicate := from_leader(lambda: Replicate(arm=""))) is not None:
        _train_arm(context, replicate, _unfinished(context, replicate.name), lambda *_: None)


def release_workers() -> None:
    """Let the other processes end, since there is no more training, and continue alone."""
    from tarazu.align.processes import from_leader, leave_process_group

    from_leader(lambda: None)
    leave_process_group()


def _train_arm(context: RunContext, replicate: Replicate, unfinished: Path, progress: OnProgress) -> _Trained:
    """Load the model that an arm starts from and train it. Every process of a launch calls this in the same way."""
    from tarazu.align import checkpoints
    from tarazu.align.cards import model_card
    from tarazu.align.reference import reference_log_probs
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.align.train import train
    from tarazu.align.trainer import TrainingRun
    from tarazu.conversation.formats import format_of
    from tarazu.conversation.tokens import declare_ends, padding_id

    study, out = context.study, context.out
    arm, parent = replicate.arm, parent_of(study, replicate)
    settings = study.arms[arm]
    trained = not isinstance(settings, ReadyArm)
    start = str(out / "arms" / parent.name) if parent else settings.from_ or study.model.path
    options: dict[str, Any] = {"key": f"arms.{arm}.from" if settings.from_ else "model.path"}
    if start == study.model.path:
        options |= {"revision": study.model.revision, "trust_remote_code": study.model.trust_remote_code}
    tokenizer = checkpoints.load_tokenizer(start, **options)
    # Weights are trained in float32 regardless of the study's precision: 16 bits would round small steps away.
    model = checkpoints.load_causal_lm(start, dtype="float32" if trained else study.model.dtype, **options)
    declare_ends(model, tokenizer)
    saved: dict[str, Any] = {
        "tokenizer": tokenizer,
        "base": f"../{parent.name}" if parent else start,
        "card": model_card(study, replicate, context.inputs.pairs.get(arm, ())),
    }
    if isinstance(settings, ReadyArm):
        return _Trained(model=model, curve=[], notes={}, **saved)
    pairs, notes = tokenize_pairs(
        context.inputs.pairs[arm],
        format_of(study.generation, tokenizer, start),
        max_length=settings.max_length,
        by_turns=isinstance(settings, SFTArm),
    )
    training = TrainingRun(
        pad_id=padding_id(model, tokenizer),
        seed=derived_seed(study.seed, *replicate.uses("train", arm)),
        progress=progress,
        use_bf16=study.model.dtype == "bfloat16",
        folder=unfinished,
        report_to=context.report_to,
    )
    reference = None
    with _naming_text(f"arms.{replicate.name}", tokenizer):
        if isinstance(settings, DPOArm):
            reference = reference_log_probs(model, pairs, training, store=out / "reference", facts=torch_facts())
        model, curve = train(model, pairs, settings, training, reference=reference)
    return _Trained(model=model, curve=curve, notes=notes, **saved)


def _training_cost(context: RunContext, replicate: Replicate) -> Cost:
    """6 operations per weight and token trained on, 2 per token of the reference pass, without attention (Kaplan et al.
    2020, arXiv 2001.08361, sec. 2.1)."""
    from tarazu.align.checkpoints import load_tokenizer
    from tarazu.align.rows.documents import documents_of
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.conversation.formats import format_of

    study = context.study
    settings = study.arms[replicate.arm]
    if isinstance(settings, ReadyArm):
        return Cost(work="a copy of the checkpoint")
    rows = context.inputs.pairs[replicate.arm]
    if context.parameters is None:
        return Cost(work=f"{len(rows)} pairs, {settings.epochs:g} epochs")
    tokenizer = load_tokenizer(study.model.path, key="model.path", revision=study.model.revision)
    form = format_of(study.generation, tokenizer, study.model.path)
    pairs, _ = tokenize_pairs(rows, form, max_length=settings.max_length)
    # A pair's prompt is computed once for both of its answers.
    tokens = sum(document.tokens for document in documents_of(pairs, settings))
    parent = parent_of(study, replicate)
    # A further seed that starts from the same model as the first uses the same reference.
    stored = replicate.seed > 0 and (parent is None or parent.seed == 0)
    passes = 6 * settings.epochs + (2 if isinstance(settings, DPOArm) and not stored else 0)
    gflop = passes * context.parameters * tokens / 1e9
    return Cost(work=f"{len(pairs)} pairs, {tokens:,} tokens, {settings.epochs:g} epochs", gflop=gflop)


# --- the reward model ----------------------------------------------------------------------------------------------


def reward_model_stage(context: RunContext) -> Stage | None:
    """The stage that trains the study's reward model; None if it trains none."""
    study, settings = context.study, context.study.reward.train
    if settings is None:
        return None

    @cache
    def inputs() -> dict[str, Any]:
        return {
            "start": context.identities["reward.train.from"],
            "settings": settings.model_dump(mode="json", exclude={"pairs"}),
            "format": study.reward.trained_format(),
            "pairs": digest([asdict(pair) for pair in context.inputs.reward_pairs]),
            "seed": study.seed,
            "study": [study.name, study.caution],  # on the model card
            "machine": torch_facts(),
        }

    return Stage(
        name=REWARD_MODEL,
        inputs=inputs,
        outputs=[REWARD_MODEL],
        make=lambda: _save_trained(
            context, REWARD_MODEL, REWARD_MODEL, digest(inputs()), partial(_train_reward_model, context)
        ),
        cost=lambda: Cost(work=f"{len(context.inputs.reward_pairs)} pairs"),
    )


def _train_reward_model(context: RunContext, unfinished: Path) -> _Trained:
    from tarazu.align import checkpoints
    from tarazu.align.cards import reward_card
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.align.train import train_reward_model
    from tarazu.align.trainer import TrainingRun
    from tarazu.conversation.formats import Format
    from tarazu.conversation.tokens import padding_id

    study, settings = context.study, context.study.reward.train
    assert settings is not None
    options: dict[str, Any] = {"key": "reward.train.from"}
    seed = derived_seed(study.seed, "train", REWARD_MODEL)
    tokenizer = checkpoints.load_tokenizer(settings.from_, **options)
    model = checkpoints.load_reward_start(settings.from_, seed=seed, **options)
    # For whoever uses the saved model: transformers looks for the last token of a row by it.
    model.config.pad_token_id = padding_id(model, tokenizer)
    # The same format as in scoring, where no end token of ours follows the response.
    form = Format(tokenizer, study.reward.trained_format(), model=settings.from_, key="reward.train")
    pairs, notes = tokenize_pairs(
        context.inputs.reward_pairs, form, max_length=settings.max_length, add_end_token=False
    )
    training = TrainingRun(
        pad_id=padding_id(model, tokenizer),
        seed=seed,
        progress=context.progress.update,
        use_bf16=study.model.dtype == "bfloat16",
        folder=unfinished,
        report_to=context.report_to,
    )
    with _naming_text("reward.train", tokenizer):
        model, curve = train_reward_model(model, pairs, settings, training, centre=settings.centre)
    return _Trained(
        model=checkpoints.merged(model),
        tokenizer=tokenizer,
        base=settings.from_,
        card=reward_card(study, len(pairs)),
        curve=curve,
        notes=notes,
    )


# --- both ----------------------------------------------------------------------------------------------------------


def _save_trained(
    context: RunContext, name: str, target: str, fingerprint: str, train: Callable[[Path], _Trained]
) -> dict[str, int]:
    """Train a model, save it in the folder `target` of the run, and return the counts of its training.

    `fingerprint` is the digest of the stage's inputs. An unfinished training of an earlier run is resumed if it has the
    same fingerprint, and removed otherwise.
    """
    from tarazu.align import checkpoints

    unfinished = _unfinished(context, name)
    reset_scratch(unfinished, fingerprint)
    with _logging_below(context.out / "logs" / name):
        trained = train(unfinished)
    checkpoints.save_trained(
        trained.model,
        trained.tokenizer,
        context.out / target,
        base=trained.base,
        card=trained.card,
        curve=trained.curve,
    )
    shutil.rmtree(unfinished, ignore_errors=True)
    return trained.notes


@contextmanager
def _naming_text(model: str, tokenizer: Any) -> Iterator[None]:
    """Name the model and the text for which it gives numbers that are not finite."""
    from tarazu.errors import NotFinite

    try:
        yield
    except NotFinite as fault:
        raise fault.at_tokens(model, tokenizer) from None


def _unfinished(context: RunContext, name: str) -> Path:
    """The folder of the checkpoints of an unfinished training."""
    return context.out / ".training" / name


@contextmanager
def _logging_below(folder: Path) -> Iterator[None]:
    """Have TensorBoard's files written to `folder` within the context, unless the environment names another folder.

    transformers would write them beside the checkpoints of the training, which are removed when it is done.
    """
    if _TENSORBOARD in os.environ:
        yield
        return
    os.environ[_TENSORBOARD] = str(folder)
    try:
        yield
    finally:
        del os.environ[_TENSORBOARD]

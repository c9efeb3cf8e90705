"""One arm's training: a model and token pairs in, the trained model and its curve out."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from accelerate import PartialState
from torch import Tensor

from tarazu.align.attention import attending_within_trees
from tarazu.align.checkpoints import without_word_of_checkpointing
from tarazu.align.flops import cost, peak_of
from tarazu.align.forward import Score, branch_log_probs, branch_rewards, can_be_packed
from tarazu.align.memory import frozen_in_bfloat16, keeping_freed_memory
from tarazu.align.objectives import Objective, bradley_terry, objective_of
from tarazu.align.packing import Document, documents_of, row_multiple
from tarazu.align.processes import from_leader
from tarazu.align.reference import reference_log_probs
from tarazu.align.schedule import Row, schedule
from tarazu.align.tokens import TokenPair
from tarazu.align.trainer import (
    CHECKPOINT_SECONDS,
    AlignmentTrainer,
    Collator,
    Reporting,
    Rows,
    arguments,
    last_whole_checkpoint,
)
from tarazu.errors import BadInput
from tarazu.progress import OnProgress
from tarazu.seeds import repeatable_sums
from tarazu.study.schema import DPOArm, SFTArm, SimPOArm, Training

_DROPOUT_ATTRIBUTES = ("dropout", "attention_dropout", "activation_dropout")


def train(
    model: Any,
    pairs: Sequence[TokenPair],
    settings: SFTArm | DPOArm | SimPOArm,
    *,
    pad_id: int,
    seed: int,
    progress: OnProgress,
    half: bool = False,
    reference: Tensor | None = None,
    folder: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    report_to: Sequence[str] = (),
) -> tuple[Any, list[dict[str, float]]]:
    """Train `model` in place (or an adapter on it) and return it with its training curve.

    `reference` (pairs, 2) holds log-probabilities of the model that training starts from, for a method that needs
    them; computed here where not given. `half`: arithmetic in bfloat16 on CUDA, weights in float32. `folder` keeps
    checkpoints; training goes on from the last one in it.

    The curve has a row per logged step: step, epoch, loss, learning_rate, grad_norm and, for pairs, the means over the
    logged interval of reward_chosen, reward_rejected, reward_margin and reward_accuracy.
    """
    if isinstance(settings, DPOArm) and reference is None:
        reference = reference_log_probs(model, pairs, pad_id=pad_id, progress=progress, half=half)
    return _fit(
        _adapted(model, settings, peft.TaskType.CAUSAL_LM, seed),
        documents_of(pairs, settings),
        settings,
        score=branch_log_probs,
        objective=objective_of(settings),
        reference=reference,
        by_token=isinstance(settings, SFTArm),
        pad_id=pad_id,
        seed=seed,
        progress=progress,
        half=half,
        folder=folder,
        checkpoint_seconds=checkpoint_seconds,
        report_to=report_to,
    )


def train_reward_model(
    model: Any,
    pairs: Sequence[TokenPair],
    settings: Training,
    *,
    centre: float,
    pad_id: int,
    seed: int,
    progress: OnProgress,
    half: bool = False,
    folder: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    report_to: Sequence[str] = (),
) -> tuple[Any, list[dict[str, float]]]:
    """Train a sequence-classification model to prefer chosen over rejected (Bradley and Terry 1952).

    `centre` weighs the squared sum of the two rewards, which keeps their midpoint near 0. Returns the model and its
    curve, as `train` does.
    """
    return _fit(
        _adapted(model, settings, peft.TaskType.SEQ_CLS, seed),
        documents_of(pairs, settings),
        settings,
        score=branch_rewards,
        objective=partial(bradley_terry, centre=centre),
        reference=None,
        by_token=False,
        pad_id=pad_id,
        seed=seed,
        progress=progress,
        half=half,
        folder=folder,
        checkpoint_seconds=checkpoint_seconds,
        report_to=report_to,
    )


def _fit(
    model: Any,
    documents: Sequence[Document],
    settings: Training,
    *,
    score: Score,
    objective: Objective,
    reference: Tensor | None,
    by_token: bool,
    pad_id: int,
    seed: int,
    progress: OnProgress,
    half: bool,
    folder: Path | None,
    checkpoint_seconds: float,
    report_to: Sequence[str],
) -> tuple[Any, list[dict[str, float]]]:
    processes = PartialState().num_processes
    plan = schedule(
        [document.tokens for document in documents],
        [document.predicted if by_token else 1 for document in documents],
        per_step=settings.batch_size * settings.gradient_accumulation,
        epochs=settings.epochs,
        row_tokens=settings.row_tokens,
        seed=seed,
        processes=processes,
    )
    packed = can_be_packed(model, documents, score, pad_id)
    if not packed:
        progress(0, len(plan.steps), f"{type(model).__name__} cannot be packed: padded batches,")
    half = half and model.device.type == "cuda"
    peak = peak_of(model.device, torch.bfloat16 if half else torch.float32, processes)
    each = cost(model)
    work = [_work(step, documents, each.step) for step in plan.steps]
    # Under FSDP the model's weights are shared out over the processes; this keeps its form.
    shell = copy.deepcopy(model) if os.environ.get("ACCELERATE_USE_FSDP") == "true" else None
    transformers.set_seed(seed)
    with (
        tempfile.TemporaryDirectory() as scratch,
        _dropout(model, settings.model_dropout),
        _recomputing(model, settings.gradient_checkpointing),
        keeping_freed_memory(),
        repeatable_sums() if model.device.type == "cuda" else nullcontext(),
        frozen_in_bfloat16(model) if half else nullcontext(),
        attending_within_trees(model) if packed else nullcontext(),
    ):
        trainer = AlignmentTrainer(
            model=model,
            args=arguments(
                settings,
                plan,
                seed=seed,
                folder=folder or Path(scratch),
                half=half,
                processes=processes,
                report_to=report_to,
            ),
            train_dataset=Rows(plan.steps),
            data_collator=Collator(
                documents=documents,
                reference=reference,
                packed=packed,
                pad_id=pad_id,
                multiple=row_multiple(model.device),
            ),
            callbacks=[Reporting(progress, work, peak, checkpoint_seconds)],
            score=score,
            objective=objective,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train(resume_from_checkpoint=from_leader(lambda: last_whole_checkpoint(folder) if folder else None))
        history = trainer.state.log_history
    curve = [{**row, "epoch": row["step"] / plan.per_epoch} for row in history if "loss" in row]
    if shell is not None:
        shell.load_state_dict(trainer.accelerator.get_state_dict(trainer.model), strict=False)
        return shell.eval(), curve
    # Without what casts a pass to bfloat16: the model will be asked in its own precision.
    return trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).eval(), curve


def _work(step: Sequence[Row], documents: Sequence[Document], operations: Any) -> tuple[int, int, float]:
    """Documents, tokens and floating-point operations of a step."""
    chosen = [documents[index] for row in step if row.weight for index in row.documents]
    return len(chosen), sum(document.tokens for document in chosen), sum(map(operations, chosen))


def _adapted(model: Any, settings: Training, task: Any, seed: int) -> Any:
    """The model itself, or a new LoRA adapter on it (Hu et al. 2021), drawn by `seed`, whose base stays frozen."""
    if settings.lora is None:
        return model
    transformers.set_seed(seed)  # or the adapter's first weights would hang on what was drawn before
    lora = settings.lora
    config = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type=task,
    )
    try:
        with without_word_of_checkpointing():
            return peft.get_peft_model(model, config)
    except ValueError as error:
        raise BadInput(f"lora.target_modules: {', '.join(lora.target_modules)}: {error}") from None


@contextmanager
def _recomputing(model: Any, wanted: bool) -> Iterator[None]:
    """Gradient checkpointing for a while (Chen et al. 2016, arXiv 1604.06174)."""
    if not wanted:
        yield
        return
    base = model.get_base_model() if isinstance(model, peft.PeftModel) else model
    # transformers renames it in 5.18: checkpointing of gradients, of activations.
    names = "activation_checkpointing", "gradient_checkpointing"
    name = names[0] if hasattr(base, f"{names[0]}_enable") else names[1]
    getattr(base, f"{name}_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(base, f"{name}_disable")()


@contextmanager
def _dropout(model: Any, rate: float | None) -> Iterator[None]:
    """Set every dropout rate of a model for a while; None leaves them as the checkpoint has them."""
    if rate is None:
        yield
        return
    changed: list[tuple[Any, str, float]] = []
    for module in model.modules():
        # Some architectures keep the rate as a plain attribute (OPT), others as a Dropout module.
        names = ("p",) if isinstance(module, torch.nn.Dropout) else _DROPOUT_ATTRIBUTES
        for name in names:
            value = module.__dict__.get(name)
            if isinstance(value, float | int) and not isinstance(value, bool):
                changed.append((module, name, value))
                setattr(module, name, rate)
    try:
        yield
    finally:
        for module, name, value in changed:
            setattr(module, name, value)

"""Training of one model: takes a model and token pairs, returns the trained model and its training curve."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from accelerate import PartialState
from torch import Tensor

from tarazu.align.attention import use_tree_attention
from tarazu.align.checkpoints import ignore_checkpointing_warning
from tarazu.align.flops import cost, peak_of
from tarazu.align.forward import Score, branch_log_probs, branch_rewards, can_be_packed
from tarazu.align.graphs import recurring_shapes
from tarazu.align.memory import frozen_in_bfloat16, keep_freed_memory
from tarazu.align.objectives import Objective, bradley_terry, objective_of
from tarazu.align.processes import from_leader
from tarazu.align.reference import reference_log_probs
from tarazu.align.rows.documents import Document, documents_of
from tarazu.align.rows.packing import Shape, row_multiple
from tarazu.align.rows.schedule import Row, StepSize, schedule
from tarazu.align.tokens import TokenPair
from tarazu.align.trainer import (
    AlignmentTrainer,
    Collator,
    Reporting,
    Rows,
    TrainingRun,
    arguments,
    last_complete_checkpoint,
)
from tarazu.errors import BadInput, damaged_weight
from tarazu.seeds import repeatable_sums
from tarazu.study.schema import DPOArm, SFTArm, SimPOArm, Training

_DROPOUT_ATTRIBUTES = ("dropout", "attention_dropout", "activation_dropout")


def train(
    model: Any,
    pairs: Sequence[TokenPair],
    settings: SFTArm | DPOArm | SimPOArm,
    run: TrainingRun,
    *,
    reference: Tensor | None = None,
) -> tuple[Any, list[dict[str, float]]]:
    """Train `model` in place (or an adapter on it) and return it with its training curve.

    `reference` (pairs, 2) holds the log-probabilities of the model that training starts from. A method that needs them
    computes them here if they are not given.

    The curve has one row per logged step: step, epoch, loss, learning_rate and grad_norm. With preference pairs, a row
    also has the means of reward_chosen, reward_rejected, reward_margin and reward_accuracy since the previous row.
    Raises NotFinite.
    """
    if isinstance(settings, DPOArm) and reference is None:
        reference = reference_log_probs(model, pairs, run)
    task = _Task(
        documents=documents_of(pairs, settings),
        score=branch_log_probs,
        objective=objective_of(settings),
        reference=reference,
        by_token=isinstance(settings, SFTArm),
    )
    return _fit(_with_adapter(model, settings, peft.TaskType.CAUSAL_LM, run.seed), task, settings, run)


def train_reward_model(
    model: Any, pairs: Sequence[TokenPair], settings: Training, run: TrainingRun, *, centre: float
) -> tuple[Any, list[dict[str, float]]]:
    """Train a sequence-classification model to prefer chosen over rejected (Bradley and Terry 1952).

    `centre` is the weight of the squared sum of the two rewards, which keeps their midpoint near 0. Returns the model
    and its curve, as `train` does.
    """
    task = _Task(
        documents=documents_of(pairs, settings),
        score=branch_rewards,
        objective=partial(bradley_terry, centre=centre),
        reference=None,
        by_token=False,
    )
    return _fit(_with_adapter(model, settings, peft.TaskType.SEQ_CLS, run.seed), task, settings, run)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """The training data and what is minimised on them.

    `by_token` averages the loss of a step over its predicted tokens, and otherwise over its documents.
    """

    documents: Sequence[Document]
    score: Score
    objective: Objective
    reference: Tensor | None
    by_token: bool


def _fit(model: Any, task: _Task, settings: Training, run: TrainingRun) -> tuple[Any, list[dict[str, float]]]:
    documents = task.documents
    processes = PartialState().num_processes
    plan = schedule(
        [document.tokens for document in documents],
        [document.predicted if task.by_token else 1 for document in documents],
        StepSize(
            documents=settings.batch_size * settings.gradient_accumulation,
            row_tokens=settings.row_tokens,
            processes=processes,
        ),
        epochs=settings.epochs,
        seed=run.seed,
    )
    packed = can_be_packed(model, documents, task.score, run.pad_id)
    if not packed:
        run.progress(0, len(plan.steps), f"{type(model).__name__} cannot be packed: padded batches,")
    multiple = row_multiple(model.device)
    recorded: frozenset[Shape] = frozenset()
    if packed and model.device.type == "cuda" and processes == 1 and not settings.gradient_checkpointing:
        rows = ([documents[index] for index in row.documents] for step in plan.steps for row in step)
        recorded = recurring_shapes(rows, multiple)
    peak = peak_of(model.device, torch.bfloat16 if run.use_bf16 else torch.float32, processes)
    step_cost = cost(model).step
    step_sizes = [_size_of(step, documents, step_cost) for step in plan.steps]
    # FSDP splits the model's weights among the processes. This copy keeps the complete model.
    shell = copy.deepcopy(model) if os.environ.get("ACCELERATE_USE_FSDP") == "true" else None
    transformers.set_seed(run.seed)
    with (
        tempfile.TemporaryDirectory() as scratch,
        _set_dropout(model, settings.model_dropout),
        _checkpoint_gradients(model, settings.gradient_checkpointing),
        keep_freed_memory(),
        repeatable_sums() if model.device.type == "cuda" else nullcontext(),
        frozen_in_bfloat16(model) if run.use_bf16 else nullcontext(),
        use_tree_attention(model) if packed else nullcontext(),
    ):
        trainer = AlignmentTrainer(
            model=model,
            args=arguments(settings, plan, run, scratch=Path(scratch), processes=processes),
            train_dataset=Rows(plan.steps, documents),
            damaged=damaged_weight(model),
            data_collator=Collator(
                documents=documents,
                reference=task.reference,
                packed=packed,
                pad_id=run.pad_id,
                multiple=multiple,
            ),
            callbacks=[Reporting(run.progress, step_sizes, peak, run.checkpoint_seconds)],
            score=task.score,
            objective=task.objective,
            use_bf16=run.use_bf16,
            recorded=recorded,
            say=lambda what: run.progress(0, len(plan.steps), f"{what},"),
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train(
            resume_from_checkpoint=from_leader(lambda: last_complete_checkpoint(run.folder) if run.folder else None)
        )
        trainer.check_weights()  # which the steps after the last line of the log changed
        history = trainer.state.log_history
    curve = [{**row, "epoch": row["step"] / plan.per_epoch} for row in history if "loss" in row]
    if shell is not None:
        shell.load_state_dict(trainer.accelerator.get_state_dict(trainer.model), strict=False)
        return shell.eval(), curve
    return trainer.accelerator.unwrap_model(trainer.model).eval(), curve


def _size_of(
    step: Sequence[Row], documents: Sequence[Document], operations: Callable[[Document], float]
) -> tuple[int, int, float]:
    """Documents, tokens and floating-point operations of a step."""
    chosen = [documents[index] for row in step if row.weight for index in row.documents]
    return len(chosen), sum(document.tokens for document in chosen), sum(map(operations, chosen))


def _with_adapter(model: Any, settings: Training, task: Any, seed: int) -> Any:
    """The model with a new LoRA adapter (Hu et al. 2021) initialised from `seed`, its base frozen; the model unchanged
    if the settings have no `lora`."""
    if settings.lora is None:
        return model
    transformers.set_seed(seed)  # or the adapter's initial weights would depend on earlier random draws
    lora = settings.lora
    config = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type=task,
    )
    try:
        with ignore_checkpointing_warning():
            return peft.get_peft_model(model, config)
    except ValueError as error:
        raise BadInput(f"lora.target_modules: {', '.join(lora.target_modules)}: {error}") from None


@contextmanager
def _checkpoint_gradients(model: Any, enabled: bool) -> Iterator[None]:
    """Use gradient checkpointing within the context (Chen et al. 2016, arXiv 1604.06174) if `enabled`."""
    if not enabled:
        yield
        return
    base = model.get_base_model() if isinstance(model, peft.PeftModel) else model
    # transformers 5.18 renames gradient checkpointing to activation checkpointing.
    names = "activation_checkpointing", "gradient_checkpointing"
    name = names[0] if hasattr(base, f"{names[0]}_enable") else names[1]
    getattr(base, f"{name}_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(base, f"{name}_disable")()


@contextmanager
def _set_dropout(model: Any, rate: float | None) -> Iterator[None]:
    """Set every dropout rate of a model within the context. None keeps the checkpoint's own rates."""
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

"""One arm's training: transformers' Trainer around our losses.

The Trainer brings accumulation, clipping, schedules, mixed precision and several processes; what is ours is the
batch, the loss and the reference. Log-probabilities of the reference are computed once, before the first step, with
the weights that training starts from: that is what DPO's reference is (and, with LoRA, the adapter switched off).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import peft
import torch
import transformers
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from tarazu.align.batches import PreferenceCollator, TranscriptCollator
from tarazu.align.losses import bradley_terry_loss, dpo_loss, model_logits, sft_loss, token_log_probs
from tarazu.align.tokens import TokenPair
from tarazu.errors import BadInput
from tarazu.study.schema import DPOArm, SFTArm, Training

_DROPOUT_ATTRIBUTES = ("dropout", "attention_dropout", "activation_dropout")

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and a few words on the state."""


def pair_log_probs(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Summed log-probabilities of the chosen and of the rejected answers, each (pairs,)."""
    logits = model_logits(model, batch["input_ids"], batch["attention_mask"])
    summed = token_log_probs(logits, batch["labels"]).sum(dim=1)
    chosen, rejected = summed.chunk(2)
    return chosen, rejected


@torch.no_grad()
def reference_log_probs(
    model: Any, pairs: Sequence[TokenPair], *, pad_id: int, batch_size: int, progress: Progress
) -> Tensor:
    """Log-probabilities (pairs, 2) of chosen and rejected under the model as it is, dropout off."""
    model.eval()
    order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i].prompt) - len(pairs[i].chosen))
    found = torch.empty(len(pairs), 2)
    collate = PreferenceCollator(pad_id=pad_id)
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        batch = {name: part.to(model.device) for name, part in collate([pairs[i] for i in indices]).items()}
        found[indices] = torch.stack(pair_log_probs(model, batch), dim=1).float().cpu()
        progress(start + len(indices), len(order), "reference")
    return found


class _Rows(torch.utils.data.Dataset[Any]):
    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.rows[index]


class _AlignmentTrainer(Trainer):
    """A Trainer that keeps the means of what its loss reports between two log lines."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._sums: dict[str, float] = {}
        self._count = 0

    def note(self, values: dict[str, float]) -> None:
        self._count += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def log(self, logs: dict[str, float], *arguments: Any, **keywords: Any) -> None:
        if self._count and "loss" in logs:
            logs = {**logs, **{name: total / self._count for name, total in self._sums.items()}}
            self._sums, self._count = {}, 0
        super().log(logs, *arguments, **keywords)


class SFTTrainer(_AlignmentTrainer):
    """Cross-entropy on chosen transcripts, averaged over the tokens of an optimizer step."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        # Has the Trainer count the labels of a whole accumulation, which makes 1 x 8 and 8 x 1 the same step.
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        logits = model_logits(model, inputs["input_ids"], inputs["attention_mask"])
        return sft_loss(logits, inputs["labels"], num_items_in_batch)


class DPOTrainer(_AlignmentTrainer):
    """Direct preference optimisation against reference log-probabilities computed beforehand."""

    def __init__(self, *, beta: float, label_smoothing: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = False  # each pair weighs the same, whatever its length
        self.beta = beta
        self.label_smoothing = label_smoothing

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        chosen, rejected = pair_log_probs(model, inputs)
        losses, reward_chosen, reward_rejected = dpo_loss(
            chosen,
            rejected,
            inputs["reference"][:, 0],
            inputs["reference"][:, 1],
            beta=self.beta,
            label_smoothing=self.label_smoothing,
        )
        self.note(
            {
                "reward_chosen": float(reward_chosen.mean()),
                "reward_rejected": float(reward_rejected.mean()),
                "reward_margin": float((reward_chosen - reward_rejected).mean()),
                "reward_accuracy": float((reward_chosen > reward_rejected).float().mean()),
            }
        )
        return losses.mean()


class RewardTrainer(_AlignmentTrainer):
    """Bradley-Terry on pairs, with the midpoint of the two rewards held near 0."""

    def __init__(self, *, centre: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = False
        self.centre = centre

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        rewards = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[:, 0]
        chosen, rejected = rewards.chunk(2)
        self.note({"reward_accuracy": float((chosen > rejected).float().mean())})
        return (bradley_terry_loss(chosen, rejected) + self.centre * (chosen + rejected) ** 2).mean()


class _Reporting(TrainerCallback):
    """Keeps the curve and passes progress on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.curve: list[dict[str, float]] = []
        self.loss = float("nan")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.loss = logs["loss"]
            if not (math.isfinite(self.loss) and math.isfinite(logs.get("grad_norm", 0.0))):
                raise BadInput(
                    f"training diverged at step {state.global_step}: loss or gradient is not a finite number; lower "
                    "learning_rate"
                )
            self.curve.append({"step": state.global_step, **{key: float(value) for key, value in logs.items()}})

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        loss = "" if self.loss != self.loss else f"loss {self.loss:.3f}"
        self.progress(state.global_step, state.max_steps, loss)


def train(
    model: Any,
    pairs: Sequence[TokenPair],
    settings: SFTArm | DPOArm,
    *,
    pad_id: int,
    seed: int,
    progress: Progress,
) -> tuple[Any, list[dict[str, float]]]:
    """Train `model` in place (or an adapter on it) and return it with its training curve.

    The curve has a row per logged step: step, epoch, loss, learning_rate, grad_norm and, for DPO, the means over the
    logged interval of reward_chosen, reward_rejected, reward_margin and reward_accuracy.
    """
    if isinstance(settings, SFTArm):
        collator = TranscriptCollator(pad_id=pad_id, loss_on=settings.loss_on)
        return _fit(SFTTrainer, _adapted(model, settings), pairs, collator, settings, seed, progress)
    reference = reference_log_probs(model, pairs, pad_id=pad_id, batch_size=settings.batch_size, progress=progress)
    return _fit(
        DPOTrainer,
        _adapted(model, settings),
        list(zip(pairs, reference.tolist(), strict=True)),
        _with_reference(PreferenceCollator(pad_id=pad_id)),
        settings,
        seed,
        progress,
        beta=settings.beta,
        label_smoothing=settings.label_smoothing,
    )


def train_reward_model(
    model: Any,
    pairs: Sequence[TokenPair],
    settings: Training,
    *,
    centre: float,
    pad_id: int,
    seed: int,
    progress: Progress,
) -> tuple[Any, list[dict[str, float]]]:
    """Train a sequence-classification model to prefer chosen over rejected (Bradley and Terry 1952).

    `centre` weighs the squared sum of the two rewards, which keeps their midpoint near 0 (Eisenstein et al. 2023,
    arXiv 2312.09244), so that one threshold can serve all prompts. Returns the model and its curve.
    """
    collator = PreferenceCollator(pad_id=pad_id)
    return _fit(RewardTrainer, model, pairs, collator, settings, seed, progress, centre=centre)


def _fit(
    trainer_class: type[_AlignmentTrainer],
    model: Any,
    rows: Sequence[Any],
    collator: Any,
    settings: Training,
    seed: int,
    progress: Progress,
    **options: Any,
) -> tuple[Any, list[dict[str, float]]]:
    transformers.set_seed(seed)
    reporting = _Reporting(progress)
    with tempfile.TemporaryDirectory() as scratch, _dropout(model, settings.model_dropout):
        trainer = trainer_class(
            model=model,
            args=_arguments(settings, len(rows), seed, scratch, model.dtype),
            train_dataset=_Rows(rows),
            data_collator=collator,
            callbacks=[reporting],
            **options,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    return model.eval(), reporting.curve


def _with_reference(collate: PreferenceCollator) -> Callable[[Sequence[Any]], dict[str, Tensor]]:
    def collate_both(rows: Sequence[tuple[TokenPair, list[float]]]) -> dict[str, Tensor]:
        batch = collate([pair for pair, _ in rows])
        batch["reference"] = torch.tensor([reference for _, reference in rows])
        return batch

    return collate_both


def _adapted(model: Any, settings: Training) -> Any:
    """The model itself, or a new LoRA adapter on it (Hu et al. 2021) whose base stays frozen."""
    if settings.lora is None:
        return model
    lora = settings.lora
    config = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type=peft.TaskType.CAUSAL_LM,
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        raise BadInput(f"lora.target_modules: {', '.join(lora.target_modules)}: {error}") from None


def _arguments(settings: Training, rows: int, seed: int, scratch: str, dtype: torch.dtype) -> TrainingArguments:
    per_step = settings.batch_size * settings.gradient_accumulation
    steps = max(1, round(-(-rows // per_step) * settings.epochs))
    return TrainingArguments(
        output_dir=scratch,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=round(settings.warmup_ratio * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=dtype == torch.bfloat16 and torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        logging_steps=max(1, steps // 100),
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would log a loss of 0 where training has diverged
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


@contextmanager
def _dropout(model: Any, rate: float | None) -> Any:
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

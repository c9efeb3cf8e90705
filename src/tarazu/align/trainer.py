"""transformers' Trainer around our rows and objectives.

The Trainer brings accumulation, clipping, schedules, mixed precision, checkpoints, trackers and several processes;
what is ours is the schedule of rows, the forward pass and the loss.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from tarazu.align.flops import Peak, wait_for
from tarazu.align.forward import Score
from tarazu.align.objectives import Objective
from tarazu.align.packing import Batch, Document, pack, pad
from tarazu.align.processes import from_leader
from tarazu.align.schedule import Row, Schedule
from tarazu.errors import BadInput, TarazuError
from tarazu.progress import OnProgress
from tarazu.study.schema import Training

_WHOLE = "whole"  # marks a checkpoint whose writing came to its end
CHECKPOINT_SECONDS = 600.0


class Rows(torch.utils.data.Dataset[Row]):
    """The rows of a schedule, step after step."""

    def __init__(self, steps: Sequence[Sequence[Row]]) -> None:
        self.rows = [row for step in steps for row in step]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]


@dataclass(frozen=True, kw_only=True)
class Collator:
    """A row of the schedule as a batch: packed or, where the model cannot be, padded; with reference and weight."""

    documents: Sequence[Document]
    reference: Tensor | None
    packed: bool
    pad_id: int
    multiple: int

    def __call__(self, rows: Sequence[Row]) -> Batch:
        (row,) = rows
        chosen = [self.documents[index] for index in row.documents]
        batch = pack(chosen, multiple=self.multiple) if self.packed else pad(chosen, self.pad_id)
        if self.reference is not None:
            batch["reference"] = self.reference[list(row.documents)]
        return {**batch, "weight": row.weight, "count": len(row.documents)}


class AlignmentTrainer(Trainer):
    """A Trainer whose loss is an objective over what a model gives the branches of a row."""

    def __init__(self, *, score: Score, objective: Objective, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = False  # a row's weight brings its share of the step's mean
        self.score = score
        self.objective = objective
        self._sums: dict[str, Tensor] = {}

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        found, tokens = self.score(model, inputs)
        loss, sums = self.objective(found, tokens, inputs.get("reference"))
        if sums and inputs["weight"]:
            for name, value in {**sums, "count": torch.tensor(inputs["count"], device=loss.device)}.items():
                self._sums[name] = self._sums.get(name, 0) + value.detach()
        return (loss * inputs["weight"]).float()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError) as error:
            # torch's own writer says neither which file nor why.
            raise TarazuError(f"{self.args.output_dir}: a checkpoint could not be written: {error}") from error

    def log(self, logs: dict[str, float], *arguments: Any, **keywords: Any) -> None:
        """Add the means, over the pairs since the last line, of what the objective reports."""
        if self._sums and "loss" in logs:
            names = sorted(self._sums)
            totals = torch.stack([self._sums[name].double() for name in names])
            totals = self.accelerator.reduce(totals, reduction="sum").tolist()
            sums = dict(zip(names, totals, strict=True))
            count = sums.pop("count")
            logs = {**logs, **{name: total / count for name, total in sums.items()}}
            self._sums = {}
        super().log(logs, *arguments, **keywords)


class Reporting(TrainerCallback):
    """Passes progress on, stops what has diverged, and asks for a checkpoint from time to time.

    A checkpoint is asked for where a line is logged, so that none of the sums between two lines is lost with a kill.
    """

    def __init__(self, progress: OnProgress, work: Sequence[tuple[int, int, float]], peak: Peak, every: float) -> None:
        """`work`: documents, tokens and floating-point operations of each step; `peak`: the best that the
        machine has shown; `every`: seconds between checkpoints."""
        self.progress = progress
        self.work = work
        self.peak = peak
        self.every = every
        self.loss = float("nan")

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = self._saved = time.monotonic()
        self._from = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        self.loss = logs["loss"]
        if not (math.isfinite(self.loss) and math.isfinite(logs.get("grad_norm", 0.0))):
            raise BadInput(
                f"training diverged at step {state.global_step}: loss or gradient is not a finite number; lower "
                "learning_rate"
            )
        due = time.monotonic() - self._saved >= self.every and state.global_step < state.max_steps
        # Every process must save at the same step, and their clocks differ.
        control.should_save = from_leader(lambda: due)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = time.monotonic()
        PartialState().wait_for_everyone()  # each process has written its part
        if args.should_save:
            folder = Path(args.output_dir)
            (folder / f"checkpoint-{state.global_step}" / _WHOLE).touch()
            for older in folder.glob("checkpoint-*"):
                if older.name != f"checkpoint-{state.global_step}":
                    (older / _WHOLE).unlink(missing_ok=True)  # first, so that a kill leaves none that is half removed
                    shutil.rmtree(older)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        done = self.work[self._from : state.global_step]
        documents, tokens, operations = (sum(part) for part in zip(*done, strict=True))
        seconds = self._seconds()
        if operations / seconds > self.peak.rate:
            # A GPU may not have finished the step yet. Only finished work may raise the peak.
            wait_for(args.device)
            seconds = self._seconds()
        loss = "" if self.loss != self.loss else f"loss {self.loss:.3f}, "
        self.progress(
            state.global_step,
            state.max_steps,
            f"{loss}{documents / seconds:.1f} pairs/s, {tokens / seconds:,.0f} tokens/s, "
            f"{self.peak.share(operations / seconds):.0%} of peak,",
        )

    def _seconds(self) -> float:
        return max(1e-9, time.monotonic() - self._began)


def arguments(
    settings: Training, plan: Schedule, *, seed: int, folder: Path, half: bool, processes: int, report_to: Sequence[str]
) -> TrainingArguments:
    """The Trainer's arguments for a schedule: one row per forward pass, an epoch of all steps."""
    steps = len(plan.steps)
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=plan.rows_per_step // processes,
        train_sampling_strategy="sequential",
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=round(settings.warmup_ratio * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=half,
        seed=seed,
        data_seed=seed,
        logging_steps=max(1, steps // 100),
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would log a loss of 0 where training has diverged
        save_strategy="no",
        report_to=list(report_to),
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
    )


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end; half-written ones are removed."""
    found = {int(item.name.rpartition("-")[2]): item for item in folder.glob("checkpoint-*")}
    for step, item in list(found.items()):
        if not (item / _WHOLE).exists():
            shutil.rmtree(found.pop(step))
    return str(found[max(found)]) if found else None

"""transformers' Trainer, adapted to packed rows and alignment objectives.

The Trainer supplies gradient accumulation, clipping, learning-rate schedules, mixed precision, checkpoints, experiment
trackers and training on several processes. This module adds the schedule of rows, the forward pass and the loss.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from tarazu.align.flops import Peak, wait_for
from tarazu.align.forward import Score, precision
from tarazu.align.graphs import Passes, RowGraphs
from tarazu.align.objectives import Objective
from tarazu.align.processes import from_leader
from tarazu.align.rows.documents import Document
from tarazu.align.rows.packing import Batch, Shape, pack, pad, shape_of
from tarazu.align.rows.schedule import Row, Schedule
from tarazu.errors import NotFinite, TarazuError, damaged_weight, fix_for
from tarazu.progress import OnProgress
from tarazu.study.schema import Training

_COMPLETE = "complete"  # the file that marks a completely written checkpoint
CHECKPOINT_SECONDS = 600.0
_NONE = 2**62  # in place of a branch's index: no score is bad
_EVERY = _NONE - 1  # every score of a row with several documents is bad: the weights may be, and no text is to blame


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What one training needs besides the model, the data and the study's settings.

    `use_bf16` computes in bfloat16 and keeps the weights in float32. `folder` stores checkpoints, one every
    `checkpoint_seconds`; training resumes from the last complete one. `report_to` names experiment trackers.
    """

    pad_id: int
    seed: int
    progress: OnProgress
    use_bf16: bool = False
    folder: Path | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    report_to: Sequence[str] = ()


class Rows(torch.utils.data.Dataset[Row]):
    """The rows of a schedule, in the order of its steps, and the documents that they name."""

    def __init__(self, steps: Sequence[Sequence[Row]], documents: Sequence[Document]) -> None:
        self.documents = documents
        self.rows = [row for step in steps for row in step]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]


@dataclass(frozen=True, kw_only=True)
class Collator:
    """Turns a row of the schedule into a batch with its reference and weight, packed if the model supports it and
    padded otherwise."""

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
        # Of which branch of which document each score is. A document has at most two branches.
        branches = [2 * index + i for index in row.documents for i in range(len(self.documents[index].branches))]
        batch["branch"] = torch.tensor(branches)
        return {**batch, "weight": row.weight, "count": len(row.documents)}


class AlignmentTrainer(Trainer):
    """A Trainer whose loss is an objective of the scores that a model gives the branches of a row."""

    def __init__(
        self,
        *,
        score: Score,
        objective: Objective,
        damaged: str | None,
        use_bf16: bool,
        recorded: frozenset[Shape],
        say: Callable[[str], None],
        **arguments: Any,
    ) -> None:
        """`damaged` is the name of a weight that is not finite. `use_bf16` computes passes in bfloat16. Rows of the
        shapes `recorded` are run by CUDA graphs. `say` tells what cannot be done."""
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = False  # the row's weight scales its loss to its share of the step's mean
        self.score = score
        self.objective = objective
        self.damaged = damaged
        self.use_bf16 = use_bf16
        self.recorded = recorded
        self.say = say
        self._graphs = RowGraphs(self._passes) if recorded else None
        self._begun = False
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._first_bad: Tensor | None = None  # the first branch with a score that is not finite, or _NONE

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        scores, tokens = self._score(model, inputs)
        loss, sums = self.objective(scores, tokens, inputs.get("reference"))
        self._note(scores.detach(), sums, inputs)
        return (loss * inputs["weight"]).float()

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        model.train()
        if not self._begun:
            self._begun = True
            self._allow_varying_sums(model, inputs)
        if self._graphs is not None and shape_of(inputs) in self.recorded:
            try:
                passes = self._graphs.run(model, inputs)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._graphs = None
                self.say(f"kernels are launched one by one, because {type(model).__name__} cannot be recorded: {error}")
            else:
                self._note(passes.scores, passes.sums, inputs)
                return passes.loss
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def _allow_varying_sums(self, model: Any, inputs: Any) -> None:
        """Try the passes of the first row on CUDA. If the model has an operation that torch cannot repeat to the bit,
        allow it and say so."""
        if self.args.device.type != "cuda":
            return
        random = torch.cuda.get_rng_state()
        try:
            self._passes(model, inputs)
        except RuntimeError as error:
            if "deterministic" not in str(error):
                raise
            torch.use_deterministic_algorithms(True, warn_only=True)
            self.say(f"another training may differ in the last digit: {str(error).partition('. ')[0]}")
        finally:
            model.zero_grad()
            torch.cuda.set_rng_state(random)

    def _passes(self, model: Any, inputs: Any) -> Passes:
        """The forward and backward passes of a row, without anything that a graph cannot record."""
        scores, tokens = self._score(model, inputs)
        total, sums = self.objective(scores, tokens, inputs.get("reference"))
        loss = (total * inputs["weight"]).float() / self.args.gradient_accumulation_steps
        loss.backward()
        return Passes(loss.detach(), scores.detach(), {name: value.detach() for name, value in sums.items()})

    def _score(self, model: Any, inputs: Any) -> tuple[Tensor, Tensor]:
        # accelerate would do the same by a wrapper around the model, which makes a copy of the logits in float32, and
        # without which a second training of the model would not compute in bfloat16.
        with precision(self.args.device, use_bf16=self.use_bf16):
            return self.score(model, inputs)

    def _note(self, scores: Tensor, sums: dict[str, Tensor], inputs: Any) -> None:
        """Add a row's statistics to those of the rows since the last line of the log."""
        self._look_for_bad(scores.isfinite(), inputs)
        if sums and inputs["weight"]:
            self._count += inputs["count"]
            for name, value in sums.items():
                self._sums[name] = self._sums.get(name, 0) + value.detach()

    def _look_for_bad(self, finite: Tensor, inputs: Any) -> None:
        bad = inputs["branch"].masked_fill(finite, _NONE).min()
        if inputs["count"] > 1:
            bad = torch.where(finite.any(), bad, _EVERY)
        self._first_bad = bad if self._first_bad is None else torch.where(self._first_bad < _NONE, self._first_bad, bad)

    def check(self, values: Sequence[float]) -> None:
        """Raises NotFinite, with the first text that caused it if there is one, unless all values are finite."""
        if all(map(math.isfinite, values)):
            return
        step = self.state.global_step
        place = _NONE if self._first_bad is None else int(self._first_bad)
        document = None if place >= _EVERY else self.train_dataset.documents[place // 2]
        dtype = "bfloat16" if self.use_bf16 else "float32"
        fix = fix_for(dtype, self.damaged, "model.dtype")
        raise NotFinite(
            f"loss or gradients of training step {step}",
            dtype,
            fix if step <= 1 or self.damaged else f"training diverged: lower learning_rate, or {fix}",
            () if document is None else (*document.stem, *document.branches[place % 2]),
        )

    def check_weights(self) -> None:
        """Raises NotFinite if training made a weight infinite or NaN. A weight that was so before may be one that no
        text uses."""
        if self.damaged is None and damaged_weight(self.model, trained=True) is not None:
            self.check([math.nan])

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError) as error:
            # torch's own error names neither the file nor the reason.
            raise TarazuError(f"{self.args.output_dir}: a checkpoint could not be written: {error}") from error

    def log(self, logs: dict[str, float], *arguments: Any, **keywords: Any) -> None:
        """Add the objective's own statistics, averaged over the pairs since the previous log line. Raises NotFinite for
        a training that diverged."""
        if "loss" in logs:
            self.check([logs["loss"], logs.get("grad_norm", 0.0)])
        if self._sums and "loss" in logs:
            names = sorted(self._sums)
            totals = torch.stack([self._sums[name].double() for name in names])
            count = totals.new_tensor([self._count])
            *totals, count = self.accelerator.reduce(torch.cat([totals, count]), reduction="sum").tolist()
            logs = {**logs, **{name: total / count for name, total in zip(names, totals, strict=True)}}
            self._sums, self._count = {}, 0
        super().log(logs, *arguments, **keywords)


class Reporting(TrainerCallback):
    """Reports progress, and requests a checkpoint at regular intervals.

    Checkpoints are requested only at steps that log a line, so a kill cannot lose the sums accumulated since a line.
    """

    def __init__(
        self, progress: OnProgress, step_sizes: Sequence[tuple[int, int, float]], peak: Peak, interval: float
    ) -> None:
        """`step_sizes`: documents, tokens and floating-point operations of each step. `peak`: the highest
        rate that the machine has shown. `interval`: seconds between checkpoints."""
        self.progress = progress
        self.step_sizes = step_sizes
        self.peak = peak
        self.interval = interval
        self.loss = float("nan")

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = self._saved = time.monotonic()
        self._from = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        self.loss = logs["loss"]
        due = time.monotonic() - self._saved >= self.interval and state.global_step < state.max_steps
        # All processes must save at the same step, but their clocks differ.
        control.should_save = from_leader(lambda: due)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = time.monotonic()
        PartialState().wait_for_everyone()  # until each process has written its part
        if args.should_save:
            folder = Path(args.output_dir)
            (folder / f"checkpoint-{state.global_step}" / _COMPLETE).touch()
            for older in folder.glob("checkpoint-*"):
                if older.name != f"checkpoint-{state.global_step}":
                    # Unmark it first: after a kill, a partly removed checkpoint must not count as complete.
                    (older / _COMPLETE).unlink(missing_ok=True)
                    shutil.rmtree(older)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        done = self.step_sizes[self._from : state.global_step]
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
    settings: Training, plan: Schedule, run: TrainingRun, *, scratch: Path, processes: int
) -> TrainingArguments:
    """The Trainer's arguments for a schedule: one row per forward pass, all steps as one epoch."""
    steps = len(plan.steps)
    return TrainingArguments(
        output_dir=str(run.folder or scratch),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=plan.rows_per_step // processes,
        train_sampling_strategy="sequential",
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=round(settings.warmup_ratio * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        seed=run.seed,
        data_seed=run.seed,
        logging_steps=max(1, steps // 100),
        logging_first_step=True,
        logging_nan_inf_filter=False,  # the filter would log a loss of 0 for a diverged training
        save_strategy="no",
        report_to=list(run.report_to),
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        # A blocking copy would wait for the step before, and the GPU would wait for the next launches.
        accelerator_config={"non_blocking": torch.cuda.is_available()},
        ddp_find_unused_parameters=False,
    )


def last_complete_checkpoint(folder: Path) -> str | None:
    """The newest completely written checkpoint. Removes incomplete ones."""
    checkpoints = {int(item.name.rpartition("-")[2]): item for item in folder.glob("checkpoint-*")}
    for step, item in list(checkpoints.items()):
        if not (item / _COMPLETE).exists():
            shutil.rmtree(checkpoints.pop(step))
    return str(checkpoints[max(checkpoints)]) if checkpoints else None

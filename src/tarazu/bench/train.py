"""`tarazu bench train`: Tarazu's DPO and SFT, and TRL's, on the same model, pairs and steps."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from tarazu.bench.models import SEED, has_cuda, model_facts, use_bf16, write_model
from tarazu.bench.results import (
    AttentionTimes,
    BestSettings,
    Skipped,
    TrainingFacts,
    TrainingMeasurement,
    TrainingReport,
    TrainingResult,
    TrainingRound,
    this_machine,
)
from tarazu.bench.settings import TrainingBench
from tarazu.bench.subprocesses import Stopped, Work, run_in_subprocess
from tarazu.data.preferences import load_pairs
from tarazu.errors import BadInput, TarazuError
from tarazu.progress import Progress
from tarazu.study.sources import HHPairs, ParallelPairs

CONTENDERS = (
    "tarazu_dpo",
    "trl_dpo_default",
    "trl_dpo_best",
    "tarazu_sft",
    "trl_sft_default",
    "trl_sft_packed",
    "tarazu_reward",
    "trl_reward_default",
)

PER_STEP = 8  # pairs per optimizer step: 2 x 4 in the source study
LEARNING_RATE = {"dpo": 1e-6, "sft": 2e-5, "reward": 1e-5}  # TRL's defaults
SOURCE_STUDY = {"tarazu_sft": 2 * 160_800, "tarazu_dpo": 2 * 160_800}
"""Rows of the source study's training (arXiv 2509.09055): two epochs of SFT; DPO once from base and once from SFT."""


@dataclass(frozen=True, kw_only=True)
class TrainingWork(Work):
    """The task of every contender. `folder` has the initial model and the pairs (`pairs.jsonl`), which are already in
    training order."""

    steps: int
    max_length: int
    lora: bool
    use_bf16: bool
    use_cuda: bool
    batch_size: int = PER_STEP
    precompute: bool = False


def bench_train(bench: TrainingBench, progress: Progress) -> TrainingReport:
    """Run the contenders in turn for several rounds, and on CUDA the attention kernels. Raises BadInput if there are
    too few pairs."""
    unknown = [name for name in bench.only if name not in CONTENDERS]
    if unknown:
        raise BadInput(f"--only {unknown[0]}: no such contender; there are {', '.join(CONTENDERS)}")
    with tempfile.TemporaryDirectory(prefix="tarazu-bench-") as folder:
        progress.stage("work")
        work = TrainingWork(
            folder=folder,
            steps=bench.steps,
            max_length=bench.max_length,
            lora=bench.lora,
            use_bf16=use_bf16(bench),
            use_cuda=has_cuda(),
        )
        facts = _prepare(work, bench)
        progress.done(f"{facts.pairs} pairs of {facts.tokens_per_pair:.0f} tokens, {facts.parameters:,} weights")
        names = [name for name in CONTENDERS if not bench.only or name in bench.only]
        measured: dict[str, list[TrainingMeasurement]] = {name: [] for name in names}
        skipped: dict[str, Skipped] = {}
        best = _Best(work)
        # The contenders take turns, so that the machine's other load affects all of them equally.
        for turn in range(1, bench.rounds + 1):
            for name in names:
                if name in skipped:
                    continue
                progress.stage(f"{name}, round {turn} of {bench.rounds}")
                result = best.run() if name == "trl_dpo_best" else _run(name, work)
                if isinstance(result, Skipped):
                    skipped[name] = result
                    progress.done(result.skipped)
                else:
                    measured[name].append(result)
                    progress.done(f"{result.rate:.2f} a second")
        attention = _attention(work, progress) if work.use_cuda else None
    # Use the highest peak of all processes, so that a peak measured under load cannot make a share too large.
    peak = max((one.matmul_gflops for results in measured.values() for one in results), default=0.0)
    contenders = _results(facts, {name: results for name, results in measured.items() if results}, peak)
    if best.settings is not None:
        contenders["trl_dpo_best"] = contenders["trl_dpo_best"].model_copy(update=dict(best.settings))
    return TrainingReport(
        machine=this_machine(matmul_gflops=peak),
        work=facts.model_copy(update={"source_study_hours": _source_study_hours(contenders)}),
        contenders={name: skipped[name] if name in skipped else contenders[name] for name in names},
        attention=attention,
    )


def _attention(work: TrainingWork, progress: Progress) -> AttentionTimes | Skipped:
    progress.stage("attention")
    try:
        times = _ATTENTION.validate_json(run_in_subprocess(_MODULE, "attention", work))
    except TarazuError as error:  # a kernel may crash its process; keep the other results
        times = Skipped(skipped=str(error))
    progress.done(times.skipped if isinstance(times, Skipped) else f"{times.fastest} is the fastest")
    return times


def _prepare(work: TrainingWork, bench: TrainingBench) -> TrainingFacts:
    """Write the model and the pairs into the folder. Returns facts about the work."""
    from tarazu.align.flops import cost
    from tarazu.align.rows.documents import documents_of
    from tarazu.align.rows.schedule import StepSize, schedule
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.conversation.formats import Format
    from tarazu.study.schema import DPOArm, SFTArm

    path = bench.pairs
    source = HHPairs(source="hh-rlhf", path=str(path)) if path else ParallelPairs(source="parallel")
    rows = load_pairs(source, root=None, seed=SEED).rows
    texts = (text for row in rows for text in (row.prompt + row.chosen, row.rejected))
    model, tokenizer = write_model(Path(work.folder) / "model", bench, texts)
    kept = []
    for row in rows:
        tokens, _ = tokenize_pairs([row], Format(tokenizer), max_length=work.max_length)
        low, high = bench.prompt_tokens or (0, work.max_length)
        if tokens and low <= len(tokens[0].prompt) < high:
            kept.append((row, tokens[0]))
    needed = work.steps * PER_STEP
    if len(kept) < needed:
        raise BadInput(
            f"{path or 'the parallel set'}: {len(kept)} pairs have the requested lengths, and {work.steps} steps of "
            f"{PER_STEP} need {needed}; lower --steps or widen --prompt-tokens"
        )
    plan = schedule(
        [1] * len(kept), [1] * len(kept), StepSize(documents=needed, row_tokens=needed), epochs=1, seed=SEED
    )
    kept = [kept[index] for index in plan.steps[0][0].documents]
    with (Path(work.folder) / "pairs.jsonl").open("w", encoding="utf-8") as stream:
        for row, _ in kept:
            stream.write(json.dumps({"prompt": row.prompt, "chosen": row.chosen, "rejected": row.rejected}) + "\n")
    if work.lora:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora" in name)
    each = cost(model)
    tokens = [item for _, item in kept]
    pairs = documents_of(tokens, DPOArm(method="dpo"))
    transcripts = documents_of(tokens, SFTArm(method="sft"))
    return TrainingFacts(
        **model_facts(model, bench).model_dump(),
        data=path.name if path else "the shipped parallel set (machine-authored)",
        pairs=len(kept),
        steps=work.steps,
        pairs_per_step=PER_STEP,
        max_length=work.max_length,
        precision="bfloat16, weights float32" if work.use_bf16 else "float32",
        lora=work.lora,
        tokens_per_pair=sum(pair.tokens for pair in pairs) / len(pairs),
        prompt_tokens=sum(len(pair.stem) for pair in pairs) / len(pairs),
        flops="counted: 2 per weight of a matrix and token forward, as much again for each gradient; attention over "
        "the tokens seen; prompts once, logits where a token is predicted, the reference pass included",
        flops_per_pair=sum(each.forward(pair) + each.step(pair) for pair in pairs) / len(pairs),
        flops_per_reward_pair=sum(each.headless_step(pair) for pair in pairs) / len(pairs),
        flops_per_sequence=sum(map(each.step, transcripts)) / len(transcripts),
        tokens_per_sequence=sum(text.tokens for text in transcripts) / len(transcripts),
    )


_MODULE = "tarazu.bench.train_contenders"
_RESULT: TypeAdapter[TrainingMeasurement | Skipped] = TypeAdapter(TrainingMeasurement | Skipped)
_ATTENTION: TypeAdapter[AttentionTimes | Skipped] = TypeAdapter(AttentionTimes | Skipped)


def _run(name: str, work: TrainingWork) -> TrainingMeasurement | Skipped:
    try:
        return _RESULT.validate_json(run_in_subprocess(_MODULE, name, work))
    except Stopped as error:
        return Skipped(skipped=str(error))


class _Best:
    """TRL's fastest DPO. Batch sizes, with the reference precomputed or not, are tried once over a few steps each. A
    size for which memory does not suffice is passed over, and so are larger ones."""

    def __init__(self, work: TrainingWork) -> None:
        self.work = work
        self.settings: BestSettings | None = None

    def run(self) -> TrainingMeasurement | Skipped:
        if self.settings is None:
            swept = self._sweep()
            if isinstance(swept, Skipped):
                return swept
            self.settings = swept
        chosen = replace(self.work, batch_size=self.settings.batch_size, precompute=self.settings.precompute)
        return _run("trl_dpo_best", chosen)

    def _sweep(self) -> BestSettings | Skipped:
        rates: dict[tuple[int, bool], float] = {}
        skipped = Skipped(skipped="nothing was tried")
        for precompute in (True, False):
            # A GPU has memory for the largest size, and each size costs the start of a process.
            for size in (8,) if self.work.use_cuda else (1, 2, 4, 8):
                steps = min(self.work.steps, 3)
                result = _run("trl_dpo_best", replace(self.work, batch_size=size, precompute=precompute, steps=steps))
                if isinstance(result, Skipped):
                    skipped = result
                    break
                rates[size, precompute] = result.rate
        if not rates:
            return skipped
        size, precompute = max(rates, key=lambda tried: rates[tried])
        swept = {
            f"batch {size}, reference {'precomputed' if precompute else 'in each step'}": round(rate, 3)
            for (size, precompute), rate in rates.items()
        }
        return BestSettings(batch_size=size, precompute=precompute, swept=swept)


def _results(
    facts: TrainingFacts, measured: Mapping[str, Sequence[TrainingMeasurement]], peak: float
) -> dict[str, TrainingResult]:
    """All rounds of each contender in one result, with its share of the machine's peak (GFLOP/s), and the difference of
    Tarazu's losses from TRL's."""
    seconds = {name: statistics.median(one.seconds for one in rounds) for name, rounds in measured.items()}
    rates = {name: rounds[0].rate * rounds[0].seconds / seconds[name] for name, rounds in measured.items()}
    gflops = {name: rate * _flops(facts, _method(name)) / 1e9 for name, rate in rates.items()}
    peak = max(peak, *gflops.values(), 0.0)  # a contender that is faster shows that the measurements were disturbed
    results = {}
    for name, rounds in measured.items():
        differences = _loss_differences(measured, name)
        on_sequences = _method(name) == "sft"
        results[name] = TrainingResult(
            pairs_per_s=None if on_sequences else rates[name],
            sequences_per_s=rates[name] if on_sequences else None,
            seconds=seconds[name],
            matmul_gflops=max(one.matmul_gflops for one in rounds),
            peak_memory_mib=max(one.peak_memory_mib for one in rounds),
            losses=rounds[0].losses,
            lowest=min(one.rate for one in rounds),
            highest=max(one.rate for one in rounds),
            rounds=tuple(TrainingRound(**one.model_dump(include=set(TrainingRound.model_fields))) for one in rounds),
            tokens_per_s=rates[name] * (facts.tokens_per_sequence if on_sequences else facts.tokens_per_pair),
            share_of_peak=gflops[name] / peak,
            largest_loss_difference=max(differences) if differences else None,
            mean_loss_difference=statistics.mean(differences) if differences else None,
        )
    return results


def _method(name: str) -> str:
    """dpo, sft or reward."""
    return name.split("_")[1]


def _flops(facts: TrainingFacts, method: str) -> float:
    """The operations of a pair or sequence."""
    counts = {"dpo": facts.flops_per_pair, "sft": facts.flops_per_sequence, "reward": facts.flops_per_reward_pair}
    return counts[method]


def _loss_differences(measured: Mapping[str, Sequence[TrainingMeasurement]], name: str) -> list[float]:
    """The difference of Tarazu's loss from TRL's at each step, if `name` is Tarazu's and TRL has run too."""
    theirs = measured.get(f"trl_{_method(name)}_default")
    if not name.startswith("tarazu_") or theirs is None:
        return []
    return [abs(x - y) for x, y in zip(measured[name][0].losses, theirs[0].losses, strict=True)]


def _source_study_hours(results: Mapping[str, TrainingResult]) -> float | None:
    """The hours that the source study's training takes at these rates."""
    if not all(name in results for name in SOURCE_STUDY):
        return None
    return sum(rows / results[name].rate for name, rows in SOURCE_STUDY.items()) / 3600

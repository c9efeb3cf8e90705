"""`tarazu bench generate`: Tarazu's decoding, transformers' generate and CTranslate2 on the same model and prompts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from tarazu.bench.models import SEED, model_facts, write_model
from tarazu.bench.results import (
    GenerationFacts,
    GenerationMeasurement,
    GenerationReport,
    GenerationResult,
    GenerationTask,
    Skipped,
    Sweep,
    this_machine,
)
from tarazu.bench.settings import GenerationBench
from tarazu.bench.subprocesses import Work, run_in_subprocess
from tarazu.data.prompts import load_prompts
from tarazu.data.rows import KINDS
from tarazu.errors import BadInput
from tarazu.progress import Progress
from tarazu.respond.agreement import agreement
from tarazu.study.generation import Generation
from tarazu.study.sources import MultiJailPrompts, ParallelPrompts

CONTENDERS = ("tarazu", "hf_batch1", "hf_best", "ctranslate2")
LANGUAGES = ("ar", "bn", "en", "es", "fr", "hi", "id", "my", "sw", "zh")
"""Ten of the shipped set's languages."""
MULTIJAIL_LANGUAGES = ("ar", "bn", "en", "it", "jv", "ko", "sw", "th", "vi", "zh")
BATCHES = (8, 16, 32, 64, 128)
"""Batch sizes that are tried for hf_best, each with prompts in random order and sorted by length."""
SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")
MAX_PROMPT_TOKENS = 256


@dataclass(frozen=True, kw_only=True)
class GenerationWork(Work):
    """The task of every contender. `folder` has the model and the prompts' tokens (`prompts.json`, shuffled)."""

    new_tokens: int
    use_bf16: bool
    prompts: int
    batches: tuple[int, ...]
    ends: tuple[int, ...] = ()
    pad: int = 1
    batch_size: int = 1
    sort: bool = False


def bench_generate(bench: GenerationBench, progress: Progress) -> GenerationReport:
    """Run the contenders in turn, each in a separate process, for several rounds, and keep the best round of each.

    Raises BadInput for an unknown contender or too few prompts.
    """
    unknown = [name for name in bench.only if name not in CONTENDERS]
    if unknown:
        raise BadInput(f"--only {unknown[0]}: no such contender; there are {', '.join(CONTENDERS)}")
    names = [name for name in CONTENDERS if not bench.only or name in bench.only]
    with tempfile.TemporaryDirectory(prefix="tarazu-bench-") as folder:
        progress.stage("work")
        work = GenerationWork(
            folder=folder,
            new_tokens=bench.new_tokens,
            use_bf16=_has_cuda(),
            prompts=bench.prompts,
            batches=BATCHES,
        )
        work, task = _prepare(work, bench)
        progress.done(f"{task.prompts} prompts of {task.prompt_tokens:.0f} tokens, {task.parameters:,} weights")
        plans = dict.fromkeys(names, work)
        if "hf_batch1" in plans:
            plans["hf_batch1"] = replace(work, prompts=min(bench.alone, bench.prompts))
        swept: dict[str, float] = {}
        if "hf_best" in plans:
            progress.stage("hf_best, swept")
            plans["hf_best"], swept = _sweep(work)
            progress.done(f"batch {plans['hf_best'].batch_size}{', sorted' if plans['hf_best'].sort else ''}")
        rounds: dict[str, list[GenerationMeasurement]] = {name: [] for name in names}
        skipped: dict[str, Skipped] = {}
        for number in range(bench.rounds):
            for name in names:
                progress.stage(f"{name}, round {number + 1}")
                result = _run(name, plans[name])
                if isinstance(result, Skipped):
                    skipped[name] = result
                    progress.done(result.skipped)
                else:
                    rounds[name].append(result)
                    progress.done(f"{result.responses_per_s:.2f} responses a second")
    measured = {name: results for name, results in rounds.items() if results}
    contenders: dict[str, GenerationResult | Skipped] = {**_results(task, measured)}
    if "hf_best" in measured:
        best = plans["hf_best"]
        chosen = {"batch_size": best.batch_size, "sorted": best.sort, "swept": swept}
        contenders["hf_best"] = contenders["hf_best"].model_copy(update=chosen)
    flops, byte_rate = _limits(measured)
    return GenerationReport(
        machine=this_machine(matmul_gflops=flops / 1e9, memory_gb_per_s=byte_rate / 1e9),
        work=GenerationFacts(
            **task.model_dump(),
            limit_responses_per_s=flops / task.flops_per_response,
            limit_alone_responses_per_s=byte_rate / (task.bytes_per_step * task.new_tokens),
        ),
        contenders={name: skipped[name] if name in skipped else contenders[name] for name in names},
    )


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _prepare(work: GenerationWork, bench: GenerationBench) -> tuple[GenerationWork, GenerationTask]:
    """Write the model and the prompts' tokens into the folder. Returns the work with the model's end and padding
    tokens, and facts about it for the reader."""
    import random

    from tarazu.align.flops import cost
    from tarazu.conversation.formats import format_of
    from tarazu.conversation.tokens import end_ids, padding_id
    from tarazu.respond.finish import fit_prompt

    texts = _texts(bench.multijail)
    model, tokenizer = write_model(Path(work.folder) / "model", bench, texts)
    prompts = format_of(Generation(), tokenizer).prompts(texts)
    rows = [fit_prompt(prompt.ids, MAX_PROMPT_TOKENS, tokenizer.bos_token_id) for prompt in prompts]
    rows = list(dict.fromkeys(rows))
    if len(rows) < work.prompts:
        raise BadInput(f"{bench.multijail or 'the parallel set'}: has {len(rows)} distinct prompts; lower --prompts")
    random.Random(SEED).shuffle(rows)
    rows = rows[: work.prompts]
    (Path(work.folder) / "prompts.json").write_text(json.dumps(rows), encoding="utf-8")
    each = cost(model)
    mean = sum(map(len, rows)) / len(rows)
    passed = mean + work.new_tokens - 1  # the last token is generated but not read
    facts = model_facts(model, bench)
    work = replace(work, ends=tuple(end_ids(model, tokenizer)), pad=padding_id(model, tokenizer))
    return work, GenerationTask(
        **facts.model_dump(),
        data=bench.multijail.name if bench.multijail else "the shipped parallel set (machine-authored)",
        prompts=len(rows),
        prompt_tokens=mean,
        new_tokens=work.new_tokens,
        precision="bfloat16" if work.use_bf16 else "float32",
        flops="counted: 2 per weight of a matrix and token, attention's scores and sums, logits of new tokens",
        flops_per_response=each.token * passed
        + each.attended * passed * (passed + 1) / 2
        + each.predicted * work.new_tokens,
        bytes_per_step=facts.parameters * (2 if work.use_bf16 else 4),
    )


def _texts(multijail: Path | None) -> list[str]:
    """Prompts in ten languages."""
    if multijail is not None:
        source = MultiJailPrompts(source="multijail", path=str(multijail.resolve()))
        loaded = load_prompts(source, "harmful", languages=MULTIJAIL_LANGUAGES, root=None, seed=SEED)
        return [row.text for row in loaded.rows]
    return [
        row.text
        for split in SPLITS
        for kind in KINDS
        for row in load_prompts(
            ParallelPrompts(source="parallel", split=split), kind, languages=LANGUAGES, root=None, seed=SEED
        ).rows
    ]


_MODULE = "tarazu.bench.generate_contenders"
_RESULT: TypeAdapter[GenerationMeasurement | Skipped] = TypeAdapter(GenerationMeasurement | Skipped)


def _run(name: str, work: GenerationWork) -> GenerationMeasurement | Skipped:
    return _RESULT.validate_json(run_in_subprocess(_MODULE, name, work))


def _sweep(work: GenerationWork) -> tuple[GenerationWork, dict[str, float]]:
    """The best batch size and order of prompts for generate, from a short run of each."""
    trials = Sweep.model_validate_json(run_in_subprocess(_MODULE, "hf_sweep", work)).trials
    best = max(trials, key=lambda trial: trial.rate)
    rates = {f"batch {trial.batch_size}, {_order(trial.sort)}": round(trial.rate, 3) for trial in trials}
    return replace(work, batch_size=best.batch_size, sort=best.sort), rates


def _order(sort: bool) -> str:
    return "sorted by length" if sort else "as they come"


def _limits(measured: Mapping[str, Sequence[GenerationMeasurement]]) -> tuple[float, float]:
    """Operations and bytes read per second of this machine: the best of all rounds."""
    rounds = [one for results in measured.values() for one in results]
    return max((one.peak_flops for one in rounds), default=0.0), max((one.peak_bytes for one in rounds), default=0.0)


def _results(
    task: GenerationTask, measured: Mapping[str, Sequence[GenerationMeasurement]]
) -> dict[str, GenerationResult]:
    """The best round of each contender, with its share of the machine's peak, its agreement with plain generate, and
    how many times as fast Tarazu is."""
    best = {name: max(results, key=lambda one: one.responses_per_s) for name, results in measured.items()}
    rates = {name: one.responses_per_s for name, one in best.items()}
    # A contender that is faster than the measured peak shows that the measurement was disturbed.
    peak = max([_limits(measured)[0], *(rate * task.flops_per_response for rate in rates.values())])
    plain = best.get("hf_batch1")
    results = {}
    for name, one in best.items():
        agreed = None
        if plain is not None and plain.tokens:
            count = len(plain.tokens)
            agreed = agreement(one.tokens[:count], plain.tokens[: len(one.tokens)], plain.leads)
        times = {f"times_{other}": rates[name] / rate for other, rate in rates.items() if other != name}
        results[name] = GenerationResult(
            responses_per_s=one.responses_per_s,
            tokens_per_s=one.tokens_per_s,
            seconds=one.seconds,
            responses=one.responses,
            peak_memory_mib=one.peak_memory_mib,
            rounds=tuple(turn.responses_per_s for turn in measured[name]),
            share_of_peak=one.responses_per_s * task.flops_per_response / peak,
            token_agreement=agreed.share if agreed else None,
            agreement=agreed,
            **(times if name == "tarazu" else {}),
        )
    return results


def bench_text(report: GenerationReport) -> str:
    """The result for a terminal."""
    machine, work = report.machine, report.work
    lines = [
        f"{machine.processor}, {machine.cores} cores, accelerators: {', '.join(machine.accelerators) or 'none'}",
        f"matrix products reach {machine.matmul_gflops:,.0f} GFLOP/s ({work.precision}), memory is read at "
        f"{machine.memory_gb_per_s:.1f} GB/s",
        f"{work.shape} ({work.parameters:,} weights: {work.weights}), {work.prompts} prompts of {work.data}, "
        f"{work.prompt_tokens:.0f} tokens each, {work.new_tokens} new tokens",
        f"limits: {work.limit_responses_per_s:.1f} responses a second by arithmetic; "
        f"{work.limit_alone_responses_per_s:.1f} one at a time, by reading the weights for each token",
        "",
        f"{'contender':<13}{'a second':>10}{'tokens/s':>10}{'of peak':>9}{'MiB':>8}{'agreement':>11}  notes",
    ]
    for name, contender in report.contenders.items():
        if isinstance(contender, Skipped):
            lines.append(f"{name:<13}skipped: {contender.skipped}")
            continue
        notes = []
        if contender.batch_size is not None:
            notes.append(f"batch {contender.batch_size}, {'sorted' if contender.sorted else 'as they come'}")
        counted = contender.agreement
        if counted is not None:
            notes.append(f"{counted.equal} equal, {counted.near_ties} near-ties, {counted.differing} differing")
        agreed = f"{counted.share:.1%}" if counted is not None else "-"
        lines.append(
            f"{name:<13}{contender.responses_per_s:>10.2f}{contender.tokens_per_s:>10,.0f}"
            f"{contender.share_of_peak:>9.0%}{contender.peak_memory_mib:>8,.0f}{agreed:>11}  {'; '.join(notes)}"
        )
    ours = report.contenders.get("tarazu")
    times = ours.times if isinstance(ours, GenerationResult) else {}
    lines += ["", *(f"tarazu is {ratio:.2f} times as fast as {name}" for name, ratio in times.items())]
    return "\n".join(lines).rstrip() + "\n"

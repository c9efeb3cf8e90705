"""`tarazu bench generate`: Tarazu's decoding, transformers' generate, CTranslate2, llama.cpp and OpenVINO GenAI on the
same model and prompts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from tarazu.bench.model_files import ModelFile, model_files
from tarazu.bench.models import SEED, has_cuda, model_facts, use_bf16, write_model
from tarazu.bench.results import (
    GenerationFacts,
    GenerationMeasurement,
    GenerationReport,
    GenerationResult,
    GenerationSettings,
    GenerationTask,
    Skipped,
    Sweep,
    this_machine,
)
from tarazu.bench.settings import GenerationBench
from tarazu.bench.subprocesses import Stopped, Work, run_in_subprocess
from tarazu.data.prompts import load_prompts
from tarazu.data.rows import KINDS
from tarazu.errors import BadInput, TarazuError
from tarazu.progress import Progress
from tarazu.respond.agreement import agreement
from tarazu.study.generation import Generation
from tarazu.study.sources import MultiJailPrompts, ParallelPrompts

CONTENDERS = ("tarazu", "hf_batch1", "hf_best", "ctranslate2")
LANGUAGES = ("ar", "bn", "en", "es", "fr", "hi", "id", "my", "sw", "zh")
"""Ten of the shipped set's languages."""
MULTIJAIL_LANGUAGES = ("ar", "bn", "en", "it", "jv", "ko", "sw", "th", "vi", "zh")
SWEPT = ("hf_best", "llama_cpp", "openvino")
"""Programs that run at the best of several batch sizes."""
BATCHES, GPU_BATCHES = (8, 16, 32, 64, 128), (64, 128, 256, 512)
"""Batch sizes that are tried on a processor and on a GPU; for hf_best, each with prompts in random order and sorted by
length."""
SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")
MAX_PROMPT_TOKENS = 256


@dataclass(frozen=True, kw_only=True)
class GenerationWork(Work):
    """The task of every contender. `folder` has the model and the prompts' tokens (`prompts.json`, shuffled). `file` is
    the model in the format of another program, whose weights are or are not `float32`. llama.cpp may `repack` them for
    the processor's kernels."""

    new_tokens: int
    use_bf16: bool
    use_cuda: bool
    prompts: int
    batches: tuple[int, ...]
    ends: tuple[int, ...] = ()
    pad: int = 1
    batch_size: int = 1
    sort: bool = False
    file: str = ""
    float32: bool = True
    repack: bool = True


def bench_generate(bench: GenerationBench, progress: Progress) -> GenerationReport:
    """Run the contenders in turn, each in a separate process, for several rounds, and keep the best round of each.

    Raises BadInput for an unknown contender or too few prompts.
    """
    files = model_files(bench)
    known = (*CONTENDERS, *files)
    unknown = [name for name in bench.only if name not in known]
    if unknown:
        more = "" if files else "; --gguf and --openvino add others"
        raise BadInput(f"--only {unknown[0]}: no such contender; there are {', '.join(known)}{more}")
    names = [name for name in known if not bench.only or name in bench.only]
    with tempfile.TemporaryDirectory(prefix="tarazu-bench-") as folder:
        progress.stage("work")
        tried = GPU_BATCHES if has_cuda() else BATCHES
        work = GenerationWork(
            folder=folder,
            new_tokens=bench.new_tokens,
            use_bf16=use_bf16(bench),
            use_cuda=has_cuda(),
            prompts=bench.prompts,
            batches=tuple(size for size in tried if size <= bench.prompts) or (bench.prompts,),
        )
        work, task = _prepare(work, bench, [files[name] for name in names if name in files])
        progress.done(f"{task.prompts} prompts of {task.prompt_tokens:.0f} tokens, {task.parameters:,} weights")
        plans = {name: _plan(name, files.get(name), work, bench) for name in names}
        reasons = {name: file.unavailable(cuda=work.use_cuda) for name, file in files.items() if name in names}
        skipped = {name: Skipped(skipped=reason) for name, reason in reasons.items() if reason}
        for name in [name for name in names if plans[name].program in SWEPT and name not in skipped]:
            progress.stage(f"{name}, swept")
            swept = _swept(plans[name])
            if isinstance(swept, Skipped):
                skipped[name] = swept
                progress.done(swept.skipped)
            else:
                plans[name] = swept
                best = max((swept.settings.swept or {}).values())
                progress.done(f"{'; '.join(swept.settings.notes)}: {best:.2f} responses a second")
        rounds: dict[str, list[GenerationMeasurement]] = {name: [] for name in names}
        for number in range(bench.rounds):
            for name in [name for name in names if name not in skipped]:
                progress.stage(f"{name}, round {number + 1}")
                result = _run(plans[name])
                if isinstance(result, Skipped):
                    skipped[name] = result
                    progress.done(result.skipped)
                else:
                    rounds[name].append(result)
                    progress.done(f"{result.responses_per_s:.2f} responses a second")
    measured = {name: results for name, results in rounds.items() if results}
    results = _results(task, measured)
    contenders = {name: results[name].model_copy(update=dict(plans[name].settings)) for name in results}
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


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """How a contender runs: its program (a name of `generate_contenders.RUN`), its work, and what the reader learns."""

    program: str
    work: GenerationWork
    settings: GenerationSettings = field(default_factory=GenerationSettings)

    def without_repacking(self) -> _Plan:
        """This plan with llama.cpp's weights as they are in the file (its option `--no-repack`)."""
        precision = f"{self.settings.precision}, not repacked (llama.cpp crashes here if they are)"
        settings = self.settings.model_copy(update={"precision": precision})
        return replace(self, work=replace(self.work, repack=False), settings=settings)

    def at_best(self, sweep: Sweep) -> _Plan:
        """This plan with the fastest settings of a sweep."""
        best = max(sweep.trials, key=lambda trial: trial.rate)
        chosen = {
            "batch_size": best.batch_size,
            "sorted": best.sort,
            "swept": {trial.text: round(trial.rate, 3) for trial in sweep.trials},
        }
        work = replace(self.work, batch_size=best.batch_size, sort=bool(best.sort))
        return replace(self, work=work, settings=self.settings.model_copy(update=chosen))


def _plan(name: str, file: ModelFile | None, work: GenerationWork, bench: GenerationBench) -> _Plan:
    if file is not None:
        work = replace(work, file=str(file.path.resolve()), float32=file.float32)
        return _Plan(program=file.program, work=work, settings=GenerationSettings(precision=file.precision))
    if name == "hf_batch1":
        work = replace(work, prompts=min(bench.alone, bench.prompts))
    settings = GenerationSettings(precision="float32" if name == "ctranslate2" and work.use_bf16 else None)
    return _Plan(program=name, work=work, settings=settings)


def _prepare(
    work: GenerationWork, bench: GenerationBench, files: Sequence[ModelFile]
) -> tuple[GenerationWork, GenerationTask]:
    """Write the model and the prompts' tokens into the folder. Returns the work with the model's end and padding
    tokens, and facts about it for the reader. Raises BadInput for files of another model."""
    import random

    from tarazu.align.flops import cost
    from tarazu.conversation.formats import format_of
    from tarazu.conversation.tokens import end_ids, padding_id
    from tarazu.respond.finish import fit_prompt

    texts = _texts(bench.multijail)
    model, tokenizer = write_model(Path(work.folder) / "model", bench, texts)
    for file in files:
        file.check(model)
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


def _run(plan: _Plan) -> GenerationMeasurement | Skipped:
    try:
        return _RESULT.validate_json(run_in_subprocess(_MODULE, plan.program, plan.work))
    except Stopped as error:
        return Skipped(skipped=str(error))


_SWEEP: TypeAdapter[Sweep | Skipped] = TypeAdapter(Sweep | Skipped)


def _swept(plan: _Plan) -> _Plan | Skipped:
    """The plan with the best settings of a short run with each. llama.cpp's kernels for repacked weights crash on some
    processors with AMX; it is then tried without them. Where memory does not suffice for the largest batch, it is
    omitted. A file that its program cannot use stops no other contender."""
    try:
        trials = _SWEEP.validate_json(run_in_subprocess(_MODULE, f"{plan.program}_sweep", plan.work))
    except Stopped as error:
        if plan.program == "llama_cpp" and plan.work.repack:
            return _swept(plan.without_repacking())
        *smaller, _ = plan.work.batches
        if smaller:
            return _swept(replace(plan, work=replace(plan.work, batches=tuple(smaller))))
        return Skipped(skipped=str(error))
    except TarazuError as error:
        if not plan.work.file:
            raise
        return Skipped(skipped=str(error))
    return trials if isinstance(trials, Skipped) else plan.at_best(trials)


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

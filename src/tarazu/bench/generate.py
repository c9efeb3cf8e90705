"""`tarazu bench generate`: Tarazu's decoding, transformers' generate and CTranslate2 on the same model and prompts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tarazu.bench.models import SEED, model_facts, write_model
from tarazu.bench.subprocesses import run_in_subprocess
from tarazu.data.prompts import load_prompts
from tarazu.data.rows import KINDS
from tarazu.errors import BadInput
from tarazu.progress import Progress
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
class GenerationWork:
    """The task of every contender. `folder` has the model and the prompts' tokens (`prompts.json`, shuffled)."""

    folder: str
    new_tokens: int
    use_bf16: bool
    prompts: int
    batches: tuple[int, ...]
    ends: tuple[int, ...] = ()
    pad: int = 1
    batch_size: int = 1
    sort: bool = False


@dataclass(frozen=True, kw_only=True)
class GenerationBench:
    """What to measure.

    `checkpoint` (a folder or a Hub name) replaces the random weights of `shape`. hf_batch1 answers only the first
    `alone` prompts, because each takes it some seconds. `multijail` is a file of MultiJail's prompts in ten languages
    (default: the shipped parallel set). `only` names contenders (default: all).
    """

    shape: str = "45m"
    checkpoint: str | None = None
    multijail: Path | None = None
    prompts: int = 256
    new_tokens: int = 50
    alone: int = 32
    rounds: int = 2
    only: Sequence[str] = ()


def bench_generate(bench: GenerationBench, progress: Progress) -> dict[str, Any]:
    """Run the contenders in turn, each in a separate process, for several rounds, and keep the best round of each.

    Returns {machine, work, contenders} (docs/benchmarks.md has the fields). Raises BadInput.
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
        work, facts = _prepare(work, bench)
        progress.done(
            f"{facts['prompts']} prompts of {facts['prompt_tokens']:.0f} tokens, {facts['parameters']:,} weights"
        )
        plans = dict.fromkeys(names, work)
        if "hf_batch1" in plans:
            plans["hf_batch1"] = replace(work, prompts=min(bench.alone, bench.prompts))
        swept: dict[str, float] = {}
        if "hf_best" in plans:
            progress.stage("hf_best, swept")
            plans["hf_best"], swept = _sweep(work)
            progress.done(f"batch {plans['hf_best'].batch_size}{', sorted' if plans['hf_best'].sort else ''}")
        results: dict[str, dict[str, Any]] = {}
        peaks: list[tuple[float, float]] = []
        for number in range(bench.rounds):
            for name in names:
                progress.stage(f"{name}, round {number + 1}")
                result = _run(name, plans[name])
                if "skipped" in result:
                    results[name] = result
                    progress.done(result["skipped"])
                    continue
                peaks.append((result.pop("peak_flops"), result.pop("peak_bytes")))
                rates = [*results.get(name, {}).get("rounds", []), result["responses_per_s"]]
                if name not in results or result["responses_per_s"] > results[name]["responses_per_s"]:
                    results[name] = result
                results[name]["rounds"] = rates
                progress.done(f"{result['responses_per_s']:.2f} responses a second")
        if "hf_best" in results:
            best = plans["hf_best"]
            results["hf_best"] |= {"batch_size": best.batch_size, "sorted": best.sort, "swept": swept}
    flops, byte_rate = (max(column) for column in zip(*peaks, strict=True)) if peaks else (0.0, 0.0)
    return _report(facts, results, flops, byte_rate)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _prepare(work: GenerationWork, bench: GenerationBench) -> tuple[GenerationWork, dict[str, Any]]:
    """Write the model and the prompts' tokens into the folder. Returns the work with the model's end and padding
    tokens, and facts about it for the reader."""
    shape, checkpoint, multijail = bench.shape, bench.checkpoint, bench.multijail
    import random

    from tarazu.align.flops import cost
    from tarazu.conversation.formats import format_of
    from tarazu.conversation.tokens import end_ids, padding_id
    from tarazu.respond.finish import fit_prompt

    texts = _texts(multijail)
    model, tokenizer = write_model(Path(work.folder) / "model", shape=shape, checkpoint=checkpoint, texts=texts)
    prompts = format_of(Generation(), tokenizer).prompts(texts)
    rows = [fit_prompt(prompt.ids, MAX_PROMPT_TOKENS, tokenizer.bos_token_id) for prompt in prompts]
    rows = list(dict.fromkeys(rows))
    if len(rows) < work.prompts:
        raise BadInput(f"{multijail or 'the parallel set'}: has {len(rows)} distinct prompts; lower --prompts")
    random.Random(SEED).shuffle(rows)
    rows = rows[: work.prompts]
    (Path(work.folder) / "prompts.json").write_text(json.dumps(rows), encoding="utf-8")
    each = cost(model)
    mean = sum(map(len, rows)) / len(rows)
    passed = mean + work.new_tokens - 1  # the last token is generated but not read
    facts = model_facts(model, shape=shape, checkpoint=checkpoint)
    work = replace(work, ends=tuple(end_ids(model, tokenizer)), pad=padding_id(model, tokenizer))
    return work, {
        **facts,
        "data": multijail.name if multijail else "the shipped parallel set (machine-authored)",
        "prompts": len(rows),
        "prompt_tokens": mean,
        "new_tokens": work.new_tokens,
        "precision": "bfloat16" if work.use_bf16 else "float32",
        "flops": "counted: 2 per weight of a matrix and token, attention's scores and sums, logits of new tokens",
        "flops_per_response": each.token * passed
        + each.attended * passed * (passed + 1) / 2
        + each.predicted * work.new_tokens,
        "bytes_per_step": facts["parameters"] * (2 if work.use_bf16 else 4),
    }


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


def _run(name: str, work: GenerationWork) -> dict[str, Any]:
    return run_in_subprocess("tarazu.bench.generate_contenders", name, asdict(work))


def _sweep(work: GenerationWork) -> tuple[GenerationWork, dict[str, float]]:
    """The best batch size and order of prompts for generate, from a short run of each."""
    tried = _run("hf_sweep", work)["swept"]
    size, sort, _ = max(tried, key=lambda one: one[2])
    rates = {f"batch {n}, {'sorted by length' if by else 'as they come'}": round(rate, 3) for n, by, rate in tried}
    return replace(work, batch_size=size, sort=sort), rates


def _report(
    facts: dict[str, Any], results: dict[str, dict[str, Any]], flops: float, byte_rate: float
) -> dict[str, Any]:
    """Add the machine's limits, the agreement with plain generate, and the ratios."""
    from tarazu.respond.agreement import agreement
    from tarazu.run.lock import hardware, versions

    plain = results.get("hf_batch1", {})
    rows, leads = plain.get("tokens", []), plain.get("leads", [])
    measured = [result for result in results.values() if "skipped" not in result]
    # A contender that is faster than the measured peak shows that the measurement was disturbed.
    peak = max([flops, *(result["responses_per_s"] * facts["flops_per_response"] for result in measured)])
    for result in measured:
        result["share_of_peak"] = result["responses_per_s"] * facts["flops_per_response"] / peak
        if rows:
            counted = agreement(result["tokens"][: len(rows)], rows[: len(result["tokens"])], leads)
            result["token_agreement"] = counted.share
            result["agreement"] = asdict(counted)
    for result in results.values():
        result.pop("tokens", None)
        result.pop("leads", None)
    rates = {name: result["responses_per_s"] for name, result in results.items() if "skipped" not in result}
    if "tarazu" in rates:
        for name, rate in rates.items():
            if name != "tarazu":
                results["tarazu"][f"times_{name}"] = rates["tarazu"] / rate
    facts["limit_responses_per_s"] = flops / facts["flops_per_response"]
    facts["limit_alone_responses_per_s"] = byte_rate / (facts["bytes_per_step"] * facts["new_tokens"])
    machine = {
        **hardware(),
        "matmul_gflops": flops / 1e9,
        "memory_gb_per_s": byte_rate / 1e9,
        "versions": versions(),
    }
    return {"machine": machine, "work": facts, "contenders": results}


def bench_text(result: dict[str, Any]) -> str:
    """The result for a terminal."""
    machine, work = result["machine"], result["work"]
    accelerators = ", ".join(machine["accelerators"]) or "none"
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, accelerators: {accelerators}",
        f"matrix products reach {machine['matmul_gflops']:,.0f} GFLOP/s ({work['precision']}), memory is read at "
        f"{machine['memory_gb_per_s']:.1f} GB/s",
        f"{work['shape']} ({work['parameters']:,} weights: {work['weights']}), "
        f"{work['prompts']} prompts of {work['data']}, {work['prompt_tokens']:.0f} tokens each, "
        f"{work['new_tokens']} new tokens",
        f"limits: {work['limit_responses_per_s']:.1f} responses a second by arithmetic; "
        f"{work['limit_alone_responses_per_s']:.1f} one at a time, by reading the weights for each token",
        "",
        f"{'contender':<13}{'a second':>10}{'tokens/s':>10}{'of peak':>9}{'MiB':>8}{'agreement':>11}  notes",
    ]
    for name, contender in result["contenders"].items():
        if "skipped" in contender:
            lines.append(f"{name:<13}skipped: {contender['skipped']}")
            continue
        notes = []
        if "batch_size" in contender:
            notes.append(f"batch {contender['batch_size']}, {'sorted' if contender['sorted'] else 'as they come'}")
        counted = contender.get("agreement")
        if counted:
            notes.append(
                f"{counted['equal']} equal, {counted['near_ties']} near-ties, {counted['differing']} differing"
            )
        agreed = f"{contender['token_agreement']:.1%}" if counted else "-"
        lines.append(
            f"{name:<13}{contender['responses_per_s']:>10.2f}{contender['tokens_per_s']:>10,.0f}"
            f"{contender['share_of_peak']:>9.0%}{contender['peak_memory_mib']:>8,.0f}{agreed:>11}  {'; '.join(notes)}"
        )
    ours = result["contenders"].get("tarazu", {})
    lines += [
        "",
        *(f"tarazu is {ours[key]:.2f} times as fast as {key[6:]}" for key in ours if key.startswith("times_")),
    ]
    return "\n".join(lines).rstrip() + "\n"

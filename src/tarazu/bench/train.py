"""`tarazu bench train`: Tarazu's DPO and SFT, and TRL's, on the same model, pairs and steps."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tarazu.bench.models import SEED, model_facts, write_model
from tarazu.bench.subprocesses import run_in_subprocess
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
class TrainingWork:
    """The task of every contender. `folder` has the initial model and the pairs (`pairs.jsonl`), which are already in
    training order."""

    folder: str
    steps: int
    max_length: int
    lora: bool
    use_bf16: bool
    batch_size: int = PER_STEP
    precompute: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingBench:
    """What to measure.

    `checkpoint` (a folder or a Hub name) replaces the random weights of `shape`. `pairs` is a file in HH-RLHF's format
    (default: the shipped parallel set). `prompt_tokens` keeps pairs whose prompts have a number of tokens in this
    range. `only` names contenders (default: all).
    """

    shape: str = "45m"
    checkpoint: str | None = None
    pairs: Path | None = None
    steps: int = 10
    max_length: int = 512
    prompt_tokens: tuple[int, int] | None = None
    lora: bool = False
    only: Sequence[str] = ()
    rounds: int = 3


def bench_train(bench: TrainingBench, progress: Progress) -> dict[str, Any]:
    """Run the contenders in turn for several rounds. Returns {machine, work, contenders}, and on CUDA `attention`
    (docs/benchmarks.md has the fields). Raises BadInput if there are too few pairs."""
    unknown = [name for name in bench.only if name not in CONTENDERS]
    if unknown:
        raise BadInput(f"--only {unknown[0]}: no such contender; there are {', '.join(CONTENDERS)}")
    with tempfile.TemporaryDirectory(prefix="tarazu-bench-") as folder:
        progress.stage("work")
        work = TrainingWork(
            folder=folder, steps=bench.steps, max_length=bench.max_length, lora=bench.lora, use_bf16=_has_cuda()
        )
        facts = _prepare(work, bench)
        progress.done(
            f"{facts['pairs']} pairs of {facts['tokens_per_pair']:.0f} tokens, {facts['parameters']:,} weights"
        )
        names = [name for name in CONTENDERS if not bench.only or name in bench.only]
        by_name: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        best = _Best(work)
        # The contenders take turns, so that the machine's other load affects all of them equally.
        for turn in range(1, bench.rounds + 1):
            for name, results in by_name.items():
                if results and "skipped" in results[0]:
                    continue
                progress.stage(f"{name}, round {turn} of {bench.rounds}")
                result = best.run() if name == "trl_dpo_best" else _run(name, work)
                results.append(result)
                progress.done(result.get("skipped") or f"{_rate(result):.2f} a second")
        extra = {}
        if work.use_bf16:
            progress.stage("attention")
            try:
                kernels = _run("attention", work)
            except TarazuError as error:  # a kernel may crash its process; keep the other results
                kernels = {"skipped": str(error)}
            extra = {"attention": kernels}
            progress.done(kernels.get("skipped") or f"{kernels['fastest']} is the fastest")
    return {**_report(facts, {name: _in_all(results) for name, results in by_name.items()}), **extra}


def _rate(result: dict[str, Any]) -> float:
    rate: float = result["pairs_per_s" if "pairs_per_s" in result else "sequences_per_s"]
    return rate


def _in_all(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Combine the rounds of a contender: the median time, the highest memory, and the losses of the first round."""
    if "skipped" in results[0]:
        return results[0]
    key = "pairs_per_s" if "pairs_per_s" in results[0] else "sequences_per_s"
    seconds = statistics.median(result["seconds"] for result in results)
    return {
        **results[0],
        key: results[0][key] * results[0]["seconds"] / seconds,
        "seconds": seconds,
        "lowest": min(result[key] for result in results),
        "highest": max(result[key] for result in results),
        "peak_memory_mib": max(result["peak_memory_mib"] for result in results),
        "matmul_gflops": max(result["matmul_gflops"] for result in results),
        "rounds": [{name: result[name] for name in (key, "seconds", "matmul_gflops")} for result in results],
    }


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _prepare(work: TrainingWork, bench: TrainingBench) -> dict[str, Any]:
    """Write the model and the pairs into the folder. Returns facts about the work."""
    shape, checkpoint, path, prompt_tokens = bench.shape, bench.checkpoint, bench.pairs, bench.prompt_tokens
    from tarazu.align.flops import cost
    from tarazu.align.packing import documents_of
    from tarazu.align.schedule import StepSize, schedule
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.conversation.formats import Format
    from tarazu.study.schema import DPOArm, SFTArm

    source = HHPairs(source="hh-rlhf", path=str(path)) if path else ParallelPairs(source="parallel")
    rows = load_pairs(source, root=None, seed=SEED).rows
    texts = (text for row in rows for text in (row.prompt + row.chosen, row.rejected))
    model, tokenizer = write_model(Path(work.folder) / "model", shape=shape, checkpoint=checkpoint, texts=texts)
    kept = []
    for row in rows:
        tokens, _ = tokenize_pairs([row], Format(tokenizer), max_length=work.max_length)
        low, high = prompt_tokens or (0, work.max_length)
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
    return {
        **model_facts(model, shape=shape, checkpoint=checkpoint),
        "data": path.name if path else "the shipped parallel set (machine-authored)",
        "pairs": len(kept),
        "steps": work.steps,
        "pairs_per_step": PER_STEP,
        "max_length": work.max_length,
        "precision": "bfloat16, weights float32" if work.use_bf16 else "float32",
        "lora": work.lora,
        "tokens_per_pair": sum(pair.tokens for pair in pairs) / len(pairs),
        "prompt_tokens": sum(len(pair.stem) for pair in pairs) / len(pairs),
        "flops": "counted: 2 per weight of a matrix and token forward, as much again for each gradient; attention over "
        "the tokens seen; prompts once, logits where a token is predicted, the reference pass included",
        "flops_per_pair": sum(each.forward(pair) + each.step(pair) for pair in pairs) / len(pairs),
        "flops_per_reward_pair": sum(each.headless_step(pair) for pair in pairs) / len(pairs),
        "flops_per_sequence": sum(map(each.step, transcripts)) / len(transcripts),
        "tokens_per_sequence": sum(text.tokens for text in transcripts) / len(transcripts),
    }


def _run(name: str, work: TrainingWork) -> dict[str, Any]:
    return run_in_subprocess("tarazu.bench.train_contenders", name, asdict(work))


class _Best:
    """TRL's fastest DPO. Batch sizes, with the reference precomputed or not, are tried once over a few steps each."""

    def __init__(self, work: TrainingWork) -> None:
        self.work = work
        self.chosen: TrainingWork | None = None
        self.swept: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        if self.chosen is None:
            skipped = self._sweep()
            if skipped:
                return skipped
        assert self.chosen is not None
        return {
            **_run("trl_dpo_best", self.chosen),
            "batch_size": self.chosen.batch_size,
            "precompute": self.chosen.precompute,
            "swept": self.swept,
        }

    def _sweep(self) -> dict[str, Any] | None:
        fastest = 0.0
        for precompute in (True, False):
            # A GPU has memory for the largest size, and each size costs the start of a process.
            for size in (8,) if self.work.use_bf16 else (1, 2, 4, 8):
                chosen = replace(self.work, batch_size=size, precompute=precompute)
                result = _run("trl_dpo_best", replace(chosen, steps=min(self.work.steps, 3)))
                if "skipped" in result:
                    return result
                rate = _rate(result)
                self.swept[f"batch {size}, reference {'precomputed' if precompute else 'in each step'}"] = round(
                    rate, 3
                )
                if rate > fastest:
                    fastest, self.chosen = rate, chosen
        return None


_FLOPS = {"dpo": "flops_per_pair", "sft": "flops_per_sequence", "reward": "flops_per_reward_pair"}
"""The key of the operations per unit of each method in the facts about the work."""


def _report(facts: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """Add the shares of the machine's peak, and the difference of the losses from TRL's."""
    from tarazu.run.lock import hardware, versions

    # Use the highest peak of all processes, so that a peak measured under load cannot make a share too large.
    measured = max((result["matmul_gflops"] for result in results.values() if "skipped" not in result), default=0.0)
    gflops = {
        name: _rate(result) * facts[_FLOPS[name.split("_")[1]]] / 1e9
        for name, result in results.items()
        if "skipped" not in result
    }
    peak = max(measured, *gflops.values(), 0.0)  # a contender that is faster shows that the measurements were disturbed
    for name, rate in gflops.items():
        result, method = results[name], name.split("_")[1]
        result["tokens_per_s"] = _rate(result) * facts["tokens_per_sequence" if method == "sft" else "tokens_per_pair"]
        result["share_of_peak"] = rate / peak
    for method in _FLOPS:
        ours, theirs = f"tarazu_{method}", f"trl_{method}_default"
        a, b = results.get(ours, {}).get("losses"), results.get(theirs, {}).get("losses")
        if a and b:
            differences = [abs(x - y) for x, y in zip(a, b, strict=True)]
            results[ours]["largest_loss_difference"] = max(differences)
            results[ours]["mean_loss_difference"] = statistics.mean(differences)
    if all("skipped" not in results.get(name, {"skipped": ""}) for name in SOURCE_STUDY):
        facts["source_study_hours"] = sum(rows / _rate(results[name]) for name, rows in SOURCE_STUDY.items()) / 3600
    machine = {**hardware(), "matmul_gflops": measured, "versions": versions()}
    return {"machine": machine, "work": facts, "contenders": results}

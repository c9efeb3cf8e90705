"""`tarazu bench train`: our DPO and SFT, and TRL's, on the same model, pairs and steps."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tarazu.data.preferences import load_pairs
from tarazu.errors import BadInput, TarazuError
from tarazu.run.progress import Progress
from tarazu.study.sources import HHPairs, ParallelPairs

CONTENDERS = (
    "tarazu_dpo",
    "trl_dpo_default",
    "trl_dpo_best",
    "tarazu_sft",
    "trl_sft_default",
    "trl_sft_packed",
)

SHAPES: dict[str, dict[str, Any]] = {
    "45m": {
        "hidden_size": 512,
        "word_embed_proj_dim": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "ffn_dim": 2048,
    },
    # facebook/opt-350m's configuration.
    "opt-350m": {
        "hidden_size": 1024,
        "word_embed_proj_dim": 512,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "ffn_dim": 4096,
        "do_layer_norm_before": False,
    },
}
"""OPT configurations with random weights, by name; all have OPT's vocabulary of 50,272."""

PER_STEP = 8  # pairs of an optimizer step: 2 x 4 in the source study
LEARNING_RATE = {"dpo": 1e-6, "sft": 2e-5}  # TRL's defaults
SEED = 0
SOURCE_STUDY = {"tarazu_sft": 2 * 160_800, "tarazu_dpo": 2 * 160_800}
"""Rows trained on in the source study (arXiv 2509.09055): SFT for two epochs, DPO once from base and once from SFT."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every contender does. `folder` holds the model that all start from and the pairs (`pairs.jsonl`), already
    in the order in which they are trained on."""

    folder: str
    steps: int
    max_length: int
    lora: bool
    half: bool
    batch_size: int = PER_STEP
    precompute: bool = False


def bench_train(
    *,
    shape: str,
    pairs: Path | None,
    steps: int,
    max_length: int,
    prompt_tokens: tuple[int, int] | None,
    lora: bool,
    only: Sequence[str],
    progress: Progress,
) -> dict[str, Any]:
    """Run the contenders one after another and return {machine, work, contenders} (docs/benchmarks.md has the fields).

    `pairs` is a file in HH-RLHF's format (default: the shipped parallel set); `prompt_tokens` keeps pairs whose prompts
    have so many tokens. Raises BadInput where there are too few pairs.
    """
    unknown = [name for name in only if name not in CONTENDERS]
    if unknown:
        raise BadInput(f"--only {unknown[0]}: no such contender; there are {', '.join(CONTENDERS)}")
    with tempfile.TemporaryDirectory(prefix="tarazu-bench-") as folder:
        progress.stage("work")
        work = Work(folder=folder, steps=steps, max_length=max_length, lora=lora, half=_has_cuda())
        told = _prepare(work, shape, pairs, prompt_tokens)
        progress.done(f"{told['pairs']} pairs of {told['tokens_per_pair']:.0f} tokens, {told['parameters']:,} weights")
        found: dict[str, Any] = {}
        peaks: list[float] = []
        for name in [name for name in CONTENDERS if not only or name in only]:
            progress.stage(name)
            result = _best(work) if name == "trl_dpo_best" else _contend(name, work)
            peaks.append(result.pop("peak_flops", 0.0))
            found[name] = result
            rate = result.get("pairs_per_s") or result.get("sequences_per_s")
            progress.done(result.get("skipped") or f"{rate:.2f} a second")
    return _report(told, found, max(peaks))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _prepare(work: Work, shape: str, path: Path | None, prompt_tokens: tuple[int, int] | None) -> dict[str, Any]:
    """Write the model and the pairs into the folder; say what the work is."""
    import transformers

    from tarazu.align.flops import cost
    from tarazu.align.packing import documents_of
    from tarazu.align.schedule import schedule
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.bench.tokenizer import train_tokenizer
    from tarazu.study.schema import DPOArm, SFTArm

    source = HHPairs(source="hh-rlhf", path=str(path)) if path else ParallelPairs(source="parallel")
    rows = load_pairs(source, root=None, seed=SEED).rows
    tokenizer = train_tokenizer([text for row in rows for text in (row.prompt + row.chosen, row.rejected)])
    kept = []
    for row in rows:
        tokens, _ = tokenize_pairs([row], tokenizer, max_length=work.max_length)
        low, high = prompt_tokens or (0, work.max_length)
        if tokens and low <= len(tokens[0].prompt) < high:
            kept.append((row, tokens[0]))
    needed = work.steps * PER_STEP
    if len(kept) < needed:
        raise BadInput(
            f"{path or 'the parallel set'}: {len(kept)} pairs fit the lengths asked for, and {work.steps} steps of "
            f"{PER_STEP} need {needed}; lower --steps or widen --prompt-tokens"
        )
    plan = schedule([1] * len(kept), [1] * len(kept), per_step=needed, epochs=1, row_tokens=needed, seed=SEED)
    kept = [kept[index] for index in plan.steps[0][0].documents]
    transformers.set_seed(SEED)
    config = transformers.OPTConfig(
        vocab_size=50272, max_position_embeddings=2048, dropout=0.0, pad_token_id=1, bos_token_id=2, eos_token_id=2,
        **SHAPES[shape],
    )  # fmt: skip
    model = transformers.OPTForCausalLM(config)
    model.save_pretrained(Path(work.folder) / "model")
    tokenizer.save_pretrained(Path(work.folder) / "model")
    with (Path(work.folder) / "pairs.jsonl").open("w", encoding="utf-8") as stream:
        for row, _ in kept:
            stream.write(json.dumps({"prompt": row.prompt, "chosen": row.chosen, "rejected": row.rejected}) + "\n")
    if work.lora:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora" in name)
    each = cost(model)
    tokens = [item for _, item in kept]
    pairs = documents_of(tokens, DPOArm(method="dpo"))
    texts = documents_of(tokens, SFTArm(method="sft"))
    return {
        "shape": shape,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "data": path.name if path else "the shipped parallel set (machine-authored)",
        "pairs": len(kept),
        "steps": work.steps,
        "pairs_per_step": PER_STEP,
        "max_length": work.max_length,
        "precision": "bfloat16, weights float32" if work.half else "float32",
        "lora": work.lora,
        "tokens_per_pair": sum(pair.tokens for pair in pairs) / len(pairs),
        "prompt_tokens": sum(len(pair.stem) for pair in pairs) / len(pairs),
        "flops": "counted: 2 per weight of a matrix and token forward, as much again for each gradient; attention over "
        "the tokens seen; prompts once, logits where a token is predicted, the reference pass included",
        "flops_per_pair": sum(each.forward(pair) + each.step(pair) for pair in pairs) / len(pairs),
        "flops_per_sequence": sum(map(each.step, texts)) / len(texts),
        "tokens_per_sequence": sum(text.tokens for text in texts) / len(texts),
    }


def _contend(name: str, work: Work) -> dict[str, Any]:
    """Run one contender in a process of its own."""
    out = Path(work.folder) / f"{name}.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tarazu.bench.train_contenders", name, json.dumps(asdict(work)), str(out)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if not out.exists():
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        raise TarazuError(f"{name}: ended with {done.returncode}: {last[0]}")
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def _best(work: Work) -> dict[str, Any]:
    """TRL's DPO at its best: batch sizes and the reference precomputed or not, swept over a few steps each."""
    short = replace(work, steps=min(work.steps, 3))
    tried: dict[str, float] = {}
    best: tuple[float, Work] | None = None
    for precompute in (True, False):
        for size in (1, 2, 4, 8):
            option = replace(short, batch_size=size, precompute=precompute)
            result = _contend("trl_dpo_best", option)
            if "skipped" in result:
                return result
            rate = result["pairs_per_s"]
            tried[f"batch {size}, reference {'precomputed' if precompute else 'in each step'}"] = round(rate, 3)
            if best is None or rate > best[0]:
                best = rate, replace(work, batch_size=size, precompute=precompute)
    assert best is not None
    return {
        **_contend("trl_dpo_best", best[1]),
        "batch_size": best[1].batch_size,
        "precompute": best[1].precompute,
        "swept": tried,
    }


def _report(told: dict[str, Any], found: dict[str, Any], peak: float) -> dict[str, Any]:
    """Add the shares of the machine's peak, and how far the losses are from TRL's."""
    from tarazu.run.lock import hardware, versions

    for name, result in found.items():
        if "skipped" in result:
            continue
        pairwise = "dpo" in name
        rate = result["pairs_per_s" if pairwise else "sequences_per_s"]
        result["tokens_per_s"] = rate * told["tokens_per_pair" if pairwise else "tokens_per_sequence"]
        result["share_of_peak"] = rate * told["flops_per_pair" if pairwise else "flops_per_sequence"] / peak
    for ours, theirs in (("tarazu_dpo", "trl_dpo_default"), ("tarazu_sft", "trl_sft_default")):
        a, b = found.get(ours, {}).get("losses"), found.get(theirs, {}).get("losses")
        if a and b:
            found[ours]["largest_loss_difference"] = max(abs(x - y) for x, y in zip(a, b, strict=True))
    rates = {name: found[name].get("pairs_per_s") or found[name].get("sequences_per_s") for name in found}
    if all(rates.get(name) for name in SOURCE_STUDY):
        told["source_study_hours"] = sum(rows / rates[name] for name, rows in SOURCE_STUDY.items()) / 3600
    machine = {**hardware(), "matmul_gflops": peak / 1e9, "versions": versions()}
    return {"machine": machine, "work": told, "contenders": found}


def bench_text(result: dict[str, Any]) -> str:
    """The result for a terminal."""
    machine, work = result["machine"], result["work"]
    accelerators = ", ".join(machine["accelerators"]) or "none"
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, accelerators: {accelerators}",
        f"matrix products reach {machine['matmul_gflops']:,.0f} GFLOP/s ({work['precision']})",
        f"{work['shape']} ({work['parameters']:,} weights), {work['pairs']} pairs of {work['data']}, "
        f"{work['tokens_per_pair']:.0f} tokens a pair, {work['flops_per_pair'] / 1e9:.1f} GFLOP a pair",
        "",
        f"{'contender':<18}{'a second':>10}{'tokens/s':>10}{'of peak':>9}{'MiB':>8}{'seconds':>9}  notes",
    ]
    for name, found in result["contenders"].items():
        if "skipped" in found:
            lines.append(f"{name:<18}skipped: {found['skipped']}")
            continue
        rate = found.get("pairs_per_s") or found.get("sequences_per_s")
        notes = []
        if "batch_size" in found:
            notes.append(f"batch {found['batch_size']}{', reference precomputed' if found['precompute'] else ''}")
        if "largest_loss_difference" in found:
            notes.append(f"losses within {found['largest_loss_difference']:.1e} of TRL's")
        lines.append(
            f"{name:<18}{rate:>10.2f}{found['tokens_per_s']:>10,.0f}{found['share_of_peak']:>9.0%}"
            f"{found['peak_memory_mib']:>8,.0f}{found['seconds']:>9.1f}  {'; '.join(notes)}"
        )
    lines += ["", *_ratios(result["contenders"])]
    if "source_study_hours" in work:
        lines.append(
            f"at these rates SFT for two epochs and DPO twice over HH-RLHF's 160,800 pairs take "
            f"{work['source_study_hours']:.2f} hours, were they {work['shape']} and as long as these"
        )
    return "\n".join(lines).rstrip() + "\n"


def _ratios(found: dict[str, Any]) -> list[str]:
    lines = []
    for ours, key in (("tarazu_dpo", "pairs_per_s"), ("tarazu_sft", "sequences_per_s")):
        rivals = [name for name in CONTENDERS if name.startswith(ours.replace("tarazu", "trl"))]
        for theirs in rivals:
            if key in found.get(ours, {}) and key in found.get(theirs, {}):
                ratio = found[ours][key] / found[theirs][key]
                lines.append(f"{ours} is {ratio:.2f} times as fast as {theirs}")
    return lines

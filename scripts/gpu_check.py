"""`make gpu-check`: tests and benchmarks that need a GPU, in under 8 minutes.

Writes gpu-check.json and gpu-check.md into a folder. Needs no network: models have known shapes and random weights.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("tests", "steady", "evaluate", "train", "generate", "smollm2", "lora", "others")
LANGUAGES, PROMPTS, ARMS, NEW_TOKENS = 50, 200, 4, 50
"""The size of the evaluation: languages of XTREME-R, prompts per language and kind, arms, tokens per response."""
LAST_START = 400  # seconds after which no further part is started, so that all ends within 8 minutes
EVALUATION_SECONDS = 60  # after which no further arm is started
SOURCE_PAIRS = 160_800  # HH-RLHF's train split
STEADY_STEPS = 300
"""Steps of a training whose second half is timed. Shapes of rows that recur are recorded in the first half."""


def run_tests() -> dict[str, Any]:
    """Run the tests marked `gpu`."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-v", "-p", "no:cacheprovider"]
    command += ["--durations", "8", "tests/test_gpu.py"]
    began = time.perf_counter()
    output = ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            output += line
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", output)}
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, flags=re.MULTILINE)
    return {"seconds": time.perf_counter() - began, **counts, "failures": failed}


def bench_training(pairs: Path | None, *, shape: str, lora: bool, only: tuple[str, ...], steps: int) -> dict[str, Any]:
    from tarazu.bench.settings import TrainingBench
    from tarazu.bench.train import bench_train
    from tarazu.bench.train_text import bench_text
    from tarazu.progress import Progress

    bench = TrainingBench(shape=shape, pairs=pairs, steps=steps, lora=lora, only=only, rounds=1)
    report = bench_train(bench, Progress())
    print(bench_text(report), flush=True)
    return report.model_dump(exclude_none=True)


def steady_rates(
    pairs_file: Path | None, *, shape: str = "opt-350m", steps: int = STEADY_STEPS, device: str = "cuda"
) -> dict[str, Any]:
    """Pairs or conversations per second in the second half of a training in this process, after start-up, by method;
    and of the reference log-probabilities of DPO, start-up included."""
    import copy

    import torch

    from tarazu.align.flops import cost, matmul_peak, wait_for
    from tarazu.align.reference import reference_log_probs
    from tarazu.align.rows.documents import documents_of
    from tarazu.align.tokens import tokenize_pairs
    from tarazu.align.train import train
    from tarazu.align.trainer import TrainingRun
    from tarazu.bench.models import SEED, random_model
    from tarazu.bench.tokenizer import train_tokenizer
    from tarazu.conversation.formats import Format
    from tarazu.data.preferences import load_pairs
    from tarazu.study.schema import DPOArm, LoRA, SFTArm
    from tarazu.study.sources import HHPairs, ParallelPairs

    source = (
        HHPairs(source="hh-rlhf", path=str(pairs_file.resolve())) if pairs_file else ParallelPairs(source="parallel")
    )
    rows = load_pairs(source, root=None, seed=SEED).rows
    tokenizer = train_tokenizer([row.prompt + row.chosen for row in rows])
    pairs, _ = tokenize_pairs(rows, Format(tokenizer), max_length=512)
    model = random_model(shape, SEED).to(device)
    use_bf16 = device == "cuda"
    peak = matmul_peak(model.device, torch.bfloat16 if use_bf16 else torch.float32)
    began = time.perf_counter()
    run = TrainingRun(pad_id=1, seed=SEED, progress=lambda *_: None, use_bf16=use_bf16)
    reference = reference_log_probs(copy.deepcopy(model), pairs, run)
    found: dict[str, Any] = {"peak_tflops": peak / 1e12, "reference": len(pairs) / (time.perf_counter() - began)}
    print(f"reference: {found['reference']:.1f} a second", flush=True)
    settings: dict[str, Any] = {"learning_rate": 1e-6, "model_dropout": 0.0, "max_length": 512}
    arms: dict[str, DPOArm | SFTArm] = {
        "dpo": DPOArm(method="dpo", batch_size=8, **settings),
        "dpo, 64 a step": DPOArm(method="dpo", batch_size=64, **settings),
        "sft": SFTArm(method="sft", batch_size=8, **settings),
        "dpo, lora": DPOArm(method="dpo", batch_size=8, lora=LoRA(), **settings),
    }
    for name, arm in arms.items():
        arm = arm.model_copy(update={"epochs": steps * arm.batch_size / len(pairs)})
        marks: dict[int, float] = {}

        def note(step: int, total: int, state: str, marks: dict[int, float] = marks) -> None:
            if step in (total // 2, total):
                wait_for(model.device)
                marks[step] = time.perf_counter()

        trained, _ = train(
            copy.deepcopy(model),
            pairs,
            arm,
            TrainingRun(pad_id=1, seed=SEED, progress=note, use_bf16=use_bf16),
            reference=reference if isinstance(arm, DPOArm) else None,
        )
        (half, middle), (end, last) = sorted(marks.items())
        rate = (end - half) * arm.batch_size / (last - middle)
        documents = documents_of(pairs, arm)
        flops = sum(map(cost(trained).step, documents)) / len(documents)
        found[name] = {"steps": end, "a_second": rate, "share_of_peak": rate * flops / peak}
        print(f"{name}: {rate:.1f} a second, {rate * flops / peak:.1%} of peak", flush=True)
    return found


def bench_generation() -> dict[str, Any]:
    from tarazu.bench.generate import bench_generate
    from tarazu.bench.generate_text import bench_text
    from tarazu.bench.settings import GenerationBench
    from tarazu.progress import Progress

    bench = GenerationBench(
        shape="opt-350m",
        prompts=960,
        new_tokens=NEW_TOKENS,
        rounds=1,
        only=("tarazu", "hf_best"),  # the tests compare responses with those of generate alone, which takes long
    )
    report = bench_generate(bench, Progress())
    print(bench_text(report), flush=True)
    return report.model_dump(exclude_none=True)


def evaluate(*, arms: int = ARMS) -> dict[str, Any]:
    """Every arm answers every prompt of every language, and each response is scored: opt-350m's shape and that of
    deberta-v3-large, random weights, bfloat16."""
    import torch
    import transformers

    from tarazu.bench.models import SEED, random_model
    from tarazu.bench.tokenizer import train_tokenizer
    from tarazu.conversation.formats import format_of
    from tarazu.data.prompts import load_prompts
    from tarazu.data.rows import KINDS
    from tarazu.judge.score import score
    from tarazu.languages import LANGUAGES as KNOWN
    from tarazu.respond._transformers import TransformersEngine
    from tarazu.respond.engine import Request
    from tarazu.study.generation import Generation
    from tarazu.study.schema import RewardModel
    from tarazu.study.sources import ParallelPrompts

    codes = sorted(KNOWN)[:LANGUAGES]
    prompts: list[str] = []
    for kind in KINDS:
        rows = [
            row
            for split in ("train", "test")
            for row in load_prompts(
                ParallelPrompts(source="parallel", split=split), kind, languages=codes, root=None, seed=SEED
            ).rows
        ]
        for code in codes:
            texts = [row.text for row in rows if row.language == code]
            # The shipped set is smaller. A number before each prompt gives as many different prompts as needed.
            prompts += [f"{index}. {texts[index % len(texts)]}" for index in range(PROMPTS)]
    tokenizer = train_tokenizer(prompts)
    settings = Generation(cut_at_next_turn=False)
    form = format_of(settings, tokenizer)
    requests = [Request(ids=tuple(prompt.ids), budget=NEW_TOKENS) for prompt in form.prompts(prompts)]
    judge = transformers.DebertaV2ForSequenceClassification(
        transformers.DebertaV2Config(
            vocab_size=128100, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
            relative_attention=True, position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True,
            pos_att_type=["p2c", "c2p"], max_relative_positions=-1, position_biased_input=False, type_vocab_size=0,
            num_labels=1, pad_token_id=1,
        )
    ).to("cuda", torch.bfloat16).eval()  # fmt: skip
    judging = RewardModel(model="random", batch_size=256, dtype="bfloat16")
    seconds = {"generate": 0.0, "score": 0.0}
    torch.cuda.reset_peak_memory_stats()
    for arm in range(arms):
        model = random_model("opt-350m", seed=arm).to("cuda", torch.bfloat16).eval()
        engine = TransformersEngine(model, tokenizer, settings)
        began = time.perf_counter()
        responses, _ = engine.answer(requests, lambda *_: None)
        torch.cuda.synchronize()
        middle = time.perf_counter()
        rows_scored = [(prompt, response.text) for prompt, response in zip(prompts, responses, strict=True)]
        score(judge, tokenizer, rows_scored, judging, progress=lambda *_: None)
        torch.cuda.synchronize()
        seconds["generate"] += middle - began
        seconds["score"] += time.perf_counter() - middle
        print(f"arm {arm + 1}: {seconds}", flush=True)
        if sum(seconds.values()) > EVALUATION_SECONDS:
            break
    arms = arm + 1
    total = arms * len(prompts)
    return {
        "responses": total,
        "languages": len(codes),
        "prompts": PROMPTS,
        "arms": arms,
        "new_tokens": NEW_TOKENS,
        "prompt_tokens": sum(len(request.ids) for request in requests) / len(requests),
        "seconds": seconds,
        "responses_per_s": total / seconds["generate"],
        "rewards_per_s": total / seconds["score"],
        "peak_memory_mib": torch.cuda.max_memory_allocated() / 2**20,
    }


def source_study_minutes(found: dict[str, Any]) -> dict[str, float] | None:
    """Minutes of the source study's trainings at the steady rates: SFT for two epochs, LoRA DPO from base and SFT, each
    with its reference."""
    steady = found.get("steady", {})
    if "sft" not in steady or "dpo, lora" not in steady:
        return None
    dpo = SOURCE_PAIRS / steady["dpo, lora"]["a_second"] / 60 + SOURCE_PAIRS / steady["reference"] / 60
    return {"sft": 2 * SOURCE_PAIRS / steady["sft"]["a_second"] / 60, "dpo": dpo, "sft_dpo": dpo}


def markdown(found: dict[str, Any]) -> str:
    """The tables for docs/benchmarks.md."""
    machine = found["machine"]
    lines = [
        f"{machine['gpu']}, {machine['cores']} cores; torch {machine['torch']}, "
        f"transformers {machine['transformers']}, Python {machine['python']}; "
        f"{found['date']}; `make gpu-check`, {found['seconds']:.0f} s.",
        "",
    ]
    if tests := found.get("tests"):
        counts = ", ".join(
            f"{tests[word]} {word}" for word in ("passed", "failed", "skipped", "error") if word in tests
        )
        lines += [f"Tests: {counts} ({tests['seconds']:.0f} s).", ""]
        lines += [f"- failed: {name}" for name in tests["failures"]]
    if "reference" in (steady := found.get("steady", {})):
        lines += [
            f"Second half of trainings, opt-350m, bfloat16; peak of matrix products {steady['peak_tflops']:,.0f} "
            f"TFLOP/s; reference log-probabilities {steady['reference']:.1f} pairs a second with start-up:",
            "",
            "| method | steps | a second | share of peak |",
            "| --- | --- | --- | --- |",
        ]
        for name, one in steady.items():
            if isinstance(one, dict):
                lines.append(f"| {name} | {one['steps']} | {one['a_second']:.1f} | {one['share_of_peak']:.1%} |")
        lines.append("")
    for part in ("train", "smollm2", "lora", "others"):
        if "contenders" not in found.get(part, {}):
            continue
        work = found[part]["work"]
        lines += [
            f"Training, {work['shape']}{' with LoRA' if work['lora'] else ''}, {work['pairs']} pairs of "
            f"{work['tokens_per_pair']:.0f} tokens, {work['precision']}; peak of matrix products "
            f"{found[part]['machine']['matmul_gflops'] / 1000:,.0f} TFLOP/s:",
            "",
            "| contender | a second | tokens/s | share of peak | MiB |",
            "| --- | --- | --- | --- | --- |",
        ]
        for name, one in found[part]["contenders"].items():
            if "skipped" in one:
                lines.append(f"| {name} | skipped: {one['skipped']} | | | |")
                continue
            rate = one.get("pairs_per_s") or one.get("sequences_per_s")
            lines.append(
                f"| {name} | {rate:.1f} | {one['tokens_per_s']:,.0f} | {one['share_of_peak']:.0%} | "
                f"{one['peak_memory_mib']:,.0f} |"
            )
        lines.append("")
        kernels = found[part].get("attention", {}).get("kernels")
        if kernels:
            told = [
                f"{name} skipped ({one['skipped']})" if "skipped" in one else f"{name} {1000 * one['seconds']:.1f} ms"
                for name, one in kernels.items()
            ]
            lines += [
                f"Attention of a row of {found[part]['attention']['row_tokens']:,} tokens through all layers, forward "
                f"and backward: {'; '.join(told)}.",
                "",
            ]
    if minutes := found.get("source_study_minutes"):
        lines += [
            f"The source study's trainings at these rates: SFT {minutes['sft']:.1f} min, DPO {minutes['dpo']:.1f} min, "
            f"SFT+DPO {minutes['sft_dpo']:.1f} min; {sum(minutes.values()):.1f} min together.",
            "",
        ]
    if "contenders" in found.get("generate", {}):
        work = found["generate"]["work"]
        lines += [
            f"Generation, {work['shape']}, {work['prompts']} prompts of {work['prompt_tokens']:.0f} tokens, "
            f"{work['new_tokens']} new tokens, {work['precision']}:",
            "",
            "| contender | responses/s | tokens/s | MiB | as generate alone |",
            "| --- | --- | --- | --- | --- |",
        ]
        for name, one in found["generate"]["contenders"].items():
            agreed = f"{one['token_agreement']:.0%}" if "token_agreement" in one else ""
            lines.append(
                f"| {name} | {one['responses_per_s']:.1f} | {one['tokens_per_s']:,.0f} | {one['peak_memory_mib']:,.0f} "
                f"| {agreed} |"
            )
        lines.append("")
    if "responses" in (one := found.get("evaluate", {})):
        lines += [
            f"{one['languages']} languages x {one['prompts']} prompts x 2 kinds x {one['arms']} arms, "
            f"{one['responses']:,} responses of {one['new_tokens']} tokens to prompts of {one['prompt_tokens']:.0f}: "
            f"generated in {one['seconds']['generate']:.0f} s ({one['responses_per_s']:.0f} a second), scored in "
            f"{one['seconds']['score']:.0f} s ({one['rewards_per_s']:.0f} a second); "
            f"{one['peak_memory_mib']:,.0f} MiB.",
            "",
        ]
    for part in PARTS:
        for word in ("error", "not_run"):
            if word in found.get(part, {}):
                lines.append(f"- {part}: {word.replace('_', ' ')}: {found[part][word]}")
    return "\n".join(lines).rstrip() + "\n"


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu-check", metavar="DIR")
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="pairs in HH-RLHF's format (default: the shipped)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--steps", type=int, default=50, help="optimizer steps of a training (default: 50)")
    parser.add_argument("--only", default="", help="contenders of the trainings, separated by commas (default: all)")
    arguments = parser.parse_args()
    from tarazu.seeds import repeatable_on_cuda

    repeatable_on_cuda()
    import torch
    import transformers

    if not torch.cuda.is_available():
        print("gpu-check: torch sees no GPU on this machine; nothing was checked", file=sys.stderr)
        return 2
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {
            "gpu": torch.cuda.get_device_name(),
            "cores": os.cpu_count(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        },
    }
    only = tuple(name for name in arguments.only.split(",") if name)
    others = only or ("tarazu_sft", "trl_sft_packed", "tarazu_reward", "trl_reward_default")
    few = only or ("tarazu_dpo", "trl_dpo_default")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "tests": run_tests,
        "steady": lambda: steady_rates(arguments.pairs),
        "train": lambda: bench_training(arguments.pairs, shape="opt-350m", lora=False, only=few, steps=arguments.steps),
        "lora": lambda: bench_training(arguments.pairs, shape="opt-350m", lora=True, only=few, steps=arguments.steps),
        "smollm2": lambda: bench_training(
            arguments.pairs, shape="smollm2", lora=False, only=few, steps=arguments.steps
        ),
        "others": lambda: bench_training(
            arguments.pairs, shape="opt-350m", lora=False, only=others, steps=arguments.steps
        ),
        "generate": bench_generation,
        "evaluate": evaluate,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    for part in arguments.parts.split(","):
        started = time.perf_counter()
        if started - began > LAST_START:
            found[part] = {"not_run": f"{started - began:.0f} s had passed; run it with --parts {part}"}
            print(f"== {part}: {found[part]['not_run']}", flush=True)
            continue
        try:
            found[part] = parts[part]()
        except Exception as error:  # record the failure of one part, and measure the others
            found[part] = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
            print(found[part]["error"], flush=True)
        found["seconds"] = time.perf_counter() - began
        print(f"== {part}: {time.perf_counter() - started:.0f} s", flush=True)
        found["source_study_minutes"] = source_study_minutes(found)
        (arguments.out / "gpu-check.json").write_text(json.dumps(found, indent=1, sort_keys=True), encoding="utf-8")
        (arguments.out / "gpu-check.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found), end="")
    broken = any("error" in found[part] for part in parts if part in found) or found.get("tests", {}).get("failures")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())

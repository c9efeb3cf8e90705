"""`tarazu bench ...`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tarazu.bench.settings import GenerationBench, ModelBench, TrainingBench
from tarazu.commands.dispatch import command, group
from tarazu.commands.options import choice, positive
from tarazu.commands.output import need_models

if TYPE_CHECKING:
    from tarazu.bench.results import Report

app = group(
    name="bench",
    short_help="Compare Tarazu with its alternatives on this machine.",
    help="Measure Tarazu and its alternatives on the same work.",
)


def _names(value: str | Sequence[str]) -> Sequence[str]:
    """The names in a text. (typer passes a default, which is a sequence already, through its parser too.)"""
    return tuple(name for name in value.split(",") if name) if isinstance(value, str) else value


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    if not (low.isascii() and low.isdigit() and high.isascii() and high.isdigit() and int(low) < int(high)):
        raise typer.BadParameter(f"must be LOW-HIGH, for example 0-64, not {text!r}")
    return int(low), int(high)


def _count(meaning: str) -> Any:
    return typer.Option(metavar="N", parser=positive, help=meaning)


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result to this file.")] = None


@dataclass(frozen=True, kw_only=True)
class ModelBenchOptions(BenchOptions, ModelBench):
    """A benchmark that compares several programs on a model."""

    shape: Annotated[str, choice("45m", "opt-350m", "smollm2", meaning="Model shape, with random weights.")] = (
        ModelBench.shape
    )
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="A checkpoint (a folder or a Hub name) to use instead of random weights of a shape."
        ),
    ] = ModelBench.model
    dtype: Annotated[
        str | None,
        choice(
            "float32",
            "bfloat16",
            meaning="Precision in which all contenders compute.",
            show_default="bfloat16 on CUDA, float32 on a CPU",
        ),
    ] = ModelBench.dtype
    only: Annotated[
        Any,
        typer.Option(
            metavar="NAMES",
            parser=_names,
            help="Run only these contenders: names separated by commas.",
            show_default=False,
        ),
    ] = ModelBench.only


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModelBenchOptions, TrainingBench):
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Pairs in HH-RLHF's format.", show_default="the shipped parallel set"),
    ] = TrainingBench.pairs
    steps: Annotated[int, _count("Optimizer steps.")] = TrainingBench.steps
    max_length: Annotated[int, _count("How many tokens of prompt and answer are kept.")] = TrainingBench.max_length
    prompt_tokens: Annotated[
        Any,
        typer.Option(metavar="LOW-HIGH", parser=_range, help="Keep only pairs whose prompts have this many tokens."),
    ] = TrainingBench.prompt_tokens
    rounds: Annotated[int, _count("How many times each contender runs, in turn. Medians are compared.")] = (
        TrainingBench.rounds
    )
    lora: Annotated[bool, typer.Option("--lora", help="Train low-rank adapters (rank 8 on q_proj and v_proj).")] = (
        TrainingBench.lora
    )


@command(
    app,
    "train",
    summary="Compare training by DPO, by SFT and of a reward model with TRL.",
    description="Train a model (a shape with random weights, or a checkpoint) by DPO, by SFT and as a reward model, "
    "with Tarazu and with TRL (at its defaults, and at the best of a sweep), each in its own process: same weights, "
    "same pairs, steps of 8 pairs, no dropout, no gradient checkpointing. Prints "
    "pairs per second, share of this machine's matrix-product peak, memory, and the difference between the losses; on "
    "CUDA also the time of each attention kernel. Needs the extra `bench`.",
    example="tarazu bench train --pairs harmless-base.test.jsonl.gz --steps 20 --json bench.json",
)
def train(options: TrainOptions) -> int:
    need_models()
    from tarazu.bench.train import bench_train
    from tarazu.bench.train_text import bench_text
    from tarazu.progress import Progress

    with Progress() as progress:
        report = bench_train(options, progress)
    return _finish(options, report, bench_text(report))


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(ModelBenchOptions, GenerationBench):
    multijail: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="MultiJail's prompts.", show_default="the shipped parallel set"),
    ] = GenerationBench.multijail
    gguf: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="The model of --model as a GGUF file, to run with llama.cpp: in float32 or quantised. Repeatable.",
        ),
    ] = field(default_factory=list)
    openvino: Annotated[
        list[Path],
        typer.Option(
            metavar="FOLDER",
            help="The model of --model as exported for OpenVINO, to run with OpenVINO GenAI: in float32 or with "
            "compressed weights. Repeatable.",
        ),
    ] = field(default_factory=list)
    prompts: Annotated[int, _count("Prompts, shuffled over languages.")] = GenerationBench.prompts
    new_tokens: Annotated[int, _count("Tokens per response.")] = GenerationBench.new_tokens
    alone: Annotated[int, _count("How many prompts to time batch 1 on.")] = GenerationBench.alone
    rounds: Annotated[int, _count("How many times each contender runs, in turn. The best round counts.")] = (
        GenerationBench.rounds
    )


@command(
    app,
    "generate",
    summary="Compare generation with transformers' generate, CTranslate2, llama.cpp and OpenVINO GenAI.",
    description="Generate with a model (a shape with random weights, or a checkpoint), with Tarazu, with transformers' "
    "generate (at batch 1, as in the source study, and at the best of a sweep of batches), with CTranslate2 and, where "
    "--gguf or --openvino give the model in their formats, with llama.cpp and OpenVINO GenAI (at the best of a sweep), "
    "each in its own process and in turn: same weights, prompts in ten languages, greedy (quantised files in their own "
    "precision, which is printed). Prints responses and tokens per second, share "
    "of the matrix-product peak, memory, and how many responses equal those of generate at batch 1, apart from "
    "near-ties of its logits. CTranslate2, llama.cpp and OpenVINO GenAI need the extras `ctranslate2`, `llama-cpp` and "
    "`openvino`.",
    example="tarazu bench generate --multijail multijail.csv --json bench.json",
)
def generate(options: GenerateOptions) -> int:
    need_models()
    from tarazu.bench.generate import bench_generate
    from tarazu.bench.generate_text import bench_text
    from tarazu.progress import Progress

    with Progress() as progress:
        report = bench_generate(options, progress)
    return _finish(options, report, bench_text(report))


@dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(BenchOptions):
    languages: Annotated[int, _count("Languages, in the order of their codes.")] = 50
    prompts: Annotated[int, _count("Prompts per language and kind.")] = 200
    draws: Annotated[int, _count("Bootstrap and permutation draws.")] = 10_000


@command(
    app,
    "analyze",
    summary="Compare the analysis with the fit of a mixed-effects model.",
    description="Analyze made-up scores of four arms (from a table in memory to results), and fit a mixed-effects "
    "logistic model to the two arms of the primary question, each in its own process. Prints the seconds of both and "
    "of the analysis's parts, the memory, and the ratio. Needs no torch; the mixed-effects model needs the extra "
    "`mixed`.",
    example="tarazu bench analyze --draws 10000 --json bench.json",
)
def analyze(options: AnalyzeOptions) -> int:
    from tarazu.bench.analyze import Size, bench_analyze, bench_text
    from tarazu.progress import Progress

    size = Size(languages=options.languages, prompts=options.prompts, draws=options.draws)
    with Progress() as progress:
        report = bench_analyze(size, progress)
    return _finish(options, report, bench_text(report))


def _finish(options: BenchOptions, report: Report, text: str) -> int:
    from tarazu.files import write_text

    if options.json is not None:
        write_text(options.json, report.json_text())
    print(text, end="")
    return 0

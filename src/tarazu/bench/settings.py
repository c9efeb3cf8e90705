"""What to measure: the settings of the benchmarks that run models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ModelBench:
    """`model` (a folder or a Hub name) replaces the random weights of `shape`. `dtype` is the precision of all
    contenders (default: bfloat16 on CUDA, float32 on a CPU). `only` names contenders (default: all)."""

    shape: str = "45m"
    model: str | None = None
    dtype: str | None = None
    only: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingBench(ModelBench):
    """`pairs` is a file in HH-RLHF's format (default: the shipped parallel set). `prompt_tokens` keeps pairs whose
    prompts have a number of tokens in this range."""

    pairs: Path | None = None
    steps: int = 10
    max_length: int = 512
    prompt_tokens: tuple[int, int] | None = None
    rounds: int = 3
    lora: bool = False


@dataclass(frozen=True, kw_only=True)
class GenerationBench(ModelBench):
    """`multijail` is a file of MultiJail's prompts in ten languages (default: the shipped parallel set). hf_batch1
    answers only the first `alone` prompts, because each takes it some seconds. `gguf` and `openvino` are the model in
    the formats of llama.cpp and of OpenVINO, one contender each."""

    multijail: Path | None = None
    gguf: Sequence[Path] = ()
    openvino: Sequence[Path] = ()
    prompts: int = 256
    new_tokens: int = 50
    alone: int = 32
    rounds: int = 2

"""One contender of `tarazu bench generate`, in a separate process:
python -m tarazu.bench.generate_contenders NAME WORK OUT.

The time is from the prompts' tokens to the responses' tokens. Loading and converting the model are excluded. Memory is
the peak of the process.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tarazu.bench.generate import GenerationWork
from tarazu.bench.model_files import PROGRAMS
from tarazu.bench.results import GenerationMeasurement, Skipped, Sweep, Trial
from tarazu.bench.subprocesses import peak_memory
from tarazu.errors import BadInput
from tarazu.respond.engine import Request
from tarazu.study.generation import Generation

Decode = Callable[[Sequence[Sequence[int]]], list[list[int]]]
"""Generates the tokens of the responses to prompts."""

_STREAMED = 2**28  # bytes of the array that is read to measure the memory bandwidth


def _load(work: GenerationWork) -> tuple[Any, Any]:
    import torch
    import transformers

    folder = Path(work.folder) / "model"
    dtype = torch.bfloat16 if work.use_bf16 else torch.float32
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    return model.to("cuda" if work.use_cuda else "cpu"), transformers.AutoTokenizer.from_pretrained(folder)


def _prompts(work: GenerationWork) -> list[list[int]]:
    rows: list[list[int]] = json.loads((Path(work.folder) / "prompts.json").read_text(encoding="utf-8"))
    return rows[: work.prompts]


def _longest(work: GenerationWork) -> int:
    """The most tokens of a prompt and its response."""
    return max(map(len, _prompts(work))) + work.new_tokens


def _requests(work: GenerationWork) -> list[Request]:
    return [Request(ids=tuple(ids), budget=work.new_tokens) for ids in _prompts(work)]


def _tarazu(work: GenerationWork) -> GenerationMeasurement:
    from tarazu.respond._transformers import TransformersEngine

    model, tokenizer = _load(work)
    engine = TransformersEngine(model, tokenizer, Generation(cut_at_next_turn=False))
    requests = _requests(work)
    return _timed(work, lambda some: engine.tokens(requests[:some], lambda *_: None)[0])


def _hf_batch1(work: GenerationWork) -> GenerationMeasurement:
    """The source study's method. Only plain generate is timed. The leads of its best logits come from a second pass
    over the same prompts."""
    import torch

    from tarazu.respond._plain import generate_alone, generation_config

    model, _ = _load(work)
    rows = _prompts(work)
    model.generation_config = generation_config(work.new_tokens, work.ends, work.pad)

    @torch.no_grad()
    def run(some: int) -> list[list[int]]:
        generated = []
        for ids in rows[:some]:
            prompt = torch.tensor([ids], device=model.device)
            output = model.generate(prompt, attention_mask=torch.ones_like(prompt))
            generated.append(output[0, len(ids) :].tolist())
        return generated

    result = _timed(work, run)
    again = [generate_alone(model, ids, work.new_tokens, work.ends, work.pad) for ids in rows]
    tokens, leads = (tuple(map(tuple, rows)) for rows in zip(*again, strict=True))
    return result.model_copy(update={"tokens": tokens, "leads": leads})


def _hf_best(work: GenerationWork) -> GenerationMeasurement:
    """generate in batches with padding on the left."""
    from tarazu.respond._plain import generation_config

    model, _ = _load(work)
    rows = _prompts(work)
    model.generation_config = generation_config(work.new_tokens, work.ends, work.pad)
    return _timed(work, lambda some: _in_batches(model, work, rows[:some], work.batch_size, work.sort))


def _hf_sweep(work: GenerationWork) -> Sweep:
    """The rate of each batch size over a few batches, with prompts sorted by length and unsorted."""
    from tarazu.respond._plain import generation_config

    model, _ = _load(work)
    model.generation_config = generation_config(work.new_tokens, work.ends, work.pad)
    trials = []
    _in_batches(model, work, _prompts(work)[:2], 2, sort=False)
    for size in work.batches:
        rows = _prompts(work)[: max(2 * size, 64)]
        for sort in (True, False):
            began = time.perf_counter()
            _in_batches(model, work, rows, size, sort)
            rate = len(rows) / (time.perf_counter() - began)
            trials.append(Trial(batch_size=size, sort=sort, rate=rate))
    return Sweep(trials=tuple(trials))


def _in_batches(model: Any, work: GenerationWork, rows: list[list[int]], size: int, sort: bool) -> list[list[int]]:
    import torch

    order = sorted(range(len(rows)), key=lambda i: len(rows[i])) if sort else list(range(len(rows)))
    generated: list[list[int]] = [[] for _ in order]
    for start in range(0, len(rows), size):
        batch = order[start : start + size]
        width = max(len(rows[i]) for i in batch)
        ids = [[work.pad] * (width - len(rows[i])) + rows[i] for i in batch]
        mask = [[0] * (width - len(rows[i])) + [1] * len(rows[i]) for i in batch]
        with torch.no_grad():
            output = model.generate(
                torch.tensor(ids, device=model.device), attention_mask=torch.tensor(mask, device=model.device)
            )
        for i, row in zip(batch, output[:, width:].tolist(), strict=True):
            end = next((place + 1 for place, token in enumerate(row) if token in work.ends), len(row))
            generated[i] = row[:end]
    return generated


def _ctranslate2(work: GenerationWork) -> GenerationMeasurement | Skipped:
    if find_spec("ctranslate2") is None:
        return Skipped(skipped="ctranslate2 is not installed: pip install 'tarazu[ctranslate2]'")
    from tarazu.respond._ctranslate2 import CTranslate2Engine

    model, tokenizer = _load(work)
    settings = Generation(engine="ctranslate2", cut_at_next_turn=False)
    requests = _requests(work)
    with tempfile.TemporaryDirectory() as folder:
        engine = CTranslate2Engine(model, tokenizer, settings, Path(folder))
        del model
        return _timed(work, lambda some: engine.tokens(requests[:some], lambda *_: None))


def _decoder(program: str, work: GenerationWork, size: int) -> AbstractContextManager[Decode]:
    """Opens the model of `work.file` for batches of this size."""
    if program == "llama_cpp":
        from tarazu.bench._llama_cpp import open_decoder
    else:
        from tarazu.bench._openvino import open_decoder
    return open_decoder(work, _longest(work), size)


def _of_file(program: str, work: GenerationWork) -> GenerationMeasurement | Skipped:
    """A program with a model in its own format."""
    rows = _prompts(work)
    with _decoder(program, work, work.batch_size) as decode:
        return _timed(work, lambda some: decode(rows[:some]))


def _sweep_of_file(program: str, work: GenerationWork) -> Sweep | Skipped:
    """The rate of each batch size, or why the program cannot use the file."""
    trials = []
    for size in work.batches:
        rows = _prompts(work)[: max(2 * size, 64)]
        try:
            with _decoder(program, work, size) as decode:
                decode(rows[:2])
                began = time.perf_counter()
                decode(rows)
                trials.append(Trial(batch_size=size, rate=len(rows) / (time.perf_counter() - began)))
        except BadInput as error:
            return Skipped(skipped=str(error))
    return Sweep(trials=tuple(trials))


def _timed(work: GenerationWork, run: Callable[[int], list[list[int]]]) -> GenerationMeasurement:
    import torch

    from tarazu.align.flops import matmul_peak

    device = torch.device("cuda" if work.use_cuda else "cpu")
    dtype = torch.bfloat16 if work.use_bf16 else torch.float32
    peak = matmul_peak(device, dtype, seconds=0.5)
    run(min(2, work.prompts))  # one-time set-up
    if work.use_cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    tokens = run(work.prompts)
    if work.use_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    peak = max(peak, matmul_peak(device, dtype, seconds=0.5))
    if work.use_cuda:
        memory = torch.cuda.max_memory_allocated()
    else:
        memory = peak_memory()
    return GenerationMeasurement(
        responses_per_s=len(tokens) / seconds,
        tokens_per_s=sum(map(len, tokens)) / seconds,
        seconds=seconds,
        responses=len(tokens),
        peak_memory_mib=memory / 2**20,
        tokens=tuple(map(tuple, tokens)),
        peak_flops=peak,
        peak_bytes=_memory_rate(device),  # measured last, because its array is not the contender's memory
    )


def _memory_rate(device: Any) -> float:
    """Bytes read per second: the best of several sums over an array much larger than any cache."""
    import torch

    array = torch.ones(_STREAMED // 4, device=device)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        float(array.sum())
        best = min(best, time.perf_counter() - began)
    return _STREAMED / best


RUN: dict[str, Callable[[GenerationWork], GenerationMeasurement | Sweep | Skipped]] = {
    "tarazu": _tarazu,
    "hf_batch1": _hf_batch1,
    "hf_best": _hf_best,
    "hf_best_sweep": _hf_sweep,
    "ctranslate2": _ctranslate2,
    **{program: partial(_of_file, program) for program in PROGRAMS},
    **{f"{program}_sweep": partial(_sweep_of_file, program) for program in PROGRAMS},
}


if __name__ == "__main__":
    result = RUN[sys.argv[1]](GenerationWork(**json.loads(sys.argv[2])))
    Path(sys.argv[3]).write_text(result.model_dump_json(), encoding="utf-8")

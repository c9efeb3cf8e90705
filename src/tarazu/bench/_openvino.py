"""Greedy decoding with OpenVINO GenAI's pipeline for continuous batching."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import openvino
import openvino_genai

from tarazu.bench.generate import GenerationWork
from tarazu.errors import BadInput

_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
"""By default OpenVINO computes in bfloat16 where the processor can, and compresses keys and values."""


@contextmanager
def open_decoder(
    work: GenerationWork, longest: int, size: int
) -> Iterator[Callable[[Sequence[Sequence[int]]], list[list[int]]]]:
    """Decodes up to `size` prompts at once, and takes the prompts of a batch in one step."""
    import torch

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.max_num_seqs, scheduler.max_num_batched_tokens = size, size * longest
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), **(_FLOAT32 if work.float32 else {})}
    try:
        pipeline = openvino_genai.ContinuousBatchingPipeline(work.file, scheduler, "CPU", settings)
    except RuntimeError as error:
        raise BadInput(f"{work.file}: OpenVINO GenAI cannot load it: {error}") from None
    end = openvino_genai.GenerationConfig(
        max_new_tokens=work.new_tokens, stop_token_ids=set(work.ends), do_sample=False, apply_chat_template=False
    )

    def run(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        inputs = [openvino.Tensor(np.array([prompt], dtype=np.int64)) for prompt in prompts]
        return [result.m_generation_ids[0] for result in pipeline.generate(inputs, [end] * len(inputs))]

    yield run

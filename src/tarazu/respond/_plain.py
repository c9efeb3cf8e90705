"""transformers' own generate without padding: the reference, and the fallback for models that slots do not support."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from tarazu.respond.engine import Request
from tarazu.respond.finish import not_finite
from tarazu.respond.logits import FiniteLogits
from tarazu.study.generation import Sampling


def generation_config(
    budget: int, ends: Sequence[int], pad_id: int | None, sampling: Sampling | None = None
) -> GenerationConfig:
    """The configuration for generate, with the study's settings and none of the checkpoint's own."""
    return GenerationConfig(
        max_new_tokens=budget,
        eos_token_id=list(ends),
        pad_token_id=pad_id,
        do_sample=sampling is not None,
        **({"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0} if sampling else {}),
    )


@torch.no_grad()
def generate_alone(
    model: Any, ids: Sequence[int], budget: int, ends: Sequence[int], pad_id: int | None
) -> tuple[list[int], list[float]]:
    """The tokens that the model's generate produces greedily for one prompt, including the end token, and for each
    token the lead of its logit over the next best."""
    model.generation_config = generation_config(budget, ends, pad_id)
    prompt = torch.tensor([list(ids)], device=model.device)
    output = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), output_logits=True, return_dict_in_generate=True
    )
    top = torch.stack(output.logits)[:, 0].float().topk(2).values
    return output.sequences[0, len(ids) :].tolist(), (top[:, 0] - top[:, 1]).tolist()


@dataclass(frozen=True, kw_only=True)
class PlainDecoding:
    """How `generate_plainly` decodes: end and padding tokens, tokens per batch, and sampling (greedy if None)."""

    ends: Sequence[int]
    pad_id: int | None
    batch_tokens: int
    sampling: Sampling | None


@torch.no_grad()
def generate_plainly(
    model: Any, requests: Sequence[Request], decoding: PlainDecoding, progress: Callable[[int, int], None]
) -> list[list[int]]:
    """Tokens for each request, generated in batches of prompts of the same length.

    Nothing is padded, because models with recurrent states or their own windows can handle padding wrongly. Sampling is
    seeded for each batch. Raises NotFinite.
    """
    sampling = decoding.sampling
    generated: list[list[int]] = [[] for _ in requests]
    order = sorted(range(len(requests)), key=lambda i: _shape(requests[i]))
    done = 0
    for (length, budget), group in groupby(order, key=lambda i: _shape(requests[i])):
        size = max(1, decoding.batch_tokens // (length + budget))
        indices = list(group)
        for start in range(0, len(indices), size):
            batch = indices[start : start + size]
            if sampling is not None:
                torch.manual_seed(requests[batch[0]].seed)
            model.generation_config = generation_config(budget, decoding.ends, decoding.pad_id, sampling)
            prompts = torch.tensor([requests[i].ids for i in batch], device=model.device)
            check = FiniteLogits(length, decoding.ends)
            output = model.generate(
                prompts, attention_mask=torch.ones_like(prompts), logits_processor=LogitsProcessorList([check])
            )
            if (bad := check.first()) is not None:
                raise not_finite(model, requests[batch[bad]])
            for i, row in zip(batch, output[:, length:].tolist(), strict=True):
                generated[i] = row
            done += len(batch)
            progress(done, len(requests))
    return generated


def _shape(request: Request) -> tuple[int, int]:
    return len(request.ids), request.budget

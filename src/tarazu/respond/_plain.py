"""transformers' own generate without padding: the yardstick, and the way of models that nothing else can decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from transformers import GenerationConfig

from tarazu.respond.engine import Request
from tarazu.study.generation import Sampling


def generation_config(
    budget: int, ends: Sequence[int], pad_id: int | None, sampling: Sampling | None = None
) -> GenerationConfig:
    """What generate goes by: the study's settings and nothing of the checkpoint's own."""
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
    """What the model's generate gives one prompt, greedily, the end token included; and for each token by how much its
    logit leads the next best."""
    model.generation_config = generation_config(budget, ends, pad_id)
    prompt = torch.tensor([list(ids)], device=model.device)
    found = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), output_logits=True, return_dict_in_generate=True
    )
    top = torch.stack(found.logits)[:, 0].float().topk(2).values
    return found.sequences[0, len(ids) :].tolist(), (top[:, 0] - top[:, 1]).tolist()


@torch.no_grad()
def generate_plainly(
    model: Any,
    requests: Sequence[Request],
    ends: Sequence[int],
    pad_id: int | None,
    *,
    batch_tokens: int,
    sampling: Sampling | None,
    progress: Callable[[int, int], None],
) -> list[list[int]]:
    """Tokens for each request, in batches of prompts of one length, so that nothing is padded: padding is what models
    with recurrent states or windows of their own can get wrong. Sampling is seeded per batch."""
    found: list[list[int]] = [[] for _ in requests]
    order = sorted(range(len(requests)), key=lambda i: _shape(requests[i]))
    done = 0
    for (length, budget), alike in groupby(order, key=lambda i: _shape(requests[i])):
        size = max(1, batch_tokens // (length + budget))
        indices = list(alike)
        for start in range(0, len(indices), size):
            batch = indices[start : start + size]
            if sampling is not None:
                torch.manual_seed(requests[batch[0]].seed)
            model.generation_config = generation_config(budget, ends, pad_id, sampling)
            prompts = torch.tensor([requests[i].ids for i in batch], device=model.device)
            output = model.generate(prompts, attention_mask=torch.ones_like(prompts))
            for i, row in zip(batch, output[:, length:].tolist(), strict=True):
                found[i] = row
            done += len(batch)
            progress(done, len(requests))
    return found


def _shape(request: Request) -> tuple[int, int]:
    return len(request.ids), request.budget

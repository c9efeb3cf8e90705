"""Responses from a causal language model, in batches sorted by length."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import GenerationConfig

from tarazu.respond.formats import cut_at_next_turn
from tarazu.study.schema import Generation


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One response. `finish`: the model ended it, it was cut at the next turn, or its budget ran out. `tokens`
    counts what the model generated, the end token left out."""

    text: str
    finish: Literal["eos", "cut", "length"]
    tokens: int


def fit_prompt(ids: list[int], limit: int, bos_id: int | None) -> list[int]:
    """The last `limit` tokens of a prompt, its first special token kept."""
    if len(ids) <= limit:
        return ids
    if ids[0] == bos_id:
        return [ids[0], *ids[len(ids) - limit + 1 :]]
    return ids[-limit:]


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    budgets: Sequence[int],
    settings: Generation,
    *,
    seed: int,
    progress: Callable[[int, int, str], None],
) -> tuple[list[Response], int]:
    """A response to each prompt, in the order given, and how many prompts had to be shortened.

    `prompts` are token ids; `budgets` the longest response of each, in tokens. Rows are sorted by budget and length,
    so that a batch has little padding; sampling is seeded per batch from `seed` and the batch's own tokens, so that
    it does not hang on what was generated before.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or settings.max_prompt_tokens + max(budgets)
    fitted = [
        fit_prompt(ids, min(settings.max_prompt_tokens, positions - budget), tokenizer.bos_token_id)
        for ids, budget in zip(prompts, budgets, strict=True)
    ]
    shortened = sum(len(short) < len(ids) for short, ids in zip(fitted, prompts, strict=True))
    order = sorted(range(len(fitted)), key=lambda i: (budgets[i], len(fitted[i]), i))
    ends = _end_ids(model, tokenizer)
    found: list[Response | None] = [None] * len(fitted)
    start = 0
    while start < len(order):
        budget = budgets[order[start]]
        batch = [i for i in order[start : start + settings.batch_size] if budgets[i] == budget]
        rows = [fitted[i] for i in batch]
        if settings.sampling is not None:
            torch.manual_seed(_batch_seed(seed, rows))
        # generate() fills what a configuration leaves open from the model's own, so the model's own is replaced:
        # sampling, penalties and the like that a checkpoint carries are not the study's settings.
        model.generation_config = _generation_config(settings, budget, ends, tokenizer.pad_token_id)
        output = model.generate(**_left_padded(rows, tokenizer.pad_token_id, model.device))
        width = max(map(len, rows))
        for i, row in zip(batch, output[:, width:].tolist(), strict=True):
            found[i] = _response(row, ends, tokenizer, settings.cut_at_next_turn)
        start += len(batch)
        progress(start, len(order), "responses")
    return [response for response in found if response is not None], shortened


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Token ids that end a response: those the checkpoint generates with (chat models name several)."""
    ends = getattr(model.generation_config, "eos_token_id", None)
    if ends is None:
        ends = tokenizer.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends)


def _generation_config(settings: Generation, budget: int, ends: list[int], pad_id: int) -> GenerationConfig:
    sampling = settings.sampling
    return GenerationConfig(
        max_new_tokens=budget,
        eos_token_id=ends,
        pad_token_id=pad_id,
        do_sample=sampling is not None,
        **({"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0} if sampling else {}),
    )


def _left_padded(rows: Sequence[list[int]], pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    width = max(map(len, rows))
    ids = [[pad_id] * (width - len(row)) + row for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }


def _batch_seed(seed: int, rows: Sequence[list[int]]) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{rows}".encode()).digest()[:8], "big") >> 1


def _response(row: list[int], ends: list[int], tokenizer: Any, cut: bool) -> Response:
    length = next((index for index, token in enumerate(row) if token in ends), len(row))
    finish: Literal["eos", "cut", "length"] = "eos" if length < len(row) else "length"
    text = tokenizer.decode(row[:length], skip_special_tokens=True)
    if cut:
        text, was_cut = cut_at_next_turn(text)
        finish = "cut" if was_cut else finish
    return Response(text=text.strip(), finish=finish, tokens=length)

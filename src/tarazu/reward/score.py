"""Rewards from a sequence-classification model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.attention import sdpa_kernel

from tarazu.align.kernels import BACKENDS
from tarazu.data.rows import as_transcript
from tarazu.errors import BadInput
from tarazu.respond.formats import messages
from tarazu.study.schema import RewardModel


def encode(rows: Sequence[tuple[str, str]], tokenizer: Any, settings: RewardModel) -> tuple[list[dict[str, Any]], int]:
    """Each (prompt, response) as the model takes it, and how many were too long and cut.

    `pair`: two segments, the longer one cut first. `transcript` and `chat_template`: one text, cut from the left, so
    that the response, which is what is judged, stays whole.
    """
    texts: list[Any]
    options: dict[str, Any] = {}
    if settings.input == "pair":
        first, second = [prompt for prompt, _ in rows], [response for _, response in rows]
        full = tokenizer(first, second)["input_ids"]
        encoded = tokenizer(first, second, truncation=True, max_length=settings.max_length)
    else:
        if settings.input == "transcript":
            texts = [f"{as_transcript(prompt)} {response}" for prompt, response in rows]
        else:
            if not getattr(tokenizer, "chat_template", None):
                raise BadInput("reward: input: chat_template, but the reward model's tokenizer has none; use pair")
            texts = [
                tokenizer.apply_chat_template(
                    [*messages(prompt), {"role": "assistant", "content": response}], tokenize=False
                )
                for prompt, response in rows
            ]
            options = {"add_special_tokens": False}
        full = tokenizer(texts, **options)["input_ids"]
        side, tokenizer.truncation_side = tokenizer.truncation_side, "left"
        encoded = tokenizer(texts, truncation=True, max_length=settings.max_length, **options)
        tokenizer.truncation_side = side
    cut = sum(len(ids) > settings.max_length for ids in full)
    return [{name: encoded[name][i] for name in encoded} for i in range(len(rows))], cut


@torch.no_grad()
def score(
    model: Any,
    tokenizer: Any,
    rows: Sequence[tuple[str, str]],
    settings: RewardModel,
    *,
    progress: Callable[[int, int, str], None],
) -> tuple[np.ndarray, int]:
    """The reward of each (prompt, response), float64 of shape (rows,), and how many inputs were cut.

    Equal rows are scored once. Batches are sorted by length, so that there is little padding.
    """
    distinct = list(dict.fromkeys(rows))
    if not distinct:
        return np.empty(0), 0
    model.config.pad_token_id = tokenizer.pad_token_id  # where the model looks for the last token of a row
    inputs, cut = encode(distinct, tokenizer, settings)
    # On the right, whatever the tokenizer is used to: behind a text padding changes neither its positions nor, in a
    # causal model, what its tokens see.
    tokenizer.padding_side = "right"
    order = sorted(range(len(inputs)), key=lambda i: (len(inputs[i]["input_ids"]), i))
    rewards = np.empty(len(inputs))
    for start in range(0, len(order), settings.batch_size):
        indices = order[start : start + settings.batch_size]
        batch = tokenizer.pad([inputs[i] for i in indices], padding=True, return_tensors="pt").to(model.device)
        with sdpa_kernel(BACKENDS):
            output = model(**batch).logits[:, 0].double().cpu().numpy()
        rewards[indices] = settings.scale * output + settings.offset
        progress(start + len(indices), len(order), "rewards")
    by_row = dict(zip(distinct, rewards.tolist(), strict=True))
    return np.array([by_row[row] for row in rows]), cut

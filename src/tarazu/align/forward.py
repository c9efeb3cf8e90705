"""Forward passes: what a model says of the branches of a batch, packed or padded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tarazu.align.attention import CannotPack, attending_within_trees
from tarazu.align.head import predicted_in_blocks
from tarazu.align.losses import label_log_probs
from tarazu.align.packing import IGNORED, Batch, Document, pack, pad

Score = Callable[[Any, Batch], tuple[Tensor, Tensor]]
"""What a model gives each branch, and over how many tokens, each (branches,)."""


def branch_log_probs(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Summed log-probability of each branch given its stem, and the number of tokens summed: each (branches,), float64.

    Logits are made only where a token of a branch is predicted, and on a CPU in blocks of the vocabulary.
    """
    if "layout" not in batch:
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
        labels = batch["labels"][:, 1:]
        found = label_log_probs(logits[:, :-1].flatten(0, 1), labels.flatten().clamp(min=0))
        told = labels != IGNORED
        return (found.view(labels.shape) * told).sum(dim=1), told.sum(dim=1).double()
    call = partial(
        model,
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        attention_mask=None,
        use_cache=False,
        logits_to_keep=batch["source"],
        layout=batch["layout"],
    )
    in_blocks = predicted_in_blocks(model, batch["target"], call)
    found = label_log_probs(call().logits.flatten(0, 1), batch["target"]) if in_blocks is None else in_blocks
    found = found[: batch["predicted"]]
    # Not index_add: on CUDA that adds in an order of its own, and the last digit would differ from run to run.
    return torch.segment_reduce(found, "sum", lengths=batch["lengths"], initial=0.0), batch["lengths"].double()


def branch_rewards(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Reward of each branch behind its stem, by a sequence-classification model with one output; each counts as 1."""
    if "layout" not in batch:
        rewards = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, 0].float()
    else:
        rewards = _scores_of_tokens(model, batch)[batch["last"]].float()
    return rewards, torch.ones_like(rewards)


def _scores_of_tokens(model: Any, batch: Batch) -> Tensor:
    """The head's output at every token of a packed row, (tokens,).

    transformers' models take the last token of a row alone, so the head is listened to; calling it by itself would
    leave out what wraps the model (data parallelism, adapters).
    """
    heads = [module for name, module in model.named_modules() if name.split(".")[-1] == "score"]
    heard: list[Tensor] = []
    if not heads:
        raise CannotPack
    handle = heads[0].register_forward_hook(lambda module, inputs, output: heard.append(output))
    try:
        model(
            input_ids=batch["input_ids"],
            position_ids=batch["position_ids"],
            attention_mask=None,
            use_cache=False,
            layout=batch["layout"],
        )
    finally:
        handle.remove()
    return heard[0][0, :, 0]


_PROBED = 16  # tokens of a stem and of a branch


@torch.no_grad()
def can_be_packed(model: Any, documents: Sequence[Document], score: Score, pad_id: int) -> bool:
    """Whether a model gives the branches of packed documents what it gives them alone; tried on three beginnings.

    A model that cannot: its attention is not transformers' or does more than trees allow (for the longest of the
    documents, if windows are in play), or it mixes tokens by other means (recurrence, convolution).
    """
    some = [documents[index].beginning(_PROBED) for index in sorted({0, len(documents) // 2, len(documents) - 1})]
    row = pack(some)
    row["layout"].deepest = max(document.deepest for document in documents)
    training = model.training
    model.eval()
    try:
        with attending_within_trees(model):
            packed, lengths = score(model, to_device(row, model.device))
        padded, _ = score(model, to_device(pad(some, pad_id), model.device))
    except (CannotPack, TypeError, ValueError, NotImplementedError):
        return False
    finally:
        model.train(training)
    # Per token, at seven digits and some hundred terms; a token that sees what it should not is further off.
    tolerance = 2e-4 if model.dtype == torch.float32 else 2e-2
    return bool(((packed - padded).abs() / lengths.clamp(min=1)).max() < tolerance)


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {name: part.to(device) if isinstance(part, Tensor) else part for name, part in batch.items()}

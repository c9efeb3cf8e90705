"""Forward passes: scores of the branches of a packed or padded batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from tarazu.align.attention import CannotPack, use_tree_attention
from tarazu.align.head import blockwise_log_probs, label_log_probs
from tarazu.align.rows.documents import Document
from tarazu.align.rows.packing import IGNORED, Batch, pack, pad

Score = Callable[[Any, Batch], tuple[Tensor, Tensor]]
"""Returns a score for each branch and the number of tokens it covers, each (branches,)."""


def precision(device: torch.device, *, use_bf16: bool) -> AbstractContextManager[Any]:
    """Within the context, matrix products of a model in float32 are computed in bfloat16 on `device` if `use_bf16`."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if use_bf16 else nullcontext()


def branch_log_probs(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Summed log-probability of each branch given its stem, and the number of tokens summed: each (branches,), float64.

    Logits are computed only at positions that predict a token of a branch, and on a CPU in blocks of the vocabulary.
    """
    if "layout" not in batch:
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
        labels = batch["labels"][:, 1:]
        log_probs = label_log_probs(logits[:, :-1].flatten(0, 1), labels.flatten().clamp(min=0))
        predicted = labels != IGNORED
        return (log_probs.view(labels.shape) * predicted).sum(dim=1), predicted.sum(dim=1).double()
    call = partial(
        model,
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        attention_mask=None,
        use_cache=False,
        logits_to_keep=batch["source"],
        layout=batch["layout"],
    )
    in_blocks = blockwise_log_probs(model, batch["target"], call)
    log_probs = label_log_probs(call().logits.flatten(0, 1), batch["target"]) if in_blocks is None else in_blocks
    lengths = batch["lengths"]
    padding = len(log_probs) - lengths.sum(dim=0, keepdim=True)
    # Not index_add: on CUDA its order of additions varies, so the last digit would differ between runs. Unless it is
    # `unsafe`, segment_reduce reads the lengths back from the GPU to check them.
    sums = torch.segment_reduce(log_probs, "sum", lengths=torch.cat([lengths, padding]), initial=0.0, unsafe=True)
    return sums[:-1], lengths.double()


def branch_rewards(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Reward of each branch after its stem by a sequence-classification model with one output. Each counts as 1."""
    if "layout" not in batch:
        rows = {name: batch[name] for name in ("input_ids", "attention_mask")}
        rewards = rewards_of_rows(model, rows).float()
    else:
        rewards = _scores_of_tokens(model, batch)[batch["last"]].float()
    return rewards, torch.ones_like(rewards)


def rewards_of_rows(model: Any, rows: Mapping[str, Tensor]) -> Tensor:
    """The reward of each row (rows,) by a model with one output."""
    return logits_of_rows(model, rows)[:, 0]


def logits_of_rows(model: Any, rows: Mapping[str, Tensor]) -> Tensor:
    """A classifier's outputs for each row (rows, outputs), read at its last token that the attention mask keeps. Rows
    are padded on the right.

    transformers' causal models find that token by the id that pads, which may be unset, without an embedding, or also a
    token of the text. So rows are filled with a token that none of them has. If there is none, each row is passed
    alone.
    """
    inner = getattr(model, "module", model)
    configs = (inner.config, inner.config.get_text_config())
    before = [config.pad_token_id for config in configs]
    ids, kept = rows["input_ids"], rows["attention_mask"].bool()
    filler = _absent(ids[kept], inner.get_input_embeddings().weight.shape[0], [*ids[~kept][:1].tolist(), before[0]])
    parts: list[Mapping[str, Tensor]] = [{**rows, "input_ids": ids.masked_fill(~kept, filler or 0)}]
    if filler is None:
        lengths = kept.sum(dim=1).tolist()
        parts = [{name: part[i : i + 1, :length] for name, part in rows.items()} for i, length in enumerate(lengths)]
    try:
        for config in configs:
            config.pad_token_id = filler
        return torch.cat([model(**part).logits for part in parts])
    finally:
        for config, number in zip(configs, before, strict=True):
            config.pad_token_id = number


def _absent(ids: Tensor, words: int, preferred: Sequence[int | None]) -> int | None:
    """A token of a vocabulary of `words` that does not occur in `ids`; one of the preferred if possible."""
    occurring = set(ids.unique().tolist())
    candidates = (number for number in (*preferred, *range(words)) if number is not None and 0 <= number < words)
    return next((number for number in candidates if number not in occurring), None)


def _scores_of_tokens(model: Any, batch: Batch) -> Tensor:
    """The head's output at every token of a packed row, (tokens,).

    transformers' models return the output at the last token of a row only, so a hook on the head records all of them.
    Calling the head directly would bypass the model's wrappers (data parallelism, adapters).
    """
    heads = [module for name, module in model.named_modules() if name.split(".")[-1] == "score"]
    outputs: list[Tensor] = []
    if not heads:
        raise CannotPack
    handle = heads[0].register_forward_hook(lambda module, inputs, output: outputs.append(output))
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
    return outputs[0][0, :, 0]


_PROBED = 16  # tokens of a stem and of a branch


@torch.no_grad()
def can_be_packed(model: Any, documents: Sequence[Document], score: Score, pad_id: int) -> bool:
    """Whether a model gives branches of packed documents the same scores as in separate rows.

    Tests the beginnings of three documents. A model cannot be packed if it does not use transformers' attention, if its
    attention needs more than trees support (such as a window shorter than the longest document), or if it mixes tokens
    by other means (recurrence, convolution).
    """
    probes = [documents[index].beginning(_PROBED) for index in sorted({0, len(documents) // 2, len(documents) - 1})]
    row = pack(probes)
    row["layout"].deepest = max(document.deepest for document in documents)
    training = model.training
    model.eval()
    try:
        with use_tree_attention(model):
            packed, lengths = score(model, to_device(row, model.device))
        padded, _ = score(model, to_device(pad(probes, pad_id), model.device))
    except (CannotPack, TypeError, ValueError, NotImplementedError):
        return False
    finally:
        model.train(training)
    # Per token: rounding of sums of some hundred terms at seven digits. A token that attends to a wrong token causes a
    # larger difference.
    tolerance = 2e-4 if model.dtype == torch.float32 else 2e-2
    return bool(((packed - padded).abs() / lengths.clamp(min=1)).max() < tolerance)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on a device."""
    moved = {name: part.to(device) if isinstance(part, Tensor) else part for name, part in batch.items()}
    return cast(Batch, moved)

"""The losses, as functions of tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def token_log_probs(logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probability of each label under the logits of the position before it.

    `logits` (rows, tokens, vocabulary); `labels` (rows, tokens), -100 where nothing is predicted.
    Returns (rows, tokens - 1) in float32, 0 where the label is -100.
    """
    predicted = labels[:, 1:]
    # Cross-entropy fuses log-softmax and gather: the (rows, tokens, vocabulary) log-probabilities are never stored.
    losses = F.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), predicted.flatten(), ignore_index=-100, reduction="none"
    )
    return -losses.view(predicted.shape)


def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Direct preference optimisation.

    Rafailov et al. 2023 (arXiv 2305.18290), eq. 7; label smoothing as in conservative DPO (Mitchell 2023): with
    probability `label_smoothing` the preference is taken to be flipped. Arguments are summed log-probabilities of
    the answers, shape (pairs,). Returns the loss of each pair and the implicit rewards of chosen and rejected,
    beta times the log-ratio, each (pairs,).
    """
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    margin = chosen - rejected
    losses = -(1 - label_smoothing) * F.logsigmoid(margin) - label_smoothing * F.logsigmoid(-margin)
    return losses, chosen.detach(), rejected.detach()


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Negative log-likelihood of the preferences under Bradley and Terry (1952): -log sigmoid(chosen - rejected).

    Rewards of shape (pairs,); returns (pairs,).
    """
    return -F.logsigmoid(chosen - rejected)


def sft_loss(logits: Tensor, labels: Tensor, tokens: Tensor | int | None = None) -> Tensor:
    """Mean negative log-likelihood per predicted token.

    `tokens` is the number of predicted tokens in the whole optimizer step, so that batches of an accumulation weigh
    by their tokens; default: those of this batch. Returns a scalar.
    """
    count = (labels[:, 1:] != -100).sum() if tokens is None else tokens
    return -token_log_probs(logits, labels).sum() / count


def model_logits(model: torch.nn.Module, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Logits (rows, tokens, vocabulary) of right-padded rows."""
    logits: Tensor = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
    return logits

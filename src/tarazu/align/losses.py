"""Loss functions of tensors."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK = 2**21  # logits processed at a time: 8 MB in float32, which fits into processor caches


class _LabelLogProbs(torch.autograd.Function):
    """log softmax(logits)[label] without a second tensor of the logits' size.

    The backward pass overwrites the logits with their gradient. Nothing else needs the logits by then, because the
    layer before stores its input and not its output.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        norms = torch.empty(len(logits), dtype=torch.float64, device=logits.device)
        for chunk in _chunks(logits):
            largest = logits[chunk].amax(dim=-1, keepdim=True).float()
            total = (logits[chunk] - largest).exp_().sum(dim=-1)
            norms[chunk] = largest[:, 0].double() + total.double().log()
        ctx.save_for_backward(logits, labels, norms)
        return logits.gather(1, labels[:, None])[:, 0].double() - norms

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, labels, norms = ctx.saved_tensors
        norms, gradient = norms.float(), gradients[0].float()
        for chunk in _chunks(logits):
            # d/dlogits = gradient * (onehot(label) - softmax(logits))
            if logits.dtype == torch.float32:
                probabilities = logits[chunk].sub_(norms[chunk, None]).exp_()
            else:
                probabilities = (logits[chunk].float() - norms[chunk, None]).exp_()
            probabilities.mul_(-gradient[chunk, None])
            probabilities.scatter_add_(1, labels[chunk, None], gradient[chunk, None])
            if logits.dtype != torch.float32:
                logits[chunk] = probabilities.to(logits.dtype)
        return logits, None


def _chunks(logits: Tensor) -> list[slice]:
    # A GPU has enough memory for larger chunks, and each launch costs time.
    rows = max(1, (16 if logits.is_cuda else 1) * _CHUNK // logits.shape[-1])
    return [slice(start, start + rows) for start in range(0, len(logits), rows)]


def label_log_probs(logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probability of each label, in float64, because sums over long answers would lose digits in float32.

    `logits` (predicted, vocabulary), `labels` (predicted,); returns (predicted,). A backward pass replaces `logits` by
    their gradient, so no other code may use them afterwards, and only one backward pass is possible.
    """
    log_probs: Tensor = _LabelLogProbs.apply(logits, labels)
    return log_probs


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

    Rafailov et al. 2023 (arXiv 2305.18290), eq. 7. Label smoothing as in conservative DPO (Mitchell 2023): a preference
    is assumed to be flipped with probability `label_smoothing`. Arguments are summed log-probabilities of the answers,
    shape (pairs,). Returns the loss of each pair and the implicit rewards of chosen and rejected, which are beta times
    the log-ratio, each (pairs,).
    """
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    margin = chosen - rejected
    losses = -(1 - label_smoothing) * F.logsigmoid(margin) - label_smoothing * F.logsigmoid(-margin)
    return losses, chosen.detach(), rejected.detach()


def ipo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Identity preference optimisation: (h - 1 / (2 beta))^2, where h is the difference of the two log-ratios.

    Azar et al. 2023 (arXiv 2310.12036), eq. 17, where `beta` is called tau. Arguments are log-probabilities *per token*
    of the answers, (pairs,). With sums the target would depend on the answers' lengths (TRL also averages, following
    the authors). Returns the same values as `dpo_loss`.
    """
    chosen = policy_chosen - reference_chosen
    rejected = policy_rejected - reference_rejected
    losses = (chosen - rejected - 1 / (2 * beta)) ** 2
    return losses, beta * chosen.detach(), beta * rejected.detach()


def simpo_loss(
    policy_chosen: Tensor, policy_rejected: Tensor, *, beta: float, gamma: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Simple preference optimisation: no reference, a margin `gamma` between the answers.

    Meng et al. 2024 (arXiv 2405.14734), eq. 6. Arguments are log-probabilities *per token* of the answers, (pairs,).
    Returns the loss of each pair and the rewards of chosen and rejected, which are beta times these log-probabilities,
    each (pairs,).
    """
    chosen, rejected = beta * policy_chosen, beta * policy_rejected
    return -F.logsigmoid(chosen - rejected - gamma), chosen.detach(), rejected.detach()


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Negative log-likelihood of the preferences under Bradley and Terry (1952): -log sigmoid(chosen - rejected).

    Rewards of shape (pairs,); returns (pairs,).
    """
    return -F.logsigmoid(chosen - rejected)

"""The losses, as functions of tensors."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK = 2**21  # logits worked on at a time: 8 MB in float32, which processor caches hold


class _LabelLogProbs(torch.autograd.Function):
    """log softmax(logits)[label] without a second tensor of the logits' size: the backward pass writes the gradient
    over the logits, which nothing needs any more (the layer before saves its input, not its output)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        norms = torch.empty(len(logits), dtype=torch.float64, device=logits.device)
        for part in _parts(logits):
            largest = logits[part].amax(dim=-1, keepdim=True).float()
            total = (logits[part] - largest).exp_().sum(dim=-1)
            norms[part] = largest[:, 0].double() + total.double().log()
        ctx.save_for_backward(logits, labels, norms)
        return logits.gather(1, labels[:, None])[:, 0].double() - norms

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, labels, norms = ctx.saved_tensors
        norms, gradient = norms.float(), gradients[0].float()
        for part in _parts(logits):
            # d/dlogits = gradient * (onehot(label) - softmax(logits))
            if logits.dtype == torch.float32:
                probabilities = logits[part].sub_(norms[part, None]).exp_()
            else:
                probabilities = (logits[part].float() - norms[part, None]).exp_()
            probabilities.mul_(-gradient[part, None])
            probabilities.scatter_add_(1, labels[part, None], gradient[part, None])
            if logits.dtype != torch.float32:
                logits[part] = probabilities.to(logits.dtype)
        return logits, None


def _parts(logits: Tensor) -> list[slice]:
    # A GPU has memory to spare and pays for each launch.
    rows = max(1, (16 if logits.is_cuda else 1) * _CHUNK // logits.shape[-1])
    return [slice(start, start + rows) for start in range(0, len(logits), rows)]


def label_log_probs(logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probability of each label, in float64: a long answer's sum has no digits to lose in float32.

    `logits` (predicted, vocabulary), `labels` (predicted,); returns (predicted,). `logits` are used up: a backward pass
    leaves their gradient in their place, so nothing else may hold on to them, and there is no second backward pass.
    """
    found: Tensor = _LabelLogProbs.apply(logits, labels)
    return found


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


def ipo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Identity preference optimisation: (h - 1 / (2 beta))^2, h the difference of the two log-ratios.

    Azar et al. 2023 (arXiv 2310.12036), eq. 17, its tau being `beta`. Arguments are log-probabilities *per token* of
    the answers, (pairs,): summed ones would have the target hang on the answers' lengths (TRL averages too, on the
    authors' word). Returns as `dpo_loss` does.
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
    Returns the loss of each pair and the rewards of chosen and rejected, beta times theirs, each (pairs,).
    """
    chosen, rejected = beta * policy_chosen, beta * policy_rejected
    return -F.logsigmoid(chosen - rejected - gamma), chosen.detach(), rejected.detach()


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Negative log-likelihood of the preferences under Bradley and Terry (1952): -log sigmoid(chosen - rejected).

    Rewards of shape (pairs,); returns (pairs,).
    """
    return -F.logsigmoid(chosen - rejected)

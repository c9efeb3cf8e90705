"""Training objectives, which turn the scores of branches into a loss and statistics to log.

An objective takes the branches' scores (summed log-probabilities or rewards), the number of tokens of each, and the
reference's log-probabilities (pairs, 2). It returns the sum of the documents' losses and sums for the training curve.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from tarazu.study.schema import Arm, DPOArm, SimPOArm

Objective = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, dict[str, Tensor]]]


def objective_of(settings: Arm) -> Objective:
    """The objective of an arm."""
    if isinstance(settings, SimPOArm):
        return partial(_simpo, beta=settings.beta, gamma=settings.gamma)
    if not isinstance(settings, DPOArm):
        return _sft
    if settings.loss == "ipo":
        return partial(_ipo, beta=settings.beta)
    return partial(_dpo, beta=settings.beta, label_smoothing=settings.label_smoothing)


def _sft(scores: Tensor, tokens: Tensor, reference: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    return -scores.sum(), {}


def _dpo(
    scores: Tensor, tokens: Tensor, reference: Tensor, *, beta: float, label_smoothing: float
) -> tuple[Tensor, dict[str, Tensor]]:
    losses, chosen, rejected = dpo_loss(
        scores[0::2], scores[1::2], reference[:, 0], reference[:, 1], beta=beta, label_smoothing=label_smoothing
    )
    return losses.sum(), _reward_sums(chosen, rejected)


def _ipo(scores: Tensor, tokens: Tensor, reference: Tensor, *, beta: float) -> tuple[Tensor, dict[str, Tensor]]:
    policy, per_token = scores / tokens, reference / tokens.view(-1, 2)
    losses, chosen, rejected = ipo_loss(policy[0::2], policy[1::2], per_token[:, 0], per_token[:, 1], beta=beta)
    return losses.sum(), _reward_sums(chosen, rejected)


def _simpo(
    scores: Tensor, tokens: Tensor, reference: Tensor, *, beta: float, gamma: float
) -> tuple[Tensor, dict[str, Tensor]]:
    policy = scores / tokens
    losses, chosen, rejected = simpo_loss(policy[0::2], policy[1::2], beta=beta, gamma=gamma)
    return losses.sum(), _reward_sums(chosen, rejected)


def bradley_terry(
    scores: Tensor, tokens: Tensor, reference: Tensor, *, centre: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Bradley-Terry on rewards. A penalty of weight `centre` keeps the midpoint of each pair near 0 (Eisenstein et al.
    2023, arXiv 2312.09244), so that one threshold suits all prompts."""
    chosen, rejected = scores[0::2], scores[1::2]
    losses = bradley_terry_loss(chosen, rejected) + centre * (chosen + rejected) ** 2
    return losses.sum(), _reward_sums(chosen.detach(), rejected.detach())


def _reward_sums(chosen: Tensor, rejected: Tensor) -> dict[str, Tensor]:
    return {
        "reward_chosen": chosen.sum(),
        "reward_rejected": rejected.sum(),
        "reward_margin": (chosen - rejected).sum(),
        "reward_accuracy": (chosen > rejected).float().sum(),
    }


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

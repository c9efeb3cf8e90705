"""Training objectives, which turn the scores of branches into a loss and statistics to log.

An objective takes the branches' scores (summed log-probabilities or rewards), the number of tokens of each, and the
reference's log-probabilities (pairs, 2). It returns the sum of the documents' losses and sums for the training curve.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from tarazu.align.losses import bradley_terry_loss, dpo_loss, ipo_loss, simpo_loss
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

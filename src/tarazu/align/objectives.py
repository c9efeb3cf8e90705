"""What training makes small: from what a model gives each branch to a sum of losses and what is worth logging.

An objective takes what the branches got (their summed log-probabilities, or rewards), over how many tokens, and the
reference's log-probabilities (pairs, 2); it returns the sum of its documents' losses and sums for the curve.
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


def _sft(found: Tensor, tokens: Tensor, reference: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    return -found.sum(), {}


def _dpo(
    found: Tensor, tokens: Tensor, reference: Tensor, *, beta: float, label_smoothing: float
) -> tuple[Tensor, dict[str, Tensor]]:
    losses, chosen, rejected = dpo_loss(
        found[0::2], found[1::2], reference[:, 0], reference[:, 1], beta=beta, label_smoothing=label_smoothing
    )
    return losses.sum(), _reward_sums(chosen, rejected)


def _ipo(found: Tensor, tokens: Tensor, reference: Tensor, *, beta: float) -> tuple[Tensor, dict[str, Tensor]]:
    policy, held = found / tokens, reference / tokens.view(-1, 2)
    losses, chosen, rejected = ipo_loss(policy[0::2], policy[1::2], held[:, 0], held[:, 1], beta=beta)
    return losses.sum(), _reward_sums(chosen, rejected)


def _simpo(
    found: Tensor, tokens: Tensor, reference: Tensor, *, beta: float, gamma: float
) -> tuple[Tensor, dict[str, Tensor]]:
    policy = found / tokens
    losses, chosen, rejected = simpo_loss(policy[0::2], policy[1::2], beta=beta, gamma=gamma)
    return losses.sum(), _reward_sums(chosen, rejected)


def bradley_terry(
    found: Tensor, tokens: Tensor, reference: Tensor, *, centre: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Bradley-Terry on rewards, their midpoint held near 0 with weight `centre` (Eisenstein et al. 2023, arXiv
    2312.09244), so that one threshold can serve all prompts."""
    chosen, rejected = found[0::2], found[1::2]
    losses = bradley_terry_loss(chosen, rejected) + centre * (chosen + rejected) ** 2
    return losses.sum(), _reward_sums(chosen.detach(), rejected.detach())


def _reward_sums(chosen: Tensor, rejected: Tensor) -> dict[str, Tensor]:
    return {
        "reward_chosen": chosen.sum(),
        "reward_rejected": rejected.sum(),
        "reward_margin": (chosen - rejected).sum(),
        "reward_accuracy": (chosen > rejected).float().sum(),
    }

"""Linear interpolation between the weights of two models."""

from __future__ import annotations

from typing import Any

import torch

from tarazu.errors import BadInput


@torch.no_grad()
def interpolated(base: Any, arm: Any, alpha: float, *, key: str) -> Any:
    """Set the weights of `arm` to (1 - alpha) times those of `base` plus alpha times its own, and return it (Wortsman
    et al. 2022, arXiv 2109.01903, eq. 1; between aligned models: Ramé et al. 2023, arXiv 2306.04488, eq. 3).

    Alpha 0 gives exactly the weights of `base`, and 1 exactly those of `arm`. Tied weights are interpolated once.
    Raises BadInput, which names the study's `key`, if the architectures differ.
    """
    arm_weights, base_weights = _weights(arm), _weights(base)
    if type(base) is not type(arm) or arm_weights.keys() != base_weights.keys():
        raise BadInput(
            f"{key}: interpolation needs two models of one architecture, and {type(base).__name__} and "
            f"{type(arm).__name__} have different weights; name an arm trained from the base arm"
        )
    differing = next((name for name in arm_weights if arm_weights[name].shape != base_weights[name].shape), None)
    if differing is not None:
        shapes = " and ".join(str(list(weights[differing].shape)) for weights in (base_weights, arm_weights))
        raise BadInput(
            f"{key}: interpolation needs two models of one architecture, and {differing} has the shapes {shapes}; name "
            "an arm trained from the base arm"
        )
    for name, own in arm_weights.items():
        if own.is_floating_point():  # others, such as position ids, define the architecture
            own.copy_(torch.lerp(base_weights[name].to(own), own, alpha))
    return arm


def _weights(model: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers. A tied tensor occurs once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}

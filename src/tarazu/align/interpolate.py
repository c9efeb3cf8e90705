"""Models between two models: weights interpolated linearly."""

from __future__ import annotations

from typing import Any

import torch

from tarazu.errors import BadInput


@torch.no_grad()
def interpolated(base: Any, arm: Any, alpha: float, *, key: str) -> Any:
    """`arm` with (1 - alpha) of the weights of `base` and alpha of its own, in place (Wortsman et al. 2022, arXiv
    2109.01903, eq. 1; between aligned models: Ramé et al. 2023, arXiv 2306.04488, eq. 3).

    0 gives base's weights and 1 the arm's own, to the bit. Weights that a model ties are interpolated once. Raises
    BadInput, naming the study's `key`, for models of unlike architectures.
    """
    ours, theirs = _weights(arm), _weights(base)
    if type(base) is not type(arm) or ours.keys() != theirs.keys():
        raise BadInput(
            f"{key}: weights lie between models of one architecture, and these are {type(base).__name__} and "
            f"{type(arm).__name__} with other parts; name an arm trained from the base arm"
        )
    unlike = next((name for name in ours if ours[name].shape != theirs[name].shape), None)
    if unlike is not None:
        shapes = " and ".join(str(list(found[unlike].shape)) for found in (theirs, ours))
        raise BadInput(
            f"{key}: weights lie between models of one architecture, and {unlike} has the shapes {shapes}; name an arm "
            "trained from the base arm"
        )
    for name, own in ours.items():
        if own.is_floating_point():  # what is not, such as positions, says how a model is made
            own.copy_(torch.lerp(theirs[name].to(own), own, alpha))
    return arm


def _weights(model: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers, each once, however many names it has."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}

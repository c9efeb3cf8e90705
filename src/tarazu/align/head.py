"""The last matrix of a language model on a CPU: log-probabilities of labels, in blocks of the vocabulary.

A row's logits are by far its largest tensor. In blocks, what is needed beside them (exponentials, sums) is as large as
one block, and where no gradient is asked for there is never more than one block of the logits themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

_BLOCK = 1024  # words of the vocabulary in a block; with a row's thousand predicted tokens, 4 MB of logits
_CHANGED: WeakSet[torch.nn.Module] = WeakSet()
"""Heads whose models do something to the logits (scale or cap them), so that the logits are needed."""


class _HeadLogProbs(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[label]. The backward pass writes the gradient over the kept logits."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, trained: bool) -> Tensor:
        largest = torch.full((len(hidden),), -torch.inf)
        total = torch.zeros(len(hidden))
        widest = min(_BLOCK, len(weight))
        spare, again = torch.empty(2, len(hidden) * widest)
        ctx.blocks = []
        for words in weight.split(_BLOCK):
            shape = len(hidden), len(words)
            size = shape[0] * shape[1]
            logits = torch.empty(shape) if trained else again[:size].view(shape)
            torch.mm(hidden, words.t(), out=logits)
            if trained:
                ctx.blocks.append(logits)
            before, largest = largest, torch.maximum(largest, logits.amax(dim=1))
            # What was summed so far is held against the new largest logit (Milakov and Gimelshein 2018, alg. 3).
            total.mul_((before - largest).exp_())
            total.add_(torch.sub(logits, largest[:, None], out=spare[:size].view(shape)).exp_().sum(dim=1))
        norms = largest.double() + total.double().log()
        ctx.save_for_backward(hidden, weight, labels, norms)
        return torch.linalg.vecdot(hidden.double(), weight[labels].double()) - norms

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        hidden, weight, labels, norms = ctx.saved_tensors
        norms, gradient = norms.float()[:, None], gradients[0].float()[:, None]
        # d/dlogits = gradient * (onehot(label) - softmax(logits)); the labels' part comes apart from the blocks'.
        of_hidden = gradient * weight[labels]
        of_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        start = 0
        for logits in ctx.blocks:
            end = start + logits.shape[1]
            logits.sub_(norms).exp_().mul_(-gradient)
            of_hidden.addmm_(logits, weight[start:end])
            if of_weight is not None:
                torch.mm(logits.t(), hidden, out=of_weight[start:end])
            start = end
        if of_weight is not None:
            of_weight.index_add_(0, labels, gradient * hidden)
        ctx.blocks = None
        return of_hidden, of_weight, None, None


def head_log_probs(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Log-probability of each label, in float64, from what comes before the head; float32, on a CPU.

    `hidden` (predicted, width), `weight` (vocabulary, width), `labels` (predicted,); returns (predicted,). There is no
    second backward pass.
    """
    found: Tensor = _HeadLogProbs.apply(hidden, weight, labels, torch.is_grad_enabled())
    return found


def predicted_in_blocks(model: Any, labels: Tensor, call: Callable[[], Any]) -> Tensor | None:
    """Log-probabilities (predicted,) of `labels` as `head_log_probs` gives them within `call`, which calls `model`;
    None where this model's head is more than a matrix in float32 on a CPU, or where the model changes its logits.

    The head must be called from within the model, which may be wrapped (several processes, adapters): for that one call
    it gives log-probabilities for logits.
    """
    inner = getattr(model, "module", model)
    head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    if (
        type(head) is not torch.nn.Linear
        or head.bias is not None
        or head.weight.device.type != "cpu"
        or head.weight.dtype != torch.float32
        or "forward" in vars(head)  # somebody else's wrapping
        or head in _CHANGED
    ):
        return None
    made: list[Tensor] = []

    def forward(hidden: Tensor) -> Tensor:
        if hidden.shape[:-1] != (1, len(labels)):
            raise ValueError("the model does not keep to the places asked for (logits_to_keep)")
        made.append(head_log_probs(hidden[0], head.weight, labels)[None, :, None])
        return made[0]

    head.forward = forward
    try:
        logits = call().logits
    finally:
        del head.forward
    if len(made) != 1 or logits.data_ptr() != made[0].data_ptr():
        _CHANGED.add(head)
        return None
    found: Tensor = logits[0, :, 0]
    return found

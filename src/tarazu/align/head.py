"""Log-probabilities of labels: from the logits of a vocabulary head, and on a CPU by the head itself.

A row's logits are by far its largest tensor. `blockwise_log_probs` computes them in blocks of the vocabulary, and the
intermediate results (exponentials, sums) take the memory of one block. Without gradients, the logits do too.
`label_log_probs` takes logits that exist, and processes some rows of them at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

_BLOCK = 1024  # vocabulary entries per block: 4 MB of logits for a row with a thousand predicted tokens
_NEGLIGIBLE = 2.0**-56
"""The gradient of a log-probability up to which it counts as 0 on a CPU, about 1.4e-17."""
_SMALLEST_LOG = -100 * math.log(2)
"""The logarithm of the smallest gradient of a logit on a CPU."""
_CHANGED: WeakSet[torch.nn.Module] = WeakSet()
"""Heads whose models change the logits (scale or cap them), so that the logits themselves are needed."""


@contextmanager
def _factors_in_bfloat16(enabled: bool) -> Iterator[None]:
    """Within the context, if `enabled`, the factors of products in float32 are rounded to bfloat16, and their sums stay
    in float32, on a processor with instructions for it. On others nothing changes."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if enabled else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _without_negligible(gradient: Tensor) -> Tensor:
    """The gradients of log-probabilities, on a CPU with 0 for the smallest ones.

    Those of a pair that DPO separates by a margin of 35 or more are that small. For them Adam, which divides by the
    gradients' size plus 1e-8, moves a weight by less than it is rounded. But their squares are denormal numbers (below
    1.2e-38), with which a processor takes many times as long.
    """
    return torch.nn.functional.hardshrink(gradient, _NEGLIGIBLE) if gradient.device.type == "cpu" else gradient


def _times_softmax(logits: Tensor, norms: Tensor, gradient: Tensor) -> Tensor:
    """-gradient * softmax(logits), which replaces `logits` (rows, vocabulary); `norms` and `gradient` (rows, 1).

    On a CPU, products below 2^-100 are 0: they, or their products with weights, would be denormal numbers, and they are
    too small to change a sum. (Processors can themselves treat denormal numbers as 0, but torch switches that on for
    one of its threads only, so that results would depend on the number of threads.)
    """
    logits.sub_(norms)
    if logits.device.type == "cpu":
        smallest = _SMALLEST_LOG - gradient.abs().log()
        if (logits.amin(dim=1, keepdim=True) < smallest).any():
            logits.masked_fill_(logits < smallest, -torch.inf)
    return logits.exp_().mul_(-gradient)


class _HeadLogProbs(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[label]. The backward pass overwrites the stored logits with the gradient.

    Under autocast, factors are rounded to bfloat16, and logits stay in float32: in bfloat16, one of 20 would have an
    error of up to 0.06.
    """

    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, labels: Tensor, trained: bool) -> Tensor:
        ctx.given, ctx.rounded = given.dtype, torch.is_autocast_enabled("cpu")
        factor = torch.bfloat16 if ctx.rounded else torch.float32
        hidden = given.to(factor).float()
        largest = torch.full((len(hidden),), -torch.inf)
        total = torch.zeros(len(hidden))
        widest = min(_BLOCK, len(weight))
        exponentials, reused = torch.empty(2, len(hidden) * widest)
        ctx.blocks = []
        with _factors_in_bfloat16(ctx.rounded):
            for block in weight.split(_BLOCK):
                shape = len(hidden), len(block)
                size = shape[0] * shape[1]
                logits = torch.empty(shape) if trained else reused[:size].view(shape)
                torch.mm(hidden, block.t(), out=logits)
                if trained:
                    ctx.blocks.append(logits)
                previous, largest = largest, torch.maximum(largest, logits.amax(dim=1))
                # Rescale the running sum to the new largest logit (Milakov and Gimelshein 2018, alg. 3).
                total.mul_((previous - largest).exp_())
                total.add_(torch.sub(logits, largest[:, None], out=exponentials[:size].view(shape)).exp_().sum(dim=1))
        norms = largest.double() + total.double().log()
        ctx.save_for_backward(hidden, weight, labels, norms)
        return torch.linalg.vecdot(hidden.double(), weight[labels].to(factor).double()) - norms

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        hidden, weight, labels, norms = ctx.saved_tensors
        norms, gradient = norms.float()[:, None], _without_negligible(gradients[0].float())[:, None]
        # d/dlogits = gradient * (onehot(label) - softmax(logits)). The term of the labels is added separately.
        of_hidden = gradient * weight[labels]
        of_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        start = 0
        with _factors_in_bfloat16(ctx.rounded):
            for logits in ctx.blocks:
                end = start + logits.shape[1]
                _times_softmax(logits, norms, gradient)
                of_hidden.addmm_(logits, weight[start:end])
                if of_weight is not None:
                    torch.mm(logits.t(), hidden, out=of_weight[start:end])
                start = end
        if of_weight is not None:
            of_weight.index_add_(0, labels, gradient * hidden)
        ctx.blocks = None
        return of_hidden.to(ctx.given), of_weight, None, None


def head_log_probs(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Log-probability of each label, in float64, from the head's inputs and its weights in float32 on a CPU.

    `hidden` (predicted, width), `weight` (vocabulary, width), `labels` (predicted,); returns (predicted,). Only one
    backward pass is possible.
    """
    log_probs: Tensor = _HeadLogProbs.apply(hidden, weight, labels, torch.is_grad_enabled())
    return log_probs


def blockwise_log_probs(model: Any, labels: Tensor, call: Callable[[], Any]) -> Tensor | None:
    """Log-probabilities (predicted,) of `labels`, computed by `head_log_probs` during `call`, which calls `model`.

    Returns None if the model's head is not a plain matrix in float32 on a CPU, or if the model changes its logits.

    The model may be wrapped (several processes, adapters), so the head must be called from within it. During `call` the
    head returns log-probabilities instead of logits.
    """
    inner = getattr(model, "module", model)
    head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    if (
        type(head) is not torch.nn.Linear
        or head.bias is not None
        or head.weight.device.type != "cpu"
        or head.weight.dtype != torch.float32
        or "forward" in vars(head)  # another library has wrapped it
        or head in _CHANGED
    ):
        return None
    outputs: list[Tensor] = []

    def forward(hidden: Tensor) -> Tensor:
        if hidden.shape[:-1] != (1, len(labels)):
            raise ValueError("the model ignores logits_to_keep")
        outputs.append(head_log_probs(hidden[0], head.weight, labels)[None, :, None])
        return outputs[0]

    head.forward = forward
    try:
        logits = call().logits
    finally:
        del head.forward
    if len(outputs) != 1 or logits.data_ptr() != outputs[0].data_ptr():
        _CHANGED.add(head)
        return None
    log_probs: Tensor = logits[0, :, 0]
    return log_probs


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
        norms, gradient = norms.float(), _without_negligible(gradients[0].float())
        for chunk in _chunks(logits):
            # d/dlogits = gradient * (onehot(label) - softmax(logits))
            own = _times_softmax(logits[chunk].float(), norms[chunk, None], gradient[chunk, None])
            own.scatter_add_(1, labels[chunk, None], gradient[chunk, None])
            if logits.dtype != torch.float32:  # else these are the logits themselves
                logits[chunk] = own.to(logits.dtype)
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

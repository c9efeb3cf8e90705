"""Counts useful floating-point operations, and measures how many of them the machine can do per second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from tarazu.align.rows.documents import Document


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Floating-point operations of a model: per token of a row, per pair of tokens that attend to each other, and per
    predicted token. The `_trained` fields count only the weights that train."""

    token: float
    token_trained: float
    attended: float
    predicted: float
    predicted_trained: float

    def forward(self, document: Document) -> float:
        """Operations of a forward pass over a document.

        Counts 2 operations per matrix weight and token, plus the scores and weighted sums of attention. A shared prompt
        counts once, and logits count only where a token is predicted. Padding, norms and activations are not counted.
        """
        return self.token * document.tokens + self.attended * _attended(document) + self.predicted * document.predicted

    def step(self, document: Document) -> float:
        """Operations of a forward and a backward pass. The backward pass of a matrix costs a forward pass for the
        gradient of its input, and another one for its own gradient if it trains."""
        trained = self.token_trained * document.tokens + self.predicted_trained * document.predicted
        return 2 * self.forward(document) + trained + self.attended * _attended(document)

    def headless_step(self, document: Document) -> float:
        """`step` without the vocabulary head: the cost of a sequence classifier of the same shape."""
        trained = self.token_trained * document.tokens + self.attended * _attended(document)
        return 2 * (self.token * document.tokens + self.attended * _attended(document)) + trained


def _attended(document: Document) -> int:
    """The number of token pairs in which one token attends to the other."""
    stem = len(document.stem)
    branches = [len(branch) for branch in document.branches]
    return stem * (stem + 1) // 2 + sum(stem * b + b * (b + 1) // 2 for b in branches)


def cost(model: Any) -> Cost:
    """The cost of a causal language model, or of a sequence classifier without its head."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Cost(
        token=2.0 * sum(m.weight.numel() for m in linear),
        token_trained=2.0 * sum(m.weight.numel() for m in linear if m.weight.requires_grad),
        attended=4.0 * config.num_attention_heads * width * config.num_hidden_layers,
        predicted=2.0 * head.weight.numel() if head is not None else 0.0,
        predicted_trained=2.0 * head.weight.numel() if head is not None and head.weight.requires_grad else 0.0,
    )


@dataclass(kw_only=True)
class Peak:
    """The highest rate of floating-point operations per second that a machine has shown so far.

    A measurement in a busy moment is too low. Work that runs faster proves it, and becomes the peak.
    """

    rate: float

    def share(self, rate: float) -> float:
        """What share of the peak a rate is: at most 1."""
        self.rate = max(self.rate, rate)
        return rate / self.rate


@cache
def peak_of(device: torch.device, dtype: torch.dtype, devices: int) -> Peak:
    """The peak of so many devices of this kind. Every training of a process shares it, so that what one of them shows
    counts for the next."""
    return Peak(rate=matmul_peak(device, dtype) * devices)


def matmul_peak(device: torch.device, dtype: torch.dtype, *, size: int = 2048, seconds: float = 0.3) -> float:
    """Floating-point operations per second of this machine's best square matrix product within `seconds`."""
    size = size if device.type == "cpu" else 4 * size
    a = torch.randn(size, size, device=device).to(dtype)
    b, out = a.t().contiguous(), torch.empty_like(a)
    best = float("inf")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or best == float("inf"):
        wait_for(device)
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        wait_for(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def wait_for(device: torch.device) -> None:
    """Return when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

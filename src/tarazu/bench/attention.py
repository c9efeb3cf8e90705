"""Checks and times each kernel for the attention of a packed row on this machine."""

from __future__ import annotations

import statistics
import time
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from tarazu.align import attention
from tarazu.align.kernels import KERNELS, Kernel
from tarazu.align.rows.layout import Layout
from tarazu.bench.results import AttentionTimes, KernelTime, Skipped
from tarazu.seeds import repeatable_sums

ROUNDS = 7
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}  # of the largest value; a wrong mask causes larger errors


@dataclass(frozen=True, kw_only=True)
class AttentionShape:
    """The shape of a model's attention: query heads, key heads, width of a head, and layers."""

    heads: int
    key_heads: int
    width: int
    layers: int


def measure_attention(
    layout: Layout, shape: AttentionShape, *, device: torch.device, dtype: torch.dtype
) -> AttentionTimes:
    """Time each kernel on a row.

    `seconds` is the median over rounds of forward and backward passes through `layers` layers, including the mask's
    creation and with sums in a fixed order, as for a training row. All kernels take turns in each round. `lowest` and
    `highest` are over the rounds. `largest_difference` compares outputs and gradients with calls per tree in float32,
    relative to the largest value. A kernel that fails, or whose difference is larger than its precision explains, is
    skipped.
    """
    generator = torch.Generator().manual_seed(0)
    query, key, value, weights = (
        torch.randn(1, count, layout.trees[-1].end, shape.width, generator=generator).to(device, dtype).float()
        for count in (shape.heads, shape.key_heads, shape.key_heads, shape.heads)
    )
    inputs = query, key, value
    expected = _results(KERNELS["trees"], layout, inputs, weights, torch.float32)
    skipped: dict[str, Skipped] = {}
    differences: dict[str, float] = {}
    for name, kernel in KERNELS.items():
        try:
            results = _results(kernel, layout, inputs, weights, dtype)
        except Exception as error:  # a compiler or driver may raise anything; measure the other kernels nevertheless
            skipped[name] = Skipped(skipped=" ".join(f"{type(error).__name__}: {error}".split())[:300])
            continue
        off = max(float((a.float() - b).abs().max() / b.abs().max()) for a, b in zip(results, expected, strict=True))
        if not off < _TOLERANCE[dtype]:
            skipped[name] = Skipped(skipped=f"its outputs or gradients are off by {off:.1e}")
        else:
            differences[name] = off
    seconds: dict[str, list[float]] = {name: [] for name in differences}
    with repeatable_sums() if device.type == "cuda" else nullcontext():
        for _ in range(ROUNDS):
            for name in differences:
                seconds[name].append(_row_seconds(KERNELS[name], layout, inputs, weights, dtype, shape.layers))
    timed = {
        name: KernelTime(
            largest_difference=differences[name],
            seconds=statistics.median(times),
            lowest=min(times),
            highest=max(times),
        )
        for name, times in seconds.items()
    }
    return AttentionTimes(
        row_tokens=layout.trees[-1].end,
        trees=len(layout.trees),
        heads=shape.heads,
        key_heads=shape.key_heads,
        width=shape.width,
        layers=shape.layers,
        rounds=ROUNDS,
        used=attention.kernel_in_use(query.to(dtype), key.to(dtype), value.to(dtype), 0.0),
        fastest=min(timed, key=lambda name: timed[name].seconds),
        kernels={name: skipped[name] if name in skipped else timed[name] for name in KERNELS},
    )


def attention_text(times: AttentionTimes | Skipped) -> list[str]:
    """Lines for a terminal."""
    if isinstance(times, Skipped):
        return [f"attention skipped: {times.skipped}"]
    lines = [
        f"attention of a row of {times.row_tokens:,} tokens, {times.layers} layers, forward and backward "
        f"(milliseconds; lowest and highest of {times.rounds}):"
    ]
    for name, kernel in times.kernels.items():
        if isinstance(kernel, Skipped):
            lines.append(f"  {name:<8}skipped: {kernel.skipped}")
        else:
            low, middle, high = (1000 * seconds for seconds in (kernel.lowest, kernel.seconds, kernel.highest))
            lines.append(f"  {name:<8}{middle:>9.2f}  ({low:.2f} to {high:.2f})")
    same = times.fastest == times.used
    advice = "" if same else f"; {times.fastest} is faster: select it in tarazu/align/attention.py"
    return [*lines, f"  {times.used} is in use{advice}"]


def _pass(kernel: Kernel, layout: Layout, inputs: tuple[Tensor, Tensor, Tensor], weights: Tensor) -> tuple[Tensor, ...]:
    """Output and gradients of one forward and backward pass."""
    output = kernel(*inputs, layout, None, 0.0)
    return output.detach(), *torch.autograd.grad(output, inputs, weights.transpose(1, 2))


def _results(
    kernel: Kernel, layout: Layout, inputs: tuple[Tensor, Tensor, Tensor], weights: Tensor, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    query, key, value = (part.detach().to(dtype).requires_grad_() for part in inputs)
    return _pass(kernel, Layout(layout.trees), (query, key, value), weights.to(dtype))


def _row_seconds(
    kernel: Kernel,
    layout: Layout,
    inputs: tuple[Tensor, Tensor, Tensor],
    weights: Tensor,
    dtype: torch.dtype,
    layers: int,
) -> float:
    query, key, value = (part.detach().to(dtype).requires_grad_() for part in inputs)
    weights = weights.to(dtype)
    fresh = Layout(layout.trees)
    _wait(query)
    began = time.perf_counter()
    for _ in range(layers):
        _pass(kernel, fresh, (query, key, value), weights)
    _wait(query)
    return time.perf_counter() - began


def _wait(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()

"""Attention of a packed row by each kernel: is it right on this machine, and how long does it take?"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch import Tensor

from tarazu.align import attention
from tarazu.align.kernels import KERNELS, Kernel
from tarazu.align.packing import Layout

ROUNDS = 7
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}  # of the largest; a mask that is wrong shows at once


def measure_attention(
    layout: Layout, *, heads: int, key_heads: int, width: int, layers: int, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """What each kernel takes for a row: {row_tokens, trees, heads, key_heads, width, layers, rounds, used, fastest,
    kernels}.

    `seconds` is the median over rounds, all kernels taking their turn in each, of forward and backward passes through
    `layers` layers with the mask made anew, as a row of training has it; `lowest` and `highest` are the rounds'.
    `largest_difference` is that of outputs and gradients from calls per tree in float32, as a share of the largest. A
    kernel that fails, or is further off than its precision explains, is {"skipped": reason}.
    """
    generator = torch.Generator().manual_seed(0)
    query, key, value, weights = (
        torch.randn(1, count, layout.trees[-1].end, width, generator=generator).to(device, dtype).float()
        for count in (heads, key_heads, key_heads, heads)
    )
    inputs = query, key, value
    expected = _results(KERNELS["trees"], layout, inputs, weights, torch.float32)
    kernels: dict[str, dict[str, Any]] = {}
    for name, kernel in KERNELS.items():
        try:
            found = _results(kernel, layout, inputs, weights, dtype)
        except Exception as error:  # whatever a compiler or a driver may say: the others are measured all the same
            kernels[name] = {"skipped": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
            continue
        off = max(float((a.float() - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))
        if not off < _TOLERANCE[dtype]:
            kernels[name] = {"skipped": f"its outputs or gradients are off by {off:.1e}"}
        else:
            kernels[name] = {"largest_difference": off}
    right = [name for name, told in kernels.items() if "skipped" not in told]
    seconds: dict[str, list[float]] = {name: [] for name in right}
    for _ in range(ROUNDS):
        for name in right:
            seconds[name].append(_row_seconds(KERNELS[name], layout, inputs, weights, dtype, layers))
    for name, taken in seconds.items():
        kernels[name] |= {"seconds": statistics.median(taken), "lowest": min(taken), "highest": max(taken)}
    return {
        "row_tokens": layout.trees[-1].end,
        "trees": len(layout.trees),
        "heads": heads,
        "key_heads": key_heads,
        "width": width,
        "layers": layers,
        "rounds": ROUNDS,
        "used": attention.ON_CUDA if device.type == "cuda" else attention.ON_CPU,
        "fastest": min(right, key=lambda name: kernels[name]["seconds"]),
        "kernels": kernels,
    }


def attention_text(found: dict[str, Any]) -> list[str]:
    """Lines for a terminal."""
    if "skipped" in found:
        return [f"attention skipped: {found['skipped']}"]
    lines = [
        f"attention of a row of {found['row_tokens']:,} tokens, {found['layers']} layers, forward and backward "
        f"(milliseconds; lowest and highest of {found['rounds']}):"
    ]
    for name, told in found["kernels"].items():
        if "skipped" in told:
            lines.append(f"  {name:<8}skipped: {told['skipped']}")
        else:
            low, middle, high = (1000 * told[key] for key in ("lowest", "seconds", "highest"))
            lines.append(f"  {name:<8}{middle:>9.2f}  ({low:.2f} to {high:.2f})")
    same = found["fastest"] == found["used"]
    advice = "" if same else f"; {found['fastest']} is faster: make it the one in tarazu/align/attention.py"
    return [*lines, f"  {found['used']} is in use{advice}"]


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

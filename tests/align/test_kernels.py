"""All kernels for attention within trees give the same outputs and gradients."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import tiny
import torch
from attention_written_out import alone, layout_of
from torch import Tensor
from torch.nn.attention import flex_attention

from tarazu.align import attention, kernels
from tarazu.align.attention import use_tree_attention
from tarazu.align.forward import branch_log_probs
from tarazu.align.kernels import KERNELS
from tarazu.align.rows.documents import Document
from tarazu.align.rows.packing import pack
from tarazu.errors import TarazuError

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")

DOCUMENTS = [
    Document([5, 6, 7, 8], [[9, 10], [11, 12, 13]]),
    Document([], [[14, 15, 16, 17, 18]]),
    Document([19], [[], [20, 21]]),
    Document([22] * 90, [[23] * 60, [24] * 50]),  # longer than a block of FlexAttention
]


def varlen_as_documented(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool = False,
) -> Tensor:
    """torch.nn.attention.varlen.varlen_attn on CUDA as documented: separate sequences, causal from the end."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert int(cu_seq_q.diff().max()) <= max_q
    assert int(cu_seq_k.diff().max()) <= max_k
    assert window_size == (-1, 0)
    found = []
    for (begin, end), (key_begin, key_end) in zip(
        cu_seq_q.unfold(0, 2, 1).tolist(), cu_seq_k.unfold(0, 2, 1).tolist(), strict=True
    ):
        q = query[begin:end].transpose(0, 1)
        k, v = (part[key_begin:key_end].transpose(0, 1) for part in (key, value))
        if enable_gqa:
            k, v = (part.repeat_interleave(len(q) // len(part), dim=0) for part in (k, v))
        sees = torch.ones(q.shape[1], k.shape[1]).tril(k.shape[1] - q.shape[1]).bool()
        scores = q @ k.transpose(1, 2) * (scale or q.shape[-1] ** -0.5)
        found.append((scores.masked_fill(~sees, float("-inf")).softmax(-1) @ v).transpose(0, 1))
    return torch.cat(found)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs kernels that need CUDA without it: FlexAttention's reference implementation, whose backward pass torch
    refuses on a CPU, and varlen_attn as documented, with torch's signature."""
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    varlen_attn = pytest.importorskip("torch.nn.attention.varlen").varlen_attn

    def call(*arguments: Any, **keywords: Any) -> Tensor:
        inspect.signature(varlen_attn).bind(*arguments, **keywords)
        return varlen_as_documented(*arguments, **keywords)

    monkeypatch.setattr(kernels, "_varlen_attn", lambda: (call, True))
    monkeypatch.setattr(kernels, "_refuse_unsupported_by_varlen", lambda query: None)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("key_heads", [2, 1])
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
def test_a_token_attends_to_its_stem_and_its_branch(name: str, key_heads: int, padded: bool) -> None:
    layout = layout_of([(3, [2, 4]), (0, [5]), (1, [0, 2, 3]), (2, [1]), (4, [])], padded=padded)
    generator = torch.Generator().manual_seed(0)
    query, key, value, weights = (
        torch.randn(1, heads, layout.trees[-1].end, 16, generator=generator, requires_grad=True)
        for heads in (2, key_heads, key_heads, 2)
    )
    weights = weights.transpose(1, 2)
    for scale in (None, 0.5):
        found = KERNELS[name](query, key, value, layout, scale, 0.0)
        expected = alone(query, key, value, layout, scale)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        for mine, other in zip(
            torch.autograd.grad((found * weights).sum(), [query, key, value]),
            torch.autograd.grad((expected * weights).sum(), [query, key, value]),
            strict=True,
        ):
            torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", [name for name in KERNELS if name != "trees"])
@pytest.mark.parametrize("make", [tiny.opt, tiny.llama, lambda: tiny.windowed(256)], ids=["opt", "llama", "qwen2"])
def test_models_have_the_same_outputs_and_gradients_with_every_kernel(
    name: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for kernel in ("trees", name):
        monkeypatch.setattr(attention, "kernel_in_use", lambda *_, kernel=kernel: kernel)
        model = make()
        with use_tree_attention(model):
            logs, lengths = branch_log_probs(model, pack(DOCUMENTS))
        (logs / lengths.clamp(min=1)).sum().backward()
        found[kernel] = logs.detach() / lengths.clamp(min=1), tiny.gradients(model)
    (expected, expected_gradients), (mine, gradients) = found.values()
    torch.testing.assert_close(mine, expected, atol=1e-5, rtol=0)
    for part, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected_gradients[part], atol=1e-5, rtol=0, msg=part)


def test_unsupported_use_of_a_kernel_is_refused() -> None:
    layout = layout_of([(1, [1, 1])])
    each = torch.randn(1, 2, 3, 8)
    for name in ("flex", "varlen"):
        with pytest.raises(TarazuError, match=f"the attention kernel '{name}' has no dropout"):
            KERNELS[name](each, each, each, layout, None, 0.1)
    with pytest.raises(TarazuError, match="'varlen' computes in 16 bits on CUDA, not in float32 on cpu"):
        KERNELS["varlen"](each, each, each, layout, None, 0.0)


def test_a_torch_without_the_kernel_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    monkeypatch.setattr(varlen, "varlen_attn", lambda query, key, value, is_causal=False: None)
    for found in (kernels._varlen_attn, kernels._find_varlen_attn):
        found.cache_clear()
    with pytest.raises(
        TarazuError, match=r"torch .* has no torch\.nn\.attention\.varlen\.varlen_attn with window_size"
    ):
        kernels._varlen_attn()
    kernels._find_varlen_attn.cache_clear()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("groups_heads", [True, False])
def test_rows_padded_for_a_gpu_have_the_same_outputs_by_sequence(
    groups_heads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding tokens and their keys must reach no other sequence, with heads of keys repeated or not."""
    call, _ = kernels._varlen_attn()
    monkeypatch.setattr(kernels, "_varlen_attn", lambda: (call, groups_heads))
    found = []
    for kernel, multiple in (("trees", 1), ("varlen", 64)):
        monkeypatch.setattr(attention, "kernel_in_use", lambda *_, kernel=kernel: kernel)
        model = tiny.llama()
        with use_tree_attention(model):
            logs, _ = branch_log_probs(model, pack(DOCUMENTS, multiple=multiple))
        logs.sum().backward()
        found.append((logs.detach(), tiny.gradients(model)))
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-4, rtol=1e-5)
    for part, gradient in found[1][1].items():
        torch.testing.assert_close(gradient, found[0][1][part], atol=1e-4, rtol=1e-4, msg=part)

"""Log-probabilities in blocks of the vocabulary agree with torch on all logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tarazu.align import head
from tarazu.align.attention import use_tree_attention
from tarazu.align.forward import branch_log_probs, can_be_packed
from tarazu.align.head import head_log_probs
from tarazu.align.packing import Document, pack, pad

DOCUMENTS = [Document([5, 6, 7], [[8, 9], [10, 11, 12]]), Document([13, 14], [[15], [16, 17, 18, 19]])]


@pytest.mark.parametrize("trained", [True, False], ids=["weights trained", "weights frozen"])
@given(block=st.integers(1, 70), seed=st.integers(0, 2**16), large=st.sampled_from([1.0, 100.0]))
def test_log_probabilities_and_gradients_are_those_of_all_logits(
    block: int, seed: int, large: float, trained: bool
) -> None:
    """Also for logits of some hundred, whose exponentials overflow float32."""
    generator = torch.Generator().manual_seed(seed)
    hidden = large * torch.randn(9, 8, generator=generator)
    weight = torch.randn(50, 8, generator=generator)
    labels = torch.randint(50, (9,), generator=generator)
    scale = torch.randn(9, generator=generator)
    ours = hidden.clone().requires_grad_(), weight.clone().requires_grad_(trained)
    theirs = hidden.double().requires_grad_(), weight.double().requires_grad_(trained)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head, "_BLOCK", block)
        found = head_log_probs(*ours, labels)
        (found * scale).sum().backward()
    expected = -F.cross_entropy(theirs[0] @ theirs[1].T, labels, reduction="none")
    (expected * scale).sum().backward()
    torch.testing.assert_close(found.detach(), expected.detach(), atol=2e-5 * large, rtol=1e-6)
    for mine, exact in zip(ours, theirs, strict=True):
        assert (mine.grad is None) == (exact.grad is None)
        if mine.grad is not None and exact.grad is not None:
            torch.testing.assert_close(mine.grad.double(), exact.grad, atol=5e-5 * large, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_under_autocast_factors_are_rounded_and_logits_are_not(dtype: torch.dtype) -> None:
    """With or without a processor that rounds: `hidden` can be represented in bfloat16, and so can the weights."""
    torch.manual_seed(0)
    hidden = torch.randn(40, 64).to(torch.bfloat16)
    weight = (4 * torch.randn(3000, 64)).to(torch.bfloat16).float()
    labels = torch.randint(3000, (40,))
    ours = hidden.clone().to(dtype).requires_grad_(), weight.clone().requires_grad_()
    theirs = hidden.double().requires_grad_(), weight.double().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head_log_probs(*ours, labels)
    found.sum().backward()
    expected = -F.cross_entropy(theirs[0] @ theirs[1].T, labels, reduction="none")
    expected.sum().backward()
    assert (theirs[0] @ theirs[1].T).abs().max() > 100  # where numbers in bfloat16 are 0.5 apart
    torch.testing.assert_close(found.detach(), expected.detach(), atol=1e-3, rtol=0)
    assert ours[0].grad is not None and ours[1].grad is not None
    assert (ours[0].grad.dtype, ours[1].grad.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(ours[0].grad.double(), theirs[0].grad, atol=0.1, rtol=0.01)
    torch.testing.assert_close(ours[1].grad.double(), theirs[1].grad, atol=0.02, rtol=0.01)
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("make", [tiny.opt, tiny.llama, tiny.qwen])
def test_a_packed_row_never_stores_all_logits_without_training(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_BLOCK", 16)
    model, row = make(), pack(DOCUMENTS)
    largest = 0

    class Watching(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            found = func(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor) and found.dim() == 2 and found.shape[0] == len(row["target"]):
                largest = max(largest, found.shape[1])
            return found

    with torch.no_grad(), use_tree_attention(model), Watching():
        branch_log_probs(model, row)
    assert 0 < largest < tiny.VOCABULARY


@pytest.mark.parametrize("make", [tiny.granite, tiny.biased_head, tiny.half], ids=lambda make: make.__name__)
def test_a_model_that_changes_its_logits_is_packed_with_all_logits(make: Callable[[], Any]) -> None:
    """Logits divided by a constant, a head with a bias, weights in bfloat16."""
    model = make()
    assert can_be_packed(model, DOCUMENTS, branch_log_probs, 1)
    with torch.no_grad():
        with use_tree_attention(model):
            packed, _ = branch_log_probs(model, pack(DOCUMENTS))
        padded, _ = branch_log_probs(model, pad(DOCUMENTS, 1))
    tolerance = 1e-4 if model.dtype == torch.float32 else 0.2
    torch.testing.assert_close(packed, padded, atol=tolerance, rtol=0)


def test_the_head_is_restored() -> None:
    model = tiny.opt()
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with use_tree_attention(model):
            branch_log_probs(model, pack(DOCUMENTS))
        torch.testing.assert_close(model(input_ids=ids).logits, before, atol=0, rtol=0)
    with pytest.raises(ValueError), use_tree_attention(model):
        branch_log_probs(model, {**pack(DOCUMENTS), "target": torch.tensor([1])})
    assert "forward" not in vars(model.lm_head)

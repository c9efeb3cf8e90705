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
from tarazu.align.rows.documents import Document
from tarazu.align.rows.packing import pack, pad

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


# --- gradients near zero ----------------------------------------------------------------------------


def saturated(margin: float, spread: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states, weights and labels whose logits have a standard deviation of `spread`, and DPO's gradients (beta
    0.1, batch of 8) of the labels' log-probabilities: half of the tokens' pairs have no margin, the others have it."""
    generator = torch.Generator().manual_seed(3)
    weight = 0.02 * torch.randn(300, 16, generator=generator)
    hidden = spread / (0.02 * 4) * torch.randn(12, 16, generator=generator)
    margins = torch.tensor([0.0, margin], dtype=torch.float64).repeat(6)
    labels = torch.randint(300, (12,), generator=generator)
    return hidden, weight, labels, 0.1 / 8 * torch.sigmoid(-margins)


def gradients_of(
    log_probs: str, margin: float, spread: float, only_large: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of hidden states and weights, by the head itself or from its logits. `only_large` omits the
    tokens without a margin."""
    hidden, weight, labels, scale = saturated(margin, spread)
    if only_large:
        hidden, labels, scale = hidden[1::2], labels[1::2], scale[1::2]
    hidden, weight = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    by_head = log_probs == "head"
    values = head_log_probs(hidden, weight, labels) if by_head else head.label_log_probs(hidden @ weight.T, labels)
    with Denormal() as seen:
        (values * scale).sum().backward()
    assert hidden.grad is not None and weight.grad is not None
    assert not seen.operations
    return hidden.grad, weight.grad


class Denormal(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the operations with a result in which a number is denormal."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        fresh = any(name in str(func) for name in ("empty", "slice"))  # memory that nothing was written to yet
        if isinstance(result, torch.Tensor) and result.dtype == torch.float32 and not fresh:
            values = result.detach().numpy()
            if ((values != 0) & (abs(values) < torch.finfo(torch.float32).tiny)).any():
                self.operations.append(str(func))
        return result


@pytest.mark.parametrize("log_probs", ["head", "logits"])
@pytest.mark.parametrize("only_large", [False, True], ids=["some pairs", "all pairs"])
@pytest.mark.parametrize("spread", [3.0, 15.0], ids=["flat", "sharp"])
@pytest.mark.parametrize("margin", [0.0, 30.0, 40.0, 60.0, 80.0])
def test_no_denormal_number_arises_from_large_margins(
    margin: float, spread: float, only_large: bool, log_probs: str
) -> None:
    gradients = gradients_of(log_probs, margin, spread, only_large)
    hidden, weight, labels, scale = saturated(margin, spread)
    if only_large:
        hidden, labels, scale = hidden[1::2], labels[1::2], scale[1::2]
    hidden, weight = hidden.double().requires_grad_(), weight.double().requires_grad_()
    (-F.cross_entropy(hidden @ weight.T, labels, reduction="none") * scale).sum().backward()
    for ours, exact in zip(gradients, (hidden.grad, weight.grad), strict=True):
        assert exact is not None
        torch.testing.assert_close(ours.double(), exact, atol=1e-4 * float(exact.abs().max()) + 1e-14, rtol=1e-3)


@pytest.mark.parametrize("log_probs", ["head", "logits"])
@pytest.mark.parametrize("margin", [0.0, 5.0, 15.0, 25.0])
def test_gradients_of_usual_margins_are_the_same_to_the_bit(
    margin: float, log_probs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = gradients_of(log_probs, margin, 3.0)
    monkeypatch.setattr(head, "_NEGLIGIBLE", 0.0)
    monkeypatch.setattr(head, "_SMALLEST_LOG", -torch.inf)
    for ours, without in zip(usual, gradients_of(log_probs, margin, 3.0), strict=True):
        assert torch.equal(ours, without)

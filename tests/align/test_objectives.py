"""The losses agree with their papers' formulas in plain arithmetic, and the log-probabilities with torch's."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tarazu.align import head
from tarazu.align.head import label_log_probs
from tarazu.align.objectives import bradley_terry_loss, dpo_loss, ipo_loss, simpo_loss

CHOSEN, REJECTED, REF_CHOSEN, REF_REJECTED = -12.0, -15.0, -13.0, -14.5


def tensors(*values: float) -> list[torch.Tensor]:
    return [torch.tensor([value], dtype=torch.float64) for value in values]


def test_dpo_loss_against_the_paper() -> None:
    """Rafailov et al. 2023, eq. 7, and its label-smoothed form."""
    beta, eps = 0.3, 0.1
    margin = beta * ((CHOSEN - REF_CHOSEN) - (REJECTED - REF_REJECTED))
    sigmoid = 1 / (1 + math.exp(-margin))
    values = tensors(CHOSEN, REJECTED, REF_CHOSEN, REF_REJECTED)
    loss, reward_chosen, reward_rejected = dpo_loss(*values, beta=beta)
    assert loss.item() == pytest.approx(-math.log(sigmoid))
    assert (reward_chosen.item(), reward_rejected.item()) == pytest.approx((0.3, -0.15))
    smooth, _, _ = dpo_loss(*values, beta=beta, label_smoothing=eps)
    assert smooth.item() == pytest.approx(-(1 - eps) * math.log(sigmoid) - eps * math.log(1 - sigmoid))


def test_ipo_loss_against_the_paper() -> None:
    """Azar et al. 2023, eq. 17: ((log-ratio of chosen over rejected) - 1 / (2 tau))^2, with a minimum of 0."""
    tau = 0.4
    ratio = (CHOSEN - REF_CHOSEN) - (REJECTED - REF_REJECTED)
    loss, _, _ = ipo_loss(*tensors(CHOSEN, REJECTED, REF_CHOSEN, REF_REJECTED), beta=tau)
    assert loss.item() == pytest.approx((ratio - 1 / (2 * tau)) ** 2)
    least, _, _ = ipo_loss(*tensors(1 / (2 * tau), 0, 0, 0), beta=tau)
    assert least.item() == 0


def test_simpo_loss_against_the_paper() -> None:
    """Meng et al. 2024, eq. 6, on summed log-probabilities of 4 and 6 tokens."""
    beta, gamma = 2.0, 1.2
    expected = -math.log(1 / (1 + math.exp(-(beta / 4 * CHOSEN - beta / 6 * REJECTED - gamma))))
    loss, _, _ = simpo_loss(*tensors(CHOSEN / 4, REJECTED / 6), beta=beta, gamma=gamma)
    assert loss.item() == pytest.approx(expected)


def test_bradley_terry_against_its_definition() -> None:
    loss = bradley_terry_loss(torch.tensor([1.5]), torch.tensor([0.5]))
    assert loss.item() == pytest.approx(-math.log(math.exp(1.5) / (math.exp(1.5) + math.exp(0.5))))


@pytest.mark.parametrize("chunk", [1, 100, 10_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_log_probabilities_and_their_gradient_are_torch_s(
    chunk: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_CHUNK", chunk)
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(23, 8, generator=generator).to(dtype)
    weight = torch.randn(50, 8, generator=generator).to(dtype)
    labels = torch.randint(50, (23,), generator=generator)
    scale = torch.randn(23, generator=generator)
    results = []
    for ours in (True, False):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        logits = h @ w.T
        found = label_log_probs(logits, labels) if ours else -F.cross_entropy(logits.float(), labels, reduction="none")
        (found * scale).sum().backward()
        assert h.grad is not None and w.grad is not None
        results.append((found.detach().float(), h.grad.float(), w.grad.float()))
    tolerance = 1e-5 if dtype == torch.float32 else 5e-2
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, atol=tolerance, rtol=tolerance)


def test_log_probabilities_of_logits_far_from_zero() -> None:
    logits = torch.tensor([[1000.0, 999.0], [-1000.0, -1003.0]])
    found = label_log_probs(logits, torch.tensor([1, 0]))
    assert found.tolist() == pytest.approx([-math.log(1 + math.e), -math.log(1 + math.exp(-3))], abs=1e-4)


def test_log_probabilities_keep_more_digits_than_float32_has() -> None:
    """Compared with float64 arithmetic, on logits that are exact in float32."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(40, 50_000, generator=generator)
    labels = torch.randint(50_000, (40,), generator=generator)
    exact = logits.double().log_softmax(-1).gather(1, labels[:, None])[:, 0]
    assert (label_log_probs(logits, labels) - exact).abs().max() < 3e-7

"""Compares the tokens of two ways of generating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NEAR_TIE = 1e-4
"""Two logits closer than this may swap their order with the order of a sum (float32, logits of size 1 to 10)."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Counts of compared responses: `equal` in all tokens, `near_ties` that diverge where plain generate's top two
    logits are closer than `NEAR_TIE`, and `differing` that diverge elsewhere."""

    equal: int
    near_ties: int
    differing: int

    @property
    def share(self) -> float:
        """The share of responses that are equal or diverge at a near-tie. 1.0 if there are none."""
        total = self.equal + self.near_ties + self.differing
        return (self.equal + self.near_ties) / total if total else 1.0


def agreement(
    tokens: Sequence[Sequence[int]], plain: Sequence[Sequence[int]], leads: Sequence[Sequence[float]]
) -> Agreement:
    """Compare tokens with those of plain generate, response by response. `leads` has the lead of each plain token's
    logit over the next best."""
    counts = {"equal": 0, "near_ties": 0, "differing": 0}
    for ours, theirs, lead in zip(tokens, plain, leads, strict=True):
        if list(ours) == list(theirs):
            counts["equal"] += 1
            continue
        # If one is a prefix of the other, they diverge at its end.
        first = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(ours))
        counts["near_ties" if first < len(lead) and lead[first] < NEAR_TIE else "differing"] += 1
    return Agreement(**counts)

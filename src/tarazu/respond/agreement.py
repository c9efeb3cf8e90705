"""Do two ways of generating give the same tokens?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NEAR_TIE = 1e-4
"""Two logits less than this apart may change places by the order of a sum; float32, logits of size 1 to 10."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Responses compared: all of whose tokens are equal, those that part where plain generate's own top two logits
    are nearer than `NEAR_TIE`, and those that part elsewhere."""

    equal: int
    near_ties: int
    differing: int

    @property
    def share(self) -> float:
        """Share of responses that are equal or part at a near-tie; 1.0 of none."""
        total = self.equal + self.near_ties + self.differing
        return (self.equal + self.near_ties) / total if total else 1.0


def agreement(
    found: Sequence[Sequence[int]], plain: Sequence[Sequence[int]], leads: Sequence[Sequence[float]]
) -> Agreement:
    """Compare tokens with those of plain generate, response by response; `leads` says for each plain token by how much
    its logit leads the next best."""
    counts = {"equal": 0, "near_ties": 0, "differing": 0}
    for ours, theirs, lead in zip(found, plain, leads, strict=True):
        if list(ours) == list(theirs):
            counts["equal"] += 1
            continue
        # Where one is a beginning of the other they part at its end.
        part = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(ours))
        counts["near_ties" if part < len(lead) and lead[part] < NEAR_TIE else "differing"] += 1
    return Agreement(**counts)

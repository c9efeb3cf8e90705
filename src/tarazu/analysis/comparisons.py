"""Every two arms on the same prompts, in studies of one language, where groups cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import stats

from tarazu.analysis.cells import Cells, Pairs, paired
from tarazu.results.model import RATES, Comparison, RateName
from tarazu.stats.contrast import holm
from tarazu.stats.rates import change, difference, wilson


def comparisons_section(cells: Cells, arms: Sequence[str]) -> tuple[Comparison, ...]:
    """`comparisons` of results.json: every two arms, rate by rate, by McNemar's exact test; Holm over all of them.

    Empty for several languages, since the same prompts in each are not independent trials. With several responses to a
    prompt, it is the sign test on the prompts' shares, which for one response is McNemar's test. From counts, it is
    Fisher's exact test, since which responses answer the same prompt is not known.
    """
    if len(set(cells.language)) != 1:
        return ()
    made = []
    for (other, arm), (rate, kind) in ((two, item) for two in combinations(arms, 2) for item in RATES.items()):
        pairs = paired(cells.where(kind=kind), arm, other)
        if pairs.arm.counted.any():
            made.append(_of_counts(pairs, arm, other, rate))
            continue
        after, before = pairs.arm.passed / pairs.arm.responses, pairs.base.passed / pairs.base.responses
        moved = change(after, before)
        gained, lost = int(np.sum(after > before)), int(np.sum(after < before))
        made.append(
            Comparison(
                arm=arm,
                other=other,
                rate=rate,
                n=len(after),
                difference=moved.value,
                ci_low=moved.ci_low,
                ci_high=moved.ci_high,
                only_arm=gained,
                only_other=lost,
                p=mcnemar(gained, lost) if len(after) else None,
                p_holm=None,
            )
        )
    adjusted = holm([entry.p for entry in made])
    return tuple(entry.model_copy(update={"p_holm": p}) for entry, p in zip(made, adjusted, strict=True))


def _of_counts(pairs: Pairs, arm: str, other: str, rate: RateName) -> Comparison:
    """Two arms by their counts, as if they had answered different prompts."""
    sides = [(int(side.passed.sum()), int(side.responses.sum())) for side in (pairs.arm, pairs.base)]
    first, second = (wilson(passed, n) for passed, n in sides)
    apart = difference(first, second)
    return Comparison(
        arm=arm,
        other=other,
        rate=rate,
        n=sum(n for _, n in sides),
        difference=apart.value,
        ci_low=apart.ci_low,
        ci_high=apart.ci_high,
        only_arm=None,
        only_other=None,
        p=float(stats.fisher_exact([[passed, n - passed] for passed, n in sides]).pvalue),
        p_holm=None,
    )


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value that as many prompts are gained as lost (McNemar 1947, by the binomial distribution)."""
    return float(stats.binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0

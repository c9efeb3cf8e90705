"""The mixed-effects cross-check of the primary estimate, on the same responses."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec

import numpy as np

from tarazu.analysis.cells import Pairs, restrict
from tarazu.analysis.selection import Selection
from tarazu.data.rows import KINDS
from tarazu.errors import MissingExtra
from tarazu.stats.contrast import Estimate
from tarazu.stats.mixed import Trials, mixed_difference
from tarazu.study.schema import Groups

_METHOD = (
    "mixed-effects logistic model: statsmodels, variational Bayes, the error by Laplace's approximation; t with two "
    "degrees of freedom fewer than languages"
)


def need_statsmodels() -> None:
    """Raises MissingExtra, which names the extra, where statsmodels is not installed."""
    if find_spec("statsmodels") is None:
        raise MissingExtra("mixed", "statsmodels")


def mixed_estimate(pairs: Pairs, chosen: Selection, groups: Groups) -> Estimate:
    """D in log-odds from the pairs of the languages and sources chosen; `reason` names the method."""
    difference = mixed_difference(trials(pairs, chosen, groups))
    return difference if difference.estimate is None else dataclasses.replace(difference, reason=_METHOD)


def trials(pairs: Pairs, chosen: Selection, groups: Groups) -> Trials:
    """The responses of both arms to the requests chosen; those of one arm to one request are one trial."""
    kept = [restrict(pairs, kind, chosen.languages, chosen.sources.get(kind, ())) for kind in KINDS]
    sides = [(side, side is part.arm) for part in kept for side in (part.base, part.arm)]

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(cells, name) for cells, _ in sides])

    benign = column("kind") == "benign"
    language = column("language")
    low = [code for code in chosen.languages if groups.of(code) == "low"]
    return Trials(
        passed=column("passed") / column("responses"),
        language=np.searchsorted(np.array(chosen.languages, dtype=object), language),
        prompt=np.unique(2 * column("prompt") + benign, return_inverse=True)[1],
        aligned=np.concatenate([np.full(len(cells), aligned) for cells, aligned in sides]),
        benign=benign,
        low=np.isin(language, low),
    )

"""The effects of an arm in the languages compared, from which every estimate of the trade-off is computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tarazu.analysis.cells import Pairs, among, change_in_points, effect_matrix, restrict
from tarazu.analysis.selection import Selection
from tarazu.data.rows import KINDS, AnyKind
from tarazu.stats.contrast import Effects, Estimate, group_difference
from tarazu.study.schema import Groups

FROM_COUNTS = (
    "from counts: the error is that of the languages' spread; what prompts that languages share add to it is not known"
)
"""How an estimate was made of which only counts are known."""

SIGNS = {"harmful": -1.0, "benign": 1.0}
"""The sign of a kind's change in the tilt: tilt = dHp - dHm."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The effects of an arm in the languages compared: `parts` per kind, computed from `pairs`; `low`
    (languages,) boolean; `runs` (languages, seeds) the quantity by training seed, None for one seed."""

    languages: tuple[str, ...]
    parts: tuple[Effects, ...]
    pairs: tuple[Pairs, ...]
    low: np.ndarray
    runs: np.ndarray | None

    @property
    def counted(self) -> bool:
        """Whether the effects come from counts, so that nothing is known of prompts."""
        return any(bool(part.arm.counted.any()) for part in self.pairs)

    def difference(self, keep: np.ndarray | None = None) -> Estimate:
        """Low minus high; of the languages that `keep` (languages,) marks, where it is given."""
        if keep is None:
            return group_difference(self.parts, self.low, self.runs)
        parts = [dataclasses.replace(part, cells=part.cells[keep]) for part in self.parts]
        return group_difference(parts, self.low[keep], None if self.runs is None else self.runs[keep])

    def keeping(self, codes: Collection[str]) -> Contrast:
        """The same with fewer languages."""
        keep = np.isin(self.languages, list(codes))
        return Contrast(
            languages=tuple(code for code in self.languages if code in codes),
            parts=tuple(dataclasses.replace(part, cells=part.cells[keep]) for part in self.parts),
            pairs=tuple(_within(part, codes) for part in self.pairs),
            low=self.low[keep],
            runs=None if self.runs is None else self.runs[keep],
        )


def contrast(
    pairs: Pairs, chosen: Selection, groups: Groups, kinds: Sequence[AnyKind] = KINDS, *, standardised: bool = False
) -> Contrast:
    """The effects of an arm in the chosen languages that have every one of these kinds.

    Values are changes in points or, `standardised`, changes of reward in standard deviations of the base arm's
    rewards in the same language and kind, which no threshold touches.
    """
    parts = {kind: restrict(pairs, kind, chosen.languages, chosen.sources.get(kind, ())) for kind in kinds}
    values = {}
    for kind, part in parts.items():
        change = _standard_change(part, part.arm.reward) if standardised else change_in_points(part)
        known = ~np.isnan(change)
        parts[kind] = Pairs(arm=part.arm.take(known), base=part.base.take(known))
        values[kind] = change[known]
    have = [set(part.arm.language) for part in parts.values()]
    languages = tuple(code for code in chosen.languages if all(code in codes for codes in have))
    effects, kept_pairs, runs = [], [], []
    for (kind, part), sign in zip(parts.items(), _signs_of(kinds), strict=True):
        inside = among(part.arm.language, languages)
        kept = Pairs(arm=part.arm.take(inside), base=part.base.take(inside))
        effects.append(Effects(cells=effect_matrix(kept, values[kind][inside], languages), sign=sign))
        kept_pairs.append(kept)
        runs.append(sign * _by_seed(kept, languages, standardised=standardised))
    low = np.array([groups.of(code) == "low" for code in languages], dtype=bool)
    every = np.sum(runs, axis=0)
    trained = ~np.isnan(every).any(axis=0)  # seeds that every language has
    return Contrast(
        languages=languages,
        parts=tuple(effects),
        pairs=tuple(kept_pairs),
        low=low,
        runs=every[:, trained] if trained.sum() > 1 else None,
    )


def _signs_of(kinds: Sequence[AnyKind]) -> list[float]:
    return [SIGNS[kind] if len(kinds) > 1 else 1.0 for kind in kinds]


def _within(pairs: Pairs, codes: Collection[str]) -> Pairs:
    inside = among(pairs.arm.language, codes)
    return Pairs(arm=pairs.arm.take(inside), base=pairs.base.take(inside))


def _by_seed(pairs: Pairs, languages: Sequence[str], *, standardised: bool) -> np.ndarray:
    """Mean change over base in each language by training seed of the arm, (languages, seeds); NaN where a seed has no
    response there."""
    place = {code: row for row, code in enumerate(languages)}
    row = np.array([place[code] for code in pairs.arm.language.tolist()], dtype=np.int64)
    found = []
    for passed, reward in zip(pairs.arm.passed_by_seed.T, pairs.arm.reward_by_seed.T, strict=True):
        before = pairs.base.passed / pairs.base.responses
        change = _standard_change(pairs, reward) if standardised else 100 * (passed - before)
        there = ~np.isnan(change)
        counts = np.bincount(row[there], minlength=len(languages))
        sums = np.bincount(row[there], change[there], minlength=len(languages))
        found.append(np.divide(sums, counts, out=np.full(len(languages), np.nan), where=counts > 0))
    return np.stack(found, axis=1)


def _standard_change(pairs: Pairs, reward: np.ndarray) -> np.ndarray:
    """Change to `reward` (pairs,) in standard deviations of base, (pairs,); NaN for labels and where base does not
    vary."""
    change = reward - pairs.base.reward
    for code in set(pairs.base.language):
        here = pairs.base.language == code
        rewards = pairs.base.reward[here]
        spread = float(np.std(rewards, ddof=1)) if len(rewards) > 1 else 0.0
        change[here] /= spread if spread > 1e-12 else np.nan
    return change

"""D without one language, family of languages, source or category of prompts: does the answer hinge on any of them?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tarazu.analysis.cells import Pairs
from tarazu.analysis.contrast import Contrast, contrast
from tarazu.analysis.selection import Selection
from tarazu.data.rows import Kind, categories
from tarazu.languages import facts_of
from tarazu.results.model import Influence, Without, WithoutWhat
from tarazu.stats.contrast import Estimate, verdict
from tarazu.study.schema import Groups

MOST_CATEGORIES: Final = 50
"""Of each kind of prompt: those with the most requests."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What D is computed from: all pairs of the primary arm, and which of them."""

    pairs: Pairs
    chosen: Selection
    kinds: Sequence[Kind]
    groups: Groups

    def without(self, left_out: np.ndarray) -> Contrast:
        """The effects without some of the pairs; `left_out` (pairs,) is boolean."""
        rest = Pairs(arm=self.pairs.arm.take(~left_out), base=self.pairs.base.take(~left_out))
        return contrast(rest, self.chosen, self.groups, self.kinds)

    def from_sources(self, sources: dict[str, tuple[str, ...]]) -> Contrast:
        """The effects on prompts from these sources."""
        return contrast(self.pairs, replace(self.chosen, sources=sources), self.groups, self.kinds)


def influence_section(effects: Contrast, compared: Compared, margin: float) -> Influence | None:
    """`tradeoff.influence` of results.json. None where D has no interval. `effects` are those of `compared`."""
    plain = effects.difference()
    if plain.estimate is None or plain.ci_low is None:
        return None
    word, _ = verdict(plain, plain.p, margin)
    rows = (
        *_without_languages(effects, margin),
        *_without_families(effects, compared.groups, margin),
        *_without_sources(compared, margin),
        *_without_categories(effects, compared, margin),
    )
    moved = {
        row.name: (abs(row.estimate - plain.estimate), row.estimate)
        for row in rows
        if row.what == "language" and row.estimate is not None
    }
    return Influence(
        without=rows,
        lowest=min((estimate for _, estimate in moved.values()), default=None),
        highest=max((estimate for _, estimate in moved.values()), default=None),
        most=max(sorted(moved), key=lambda code: moved[code][0], default=None),
        hinges_on=tuple(row.name for row in rows if row.what == "language" and row.verdict not in (None, word)),
    )


def _without_languages(effects: Contrast, margin: float) -> Iterator[Without]:
    codes = np.array(effects.languages)
    for code in effects.languages:
        keep = codes != code
        yield _row("language", code, effects.difference(keep), effects.low[keep], margin)


def _without_families(effects: Contrast, groups: Groups, margin: float) -> Iterator[Without]:
    """Of families with two languages or more; one language alone is a row of its own already."""
    families = np.array([_family(code, groups) or "" for code in effects.languages])
    for family in sorted(set(families.tolist()) - {""}):
        keep = families != family
        if 1 < (~keep).sum() < len(families):
            yield _row("family", family, effects.difference(keep), effects.low[keep], margin)


def _family(code: str, groups: Groups) -> str | None:
    own, facts = groups.languages.get(code), facts_of(code)
    return (own.family if own else None) or (facts.family if facts else None)


def _without_sources(compared: Compared, margin: float) -> Iterator[Without]:
    """Of sources that are not the only one of their kind of prompt."""
    for kind, sources in sorted(compared.chosen.sources.items()):
        for source in sources if len(sources) > 1 else ():
            rest = tuple(other for other in sources if other != source)
            without = compared.from_sources({**compared.chosen.sources, kind: rest})
            yield _row("source", f"{source} ({kind})", without.difference(), without.low, margin)


def _without_categories(effects: Contrast, compared: Compared, margin: float) -> Iterator[Without]:
    """Of categories of prompts, the largest of each kind; not of one that every prompt of its kind has."""
    arm = compared.pairs.arm
    named = [categories(text) for text in arm.category.tolist()]
    for kind, part in zip(compared.kinds, effects.pairs, strict=True):
        own = [categories(text) for text in part.arm.category.tolist()]
        requests = Counter(name for names in own for name in names)
        largest = sorted(requests, key=lambda name: (-requests[name], name))[:MOST_CATEGORIES]
        for name in sorted(one for one in largest if requests[one] < len(own)):
            in_it = np.fromiter((name in names for names in named), bool, len(arm)) & (arm.kind == kind)
            without = compared.without(in_it)
            yield _row("category", f"{name} ({kind})", without.difference(), without.low, margin)


def _row(what: WithoutWhat, name: str, estimate: Estimate, low: np.ndarray, margin: float) -> Without:
    word = verdict(estimate, estimate.p, margin)[0] if estimate.ci_low is not None else None
    return Without(
        what=what,
        name=name,
        estimate=estimate.estimate,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        verdict=word,
        n_high=int((~low).sum()),
        n_low=int(low.sum()),
        reason=estimate.reason,
    )

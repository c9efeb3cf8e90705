"""D without one language, one family of languages or one source: does the answer hinge on any of them?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tarazu.analysis.contrast import Contrast
from tarazu.analysis.selection import Selection
from tarazu.languages import facts_of
from tarazu.results.model import Influence, Without, WithoutWhat
from tarazu.stats.contrast import Estimate, verdict
from tarazu.study.schema import Groups


def influence_section(
    effects: Contrast, chosen: Selection, by_sources: Callable[[Selection], Contrast], groups: Groups, margin: float
) -> Influence | None:
    """`tradeoff.influence` of results.json. None where D has no interval.

    `effects` are those of the languages and sources in `chosen`, and `by_sources` computes them for other sources.
    """
    plain = effects.difference()
    if plain.estimate is None or plain.ci_low is None:
        return None
    word, _ = verdict(plain, plain.p, margin)
    rows = (
        *_without_languages(effects, margin),
        *_without_families(effects, groups, margin),
        *_without_sources(chosen, by_sources, margin),
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


def _without_sources(
    chosen: Selection, by_sources: Callable[[Selection], Contrast], margin: float
) -> Iterator[Without]:
    """Of sources that are not the only one of their kind of prompt."""
    for kind, sources in sorted(chosen.sources.items()):
        for source in sources if len(sources) > 1 else ():
            rest = {**chosen.sources, kind: tuple(other for other in sources if other != source)}
            without = by_sources(replace(chosen, sources=rest))
            yield _row("source", f"{source} ({kind})", without.difference(), without.low, margin)


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

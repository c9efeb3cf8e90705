"""Which languages and sources are compared: languages with both kinds of prompt, and only sources that all share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tarazu.analysis.cells import Pairs
from tarazu.data.rows import KINDS, AnyKind
from tarazu.stats.power import assumed
from tarazu.study.schema import Groups


@dataclass(frozen=True, kw_only=True)
class Requests:
    """The requests that the arms compared are sent, or that both answered: columns of shape (requests,)."""

    kind: np.ndarray
    language: np.ndarray
    source: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The languages and sources of a comparison of resource groups. `languages` is sorted; `excluded` says why each
    other language is not in it."""

    languages: tuple[str, ...]
    sources: dict[str, tuple[str, ...]]
    excluded: dict[str, str]


def answered(pairs: Pairs) -> Requests:
    """The requests of pairs."""
    return Requests(kind=pairs.arm.kind, language=pairs.arm.language, source=pairs.arm.source)


def select(requests: Requests, languages: Sequence[str], groups: Groups, kinds: Sequence[AnyKind] = KINDS) -> Selection:
    """Choose languages and sources for a comparison that needs these kinds.

    XQuAD and XCOPA, say, cover different languages: a language's rate over its own sources would confound task with
    resource group. So:

    1. A candidate is one source per kind; its languages are those that have them all, and its sources per kind are
       all that these languages share.
    2. Candidates with at least 2 languages in each group come first, then those with the smaller expected error, then
       the first by name. The error is (1 / n_low + 1 / n_high) (language_sd^2 + sum over kinds cell_sd^2 / prompts),
       at the assumed components and with prompts the fewest that a language has: it weighs many languages with few
       prompts against few with many, by counts alone, so that no result can steer the choice.
    """
    sources: dict[str, dict[str, set[str]]] = {kind: _sources_by_language(requests, kind) for kind in kinds}
    grouped = [code for code in languages if groups.of(code)]
    candidates: list[tuple[str, ...]] = [()]
    for kind in kinds:
        names = sorted({source for code in grouped for source in sources[kind].get(code, ())})
        candidates = [(*candidate, name) for candidate in candidates for name in names]
    counts = Counter(zip(requests.kind, requests.language, requests.source, strict=True))
    selections = [_selection(candidate, kinds, grouped, sources) for candidate in candidates]
    best = max(
        selections,
        key=lambda item: _worth(item, groups, counts),
        default=Selection(languages=(), sources={}, excluded={}),
    )
    excluded = {code: _why(code, best, sources, kinds, groups) for code in languages if code not in best.languages}
    return Selection(languages=best.languages, sources=best.sources, excluded=excluded)


def _sources_by_language(requests: Requests, kind: AnyKind) -> dict[str, set[str]]:
    here = requests.kind == kind
    by_language: dict[str, set[str]] = {}
    for code, source in set(zip(requests.language[here], requests.source[here], strict=True)):
        by_language.setdefault(code, set()).add(source)
    return by_language


def _selection(
    candidate: Sequence[str],
    kinds: Sequence[AnyKind],
    languages: Sequence[str],
    sources: Mapping[str, Mapping[str, set[str]]],
) -> Selection:
    chosen = tuple(zip(kinds, candidate, strict=True))
    included = [code for code in languages if all(source in sources[kind].get(code, ()) for kind, source in chosen)]
    if not included:
        return Selection(languages=(), sources={}, excluded={})
    shared = [tuple(sorted(set.intersection(*(sources[kind][code] for code in included)))) for kind in kinds]
    return Selection(languages=tuple(sorted(included)), sources=dict(zip(kinds, shared, strict=True)), excluded={})


def _worth(selection: Selection, groups: Groups, counts: Mapping[tuple[str, str, str], int]) -> tuple[bool, float]:
    in_group = [groups.of(code) for code in selection.languages]
    high, low = in_group.count("high"), in_group.count("low")
    if not selection.languages:
        return False, -math.inf
    components = assumed(len(selection.sources))
    variance = components.language_sd**2
    for (kind, sources), spread in zip(selection.sources.items(), components.cell_sd, strict=True):
        prompts = min(sum(counts[kind, code, source] for source in sources) for code in selection.languages)
        variance += spread**2 / prompts
    return min(high, low) >= 2, -variance * (1 / max(1, high) + 1 / max(1, low))


def _why(
    code: str,
    selection: Selection,
    sources: Mapping[str, Mapping[str, set[str]]],
    kinds: Sequence[AnyKind],
    groups: Groups,
) -> str:
    if groups.of(code) is None:
        return groups.without_group(code)
    missing = [kind for kind in kinds if not sources[kind].get(code)]
    if missing:
        return f"no {' and no '.join(missing)} prompts that both arms answered"
    other = next(
        kind
        for kind in kinds
        if not set(selection.sources.get(kind, ())) <= sources[kind][code] or not selection.sources
    )
    own = ", ".join(sorted(sources[other][code])) or "no named source"
    return f"its {other} prompts come from {own}, not from the sources that the languages compared share"

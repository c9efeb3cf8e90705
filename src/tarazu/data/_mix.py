"""Pairs of several sources together, each language with a share of its own."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tarazu.data._sources import generator
from tarazu.data.rows import PreferencePair
from tarazu.errors import BadInput
from tarazu.study.sources import MixPairs

NOT_IN_MIX = "language not in the mix's weights"
AGAIN = "taken again"
LEFT_OVER = "more than the language's share"


def mixed(
    pairs: Sequence[PreferencePair], settings: MixPairs, seed: int, dropped: Counter[str]
) -> tuple[list[PreferencePair], int]:
    """The pairs of a mix, language by language, and how many of them were taken again; the rest go to `dropped`.

    Raises BadInput where a pair names no language, or a language with a weight has no pair.
    """
    by_language: dict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        if pair.language is None:
            raise BadInput(
                f"data.pairs: a pair of {pair.source} names no language, so it has no share in a mix; give its rows "
                "the field `language`, or the source the key"
            )
        if settings.weights is None or pair.language in settings.weights:
            by_language[pair.language].append(pair)
        else:
            dropped[NOT_IN_MIX] += 1
    for code in settings.weights or ():
        if code not in by_language:
            raise BadInput(
                f"data.pairs.weights: no part of the mix has a pair in '{code}'; leave it out or add a source"
            )
    counts = {code: len(by_language[code]) for code in sorted(by_language)}
    if not counts:
        return [], 0
    rows: list[PreferencePair] = []
    again = 0
    for code, size in sizes(counts, settings.weights, settings.temperature, settings.size).items():
        own = by_language[code]
        rounds, rest = divmod(size, len(own))
        drawn = generator(seed, "mix", code).choice(len(own), size=rest, replace=False, shuffle=False)
        rows += own * rounds + [own[index] for index in sorted(drawn.tolist())]
        again += max(0, size - len(own))
        dropped[LEFT_OVER] += max(0, len(own) - size)
    return rows, again


def sizes(
    counts: Mapping[str, int], weights: Mapping[str, float] | None, temperature: float, size: int | None
) -> dict[str, int]:
    """Pairs of each language: `size` in all, in shares of weight * count ** (1 / temperature), by largest remainders.

    Without `size`: as many as take no pair of any language twice. Temperature sampling is that of Arivazhagan et al.
    2019 (arXiv 1907.05019, sec. 4.1).
    """
    raw = {code: (weights[code] if weights else 1.0) * count ** (1 / temperature) for code, count in counts.items()}
    share = {code: value / sum(raw.values()) for code, value in raw.items()}
    if size is None:
        # The small term keeps rounding from losing a pair where a product is whole.
        size = math.floor(min(counts[code] / share[code] for code in counts) + 1e-9)
    exact = {code: share[code] * size for code in counts}
    found = {code: math.floor(value + 1e-9) for code, value in exact.items()}
    order = sorted(counts, key=lambda code: (found[code] - exact[code], code))
    for code in order[: size - sum(found.values())]:
        found[code] += 1
    return found

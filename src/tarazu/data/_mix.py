"""Mixes preference pairs of several sources, with a share for each language."""

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
    """The pairs of a mix, language by language, and the number of repeated pairs. Others are counted in `dropped`.

    Raises BadInput if a pair has no language, or if a language with a weight has no pair.
    """
    by_language: dict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        if pair.language is None:
            raise BadInput(
                f"data.pairs: a pair of {pair.source} has no language, so it has no share in a mix; give its rows the "
                "field `language`, or the source the key"
            )
        if settings.weights is None or pair.language in settings.weights:
            by_language[pair.language].append(pair)
        else:
            dropped[NOT_IN_MIX] += 1
    for code in settings.weights or ():
        if code not in by_language:
            raise BadInput(f"data.pairs.weights: no part of the mix has a pair in '{code}'; remove it or add a source")
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
    """The number of pairs of each language: shares of `size` by weight * count ** (1 / temperature), rounded by largest
    remainders.

    Without `size`, takes as many pairs as possible without repeating one. Temperature sampling follows Arivazhagan et
    al. 2019 (arXiv 1907.05019, sec. 4.1).
    """
    raw = {code: (weights[code] if weights else 1.0) * count ** (1 / temperature) for code, count in counts.items()}
    share = {code: value / sum(raw.values()) for code, value in raw.items()}
    if size is None:
        # The small term prevents losing a pair to rounding if a product is an integer.
        size = math.floor(min(counts[code] / share[code] for code in counts) + 1e-9)
    exact = {code: share[code] * size for code in counts}
    rounded = {code: math.floor(value + 1e-9) for code, value in exact.items()}
    order = sorted(counts, key=lambda code: (rounded[code] - exact[code], code))
    for code in order[: size - sum(rounded.values())]:
        rounded[code] += 1
    return rounded

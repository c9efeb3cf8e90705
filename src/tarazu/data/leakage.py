"""Removes evaluated prompts from training data."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from tarazu.data._sources import WORDS, counted, normalised, user_turns
from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN, Loaded, PreferencePair, Prompt

EVALUATED = "prompt is evaluated"
NEAR_EVALUATED = "near an evaluated prompt"
NEAR = 0.8
"""Texts with at least this Jaccard similarity of word 5-grams are near-duplicates."""


def without_evaluated(
    pairs: Loaded[PreferencePair], prompts: Sequence[Prompt]
) -> tuple[Loaded[PreferencePair], dict[str, int]]:
    """`pairs` without those whose prompt is among the evaluated `prompts`, and counts of the comparison.

    A pair is removed if its prompt_id is that of an evaluated prompt of the same source (in any language), or if its
    prompt has the text of an evaluated prompt. The request, each human turn and the complete transcript are compared,
    ignoring case, spaces and punctuation. Pairs with a Jaccard similarity of word 5-grams >= 0.8 (single characters in
    scripts without spaces) are kept and counted as near.

    The counts: `evaluated` prompts, pairs removed `by prompt_id` and otherwise `by text`, and pairs that are `near`.
    """
    ids = {(prompt.source, prompt.prompt_id) for prompt in prompts}
    texts, last_turns = _evaluated_texts(prompts)
    near = _NearTexts(texts | last_turns)
    kept: list[PreferencePair] = []
    counts = Counter({"evaluated": len(prompts), "by prompt_id": 0, "by text": 0, "near": 0})
    for pair in pairs.rows:
        turns = [normalised(turn) for turn in user_turns(pair.prompt, pair.turns)]
        transcript = normalised(_without_turn_names(pair.prompt))
        if (pair.source, pair.prompt_id) in ids:
            counts["by prompt_id"] += 1
        elif transcript in texts or turns[-1] in last_turns or not texts.isdisjoint(turns):
            counts["by text"] += 1
        else:
            counts["near"] += near.has(transcript) or (turns[-1] != transcript and near.has(turns[-1]))
            kept.append(pair)
    removed = len(pairs.rows) - len(kept)
    return (
        dataclasses.replace(
            pairs,
            rows=tuple(kept),
            dropped=counted(Counter(pairs.dropped) + Counter({EVALUATED: removed})),
            notes=counted(Counter(pairs.notes) + Counter({NEAR_EVALUATED: counts["near"]})),
        ),
        dict(counts),
    )


def _without_turn_names(transcript: str) -> str:
    """A transcript without the names of its turns."""
    return transcript.replace(TURN_HUMAN, "\n").replace(TURN_ASSISTANT, "\n")


def _evaluated_texts(prompts: Sequence[Prompt]) -> tuple[set[str], set[str]]:
    """Normalised texts of evaluated prompts, and the last human turns of those with several turns.

    The last turn of a longer conversation is returned separately and compared with last turns only, because it may be a
    mere "yes" that many conversations contain.
    """
    texts: set[str] = set()
    last_turns: set[str] = set()
    for prompt in prompts:
        texts.add(normalised(_without_turn_names(prompt.text)))
        if not prompt.turns and not prompt.text.startswith(TURN_HUMAN):
            continue
        turns = user_turns(prompt.text, prompt.turns)
        if len(turns) > 1:
            last_turns.add(normalised(turns[-1]))
        elif turns:
            texts.add(normalised(turns[0]))  # without a system turn
    return texts - {""}, last_turns - {""}


_WORDS = 5


def _shingles(text: str) -> list[int]:
    """Hashes of the word 5-grams of a normalised text, distinct and ascending. A shorter text is a single gram."""
    tokens = WORDS.findall(text)
    last = max(1, len(tokens) - _WORDS + 1)
    # The hashes only order the grams and never leave the process, so they may differ between processes.
    return sorted({hash(tuple(tokens[start : start + _WORDS])) for start in range(last)})


class _NearTexts:
    """An index of texts that finds whether one of them is near a given text.

    Two sets of sizes a and b with a Jaccard similarity >= NEAR share at least ceil(NEAR * a) members. So in any fixed
    order, at least one of the first a - ceil(NEAR * a) + 1 members of each is shared. Only these are looked up, and the
    candidates are compared in full.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._sets: list[frozenset[int]] = []
        self._by_gram: dict[int, list[int]] = defaultdict(list)
        for text in texts:
            grams = _shingles(text)
            for gram in _prefix(grams):
                self._by_gram[gram].append(len(self._sets))
            self._sets.append(frozenset(grams))

    def has(self, text: str) -> bool:
        """Whether one of the texts is near `text` (normalised)."""
        grams = _shingles(text)
        candidates = {index for gram in _prefix(grams) for index in self._by_gram.get(gram, ())}
        return any(_jaccard(self._sets[index], grams) >= NEAR for index in candidates)


def _prefix(grams: list[int]) -> list[int]:
    # The small term prevents rounding up a product that is an integer (0.8 * 5).
    return grams[: len(grams) - math.ceil(NEAR * len(grams) - 1e-9) + 1]


def _jaccard(one: frozenset[int], other: list[int]) -> float:
    shared = len(one.intersection(other))
    return shared / (len(one) + len(other) - shared)

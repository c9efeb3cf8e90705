"""Digests of prompts and known answers, which the same texts give wherever they are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tarazu.data.rows import AnyKind, Kind, KnownAnswer, Prompt
from tarazu.files import digest
from tarazu.preregistration.model import InputDigests, TextSet

Texts = tuple[str, ...]
"""An id and the texts that it names."""


def text_set(texts: Iterable[Texts]) -> TextSet:
    """Texts as a set: their order and repetitions do not matter."""
    unique = sorted(set(texts))
    return TextSet(n=len(unique), sha256=digest(unique))


def input_digests(
    prompts: Sequence[Prompt], known_answers: Sequence[KnownAnswer], models: Mapping[str, Any]
) -> InputDigests:
    """The digests of what a study loads. `models` identifies each checkpoint by the key that names it."""
    answered: dict[AnyKind, dict[str, set[Texts]]] = defaultdict(lambda: defaultdict(set))
    for prompt in prompts:
        answered[prompt.kind][prompt.language].add((prompt.prompt_id, prompt.text))
    known: dict[Kind, dict[str, set[Texts]]] = defaultdict(lambda: defaultdict(set))
    for row in known_answers:
        known[row.kind][row.language].add((row.prompt_id, row.prompt, row.good, row.bad))
    return InputDigests(prompts=_sets(answered), known_answers=_sets(known), models=dict(models))


def _sets(texts: Mapping[Any, Mapping[str, set[Texts]]]) -> dict[Any, dict[str, TextSet]]:
    return {kind: {code: text_set(own) for code, own in by_language.items()} for kind, by_language in texts.items()}

"""Detects responses that only repeat their prompt, in any script."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN
from tarazu.health.repetition import WINDOW, plain

FROM_PROMPT = 0.5
"""The share of a response's windows that must occur in the prompt."""

OF_PROMPT = 0.75
"""The share of the prompt's windows that must occur in the response."""

_MARKS = re.compile(r"^\W+")
_BROKEN = "\N{REPLACEMENT CHARACTER}"


def repeats_prompt(prompts: Sequence[str], responses: Sequence[str], cut: Sequence[bool]) -> np.ndarray:
    """Whether each response repeats its prompt, boolean (responses,). `cut` says which ones their budget ended.

    A response repeats its prompt if it begins with the prompt's first ten characters, at least half of its windows of
    ten characters occur in the prompt, and at least three quarters of the prompt's windows occur in it. A response that
    its budget cut is compared with as much of the prompt's beginning as it is long. Of a conversation the prompt is the
    last message. The last paragraph of a prompt, which may be the question about a passage, also counts as a prompt.

    An answer that quotes a passage has most of its windows from the prompt, a long answer that begins with the question
    has most of the prompt's, and a sentence that answers in the question's words begins differently. Case, the values
    of numbers, the length of white space, and marks before the first letter are ignored. A window is as long as the
    prompt where that has fewer than ten characters. A response shorter than a window repeats nothing.
    """
    repeats = np.zeros(len(responses), dtype=bool)
    places: dict[str, dict[tuple[str, bool], list[int]]] = {}
    for place, (prompt, response, ended) in enumerate(zip(prompts, responses, cut, strict=True)):
        places.setdefault(prompt, {}).setdefault((response, bool(ended)), []).append(place)
    for prompt, own in places.items():
        message = _last_message(prompt).strip()
        complete = _bare(message)
        parts = [
            _Part(part, complete) for part in dict.fromkeys([complete, _bare(message.rsplit("\n\n", 1)[-1])]) if part
        ]
        for (response, ended), where in own.items():
            shown = _bare(response).rstrip(_BROKEN)  # half a letter, where the budget ended within one
            repeats[where] = any(part.is_repeated_by(shown, ended) for part in parts)
    return repeats


class _Part:
    """A prompt, or its last paragraph, to be compared with responses."""

    def __init__(self, text: str, message: str) -> None:
        self._text = text
        self._width = min(WINDOW, len(text))
        self._windows = frozenset(_windows(message, self._width))

    def is_repeated_by(self, response: str, cut: bool) -> bool:
        if response[: self._width] != self._text[: self._width]:
            return False
        windows = _windows(response, self._width)
        compared = _windows(self._text[: len(response)] if cut else self._text, self._width)
        return _share(windows, self._windows) >= FROM_PROMPT and _share(compared, frozenset(windows)) >= OF_PROMPT


def _bare(text: str) -> str:
    return _MARKS.sub("", plain(text))


def _last_message(prompt: str) -> str:
    """The last message of a conversation that is written as a transcript; else the prompt."""
    if not prompt.endswith(TURN_ASSISTANT):
        return prompt
    return prompt.removesuffix(TURN_ASSISTANT).rpartition(TURN_HUMAN)[2]


def _windows(text: str, width: int) -> list[str]:
    return [text[place : place + width] for place in range(len(text) - width + 1)]


def _share(windows: list[str], among: frozenset[str]) -> float:
    """The share of windows that are among others."""
    return sum(map(among.__contains__, windows)) / len(windows)

"""Detects empty and looping texts in any script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

WINDOW = 10
"""The number of characters in a window."""

SHORTEST = 30
"""The number of characters that a text must have before it can count as looping."""

SHARE = 0.5
"""The share of windows with earlier occurrences from which a text counts as looping."""

_BATCH = 4096
_SPACE = re.compile(r"\s+")
_DIGITS = re.compile(r"\d+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no character's weight becomes 0 modulo 2^64


def is_empty(text: str) -> bool:
    """Whether a text has no letter and no digit of any script."""
    return not any(character.isalnum() for character in text)


def looping(texts: Sequence[str]) -> np.ndarray:
    """Whether each text repeats itself over and over, boolean (texts,).

    A text is looping if at least half of its windows of ten characters occurred earlier in it: 1 - |distinct windows| /
    |windows| >= 0.5. This is the measure seq-rep-n of Welleck et al. 2020 on characters instead of tokens, because not
    every script separates words by spaces. Case, the values of numbers ("1. ... 2. ...") and the length of white space
    are ignored. A text of fewer than thirty characters does not count as looping.
    """
    shown = [plain(text) for text in texts]
    loops = np.zeros(len(texts), dtype=bool)
    # Batches of texts with similar lengths have little padding.
    long = sorted((place for place, text in enumerate(shown) if len(text) >= SHORTEST), key=lambda p: len(shown[p]))
    for start in range(0, len(long), _BATCH):
        places = long[start : start + _BATCH]
        loops[places] = _repeated_share([shown[place] for place in places]) >= SHARE
    return loops


def plain(text: str) -> str:
    """A text without differences of case, of the values of numbers and of the length of white space."""
    text = _DIGITS.sub("0", unicodedata.normalize("NFC", text))
    return _SPACE.sub(" ", text).strip().casefold()


def _repeated_share(texts: Sequence[str]) -> np.ndarray:
    """1 - |distinct windows| / |windows| of each text, (texts,). No text may be shorter than a window."""
    lengths = np.array([len(text) for text in texts])
    width = int(lengths.max())
    packed = b"".join(text.ljust(width, "\0").encode("utf-32-le", "surrogatepass") for text in texts)
    letters = np.frombuffer(packed, dtype="<u4").reshape(len(texts), width).astype(np.uint64)
    windows = width - WINDOW + 1
    codes = np.zeros((len(texts), windows), dtype=np.uint64)
    for offset in range(WINDOW):  # a polynomial modulo 2^64, so equal windows have equal codes
        codes = codes * _FACTOR + letters[:, offset : offset + windows]
    # A text's windows end before its padding. Windows beyond are set to its first one, so they add no distinct window.
    beyond = np.arange(windows) > (lengths - WINDOW)[:, None]
    codes = np.where(beyond, codes[:, :1], codes)
    codes.sort(axis=1)
    distinct = 1 + np.count_nonzero(np.diff(codes, axis=1), axis=1)
    share: np.ndarray = 1 - distinct / (lengths - WINDOW + 1)
    return share

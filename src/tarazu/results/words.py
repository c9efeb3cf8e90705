"""Numbers and names in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

UNDEFINED = "not defined"
CUT = "…"
LONGEST_CAUTION = 240
"""Characters of a study's caution in the answer in words. The pages show it in full beside the answer."""
LONGEST_NAME = 30
"""Characters of a name in the answer in words."""


def p_words(value: float | None) -> str:
    """A p-value after the letter p."""
    if value is None:
        return UNDEFINED
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def clipped(text: str, most: int) -> str:
    """A text of at most `most` characters: a longer one ends after a complete word, and with an ellipsis."""
    text = text.strip()
    if len(text) <= most:
        return text
    begun = text[: most - len(CUT) - 1]
    head, _, _ = begun.rpartition(" ")
    return f"{(head or begun).rstrip(' ,;:.')} {CUT}"


def caution_words(caution: str) -> str:
    """The caution as the answer in words begins with it."""
    return clipped(caution, LONGEST_CAUTION)


def short_names(names: Iterable[str], most: int = LONGEST_NAME) -> dict[str, str]:
    """Each name in at most `most` characters, all different: names without their middle or, where these would be
    equal, the part in which they differ."""
    short = {name: _without_middle(name, most) for name in names}
    counts = Counter(short.values())
    alike = [name for name in short if counts[short[name]] > 1]
    start = max(0, _shared(alike) - most // 3)
    short |= {name: _window(name, start, most) for name in alike}
    counts = Counter(short.values())
    # Names that differ only in distant places are numbered.
    return {
        name: text if counts[text] == 1 else f"{name[: most - 10]}{CUT} ({place})"
        for place, (name, text) in enumerate(short.items(), 1)
    }


def _shared(names: list[str]) -> int:
    """How many characters all names have in common at their beginnings."""
    if not names:
        return 0
    first, last = min(names), max(names)
    return next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))


def _without_middle(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    head = (most - len(CUT)) // 2
    return f"{name[:head]}{CUT}{name[len(name) - (most - len(CUT) - head) :]}"


def _window(name: str, start: int, most: int) -> str:
    """The part of a name from `start` on, with an ellipsis where something is omitted."""
    if len(name) <= most:
        return name
    begun = CUT if start else ""
    rest = name[start:]
    room = most - len(begun)
    return begun + (rest if len(rest) <= room else f"{rest[: room - len(CUT)]}{CUT}")

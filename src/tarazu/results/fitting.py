"""The answer in words has bounded length: which of its remarks have room, and a note that says where the others are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 900
"""Characters of the answer in words."""
MOST_TOPICS = 4
"""Topics that the note names; it counts the others."""


@dataclass(frozen=True, kw_only=True)
class Remark:
    """A part of the answer in words. Those of rank 0 are always included; of the others, those of low rank first."""

    topic: str
    rank: int
    text: str


def fitted(remarks: Sequence[Remark], most: int = LONGEST) -> tuple[str, tuple[Remark, ...]]:
    """The text of the remarks that have room, in their given order, and the other remarks.

    Where one has no room, the text ends with a note that names the topics of those that are not in it. The text exceeds
    `most` characters only if the remarks of rank 0 do so themselves.
    """
    remarks = [remark for remark in remarks if remark.text]
    included = {place for place, remark in enumerate(remarks) if remark.rank == 0}
    if len(_text(remarks, set(range(len(remarks))))) <= most:
        included = set(range(len(remarks)))
    for place in sorted(range(len(remarks)), key=lambda place: remarks[place].rank):
        if len(_text(remarks, included | {place})) <= most:
            included.add(place)
    omitted = tuple(remark for place, remark in enumerate(remarks) if place not in included)
    return _text(remarks, included), omitted


def _text(remarks: Sequence[Remark], included: set[int]) -> str:
    texts = [remark.text for place, remark in enumerate(remarks) if place in included]
    omitted = [remark for place, remark in enumerate(remarks) if place not in included]
    topics = dict.fromkeys(remark.topic for remark in sorted(omitted, key=lambda remark: remark.rank))
    return " ".join([*texts, *([_note(list(topics))] if topics else [])])


def _note(topics: Sequence[str]) -> str:
    others = len(topics) - MOST_TOPICS
    *named, last = [*topics[:MOST_TOPICS], f"{others} others"] if others > 1 else topics
    return f"The report has more remarks, on {' and '.join([', '.join(named), last] if named else [last])}."

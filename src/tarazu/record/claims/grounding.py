"""Does a document say what a claim quotes from it? A fuzzy match for what typesetting changes, never for the words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tarazu.record.claims.documents import Section, read_sections
from tarazu.record.model import SourceClaim

THRESHOLD: Final = 90.0
"""Similarity in percent (normalised indel similarity of the best-matching passage) from which a quotation is found."""
SHORTEST: Final = 12
"""Letters and digits that a quotation has at least; a shorter one could stand anywhere."""

_HEADING_LIKENESS = 90.0
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_QUOTES = {**dict.fromkeys(map(ord, "\u2018\u2019\u201b"), "'"), **dict.fromkeys(map(ord, "\u201c\u201d\u201e"), '"')}
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_SECTION_NUMBER = re.compile(r"^(?:\d+|[A-Z]|[IVX]+)(?:\.\d+)*[.:)]?\s+(?=\S)")
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "MYANMAR", "KHMER")
"""Scripts that write words without spaces, by the beginning of their characters' names."""


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """What was found: similarity in percent, the heading and the passage that it was found in (None where there is
    none), and why the claim is not grounded (None where it is)."""

    score: float
    section: str | None
    passage: str | None
    refused: str | None

    @property
    def found(self) -> bool:
        return self.refused is None


def ground(document: Path, claim: SourceClaim) -> Grounding:
    """Look for a claim's quotation in a document, in the section that it names (its subsections included) or anywhere.

    Found is a passage with a similarity of at least `THRESHOLD` that has the quotation's words in its order and no
    others, and its numbers; where the claim has a number, the quotation must contain it. White space, hyphenation,
    punctuation and the forms of quotation marks and dashes may differ. Raises BadInput for a document that cannot be
    read.
    """
    return ground_in(read_sections(document), claim)


def ground_in(sections: Sequence[Section], claim: SourceClaim) -> Grounding:
    """The same for a document whose sections are at hand."""
    quote = _plain(claim.quote)
    if len(_squashed(quote)) < SHORTEST:
        return _refuse(f"the quotation has fewer than {SHORTEST} letters and digits, and could stand anywhere")
    if claim.number is not None and claim.number not in _numbers(quote):
        return _refuse(f"the quotation does not contain the number {claim.number:g}")
    places = _places(sections, claim.section)
    if not places:
        headings = ", ".join(section.heading for section in sections if section.heading)[:200]
        return _refuse(f"the document has no section '{claim.section}'; it has: {headings or 'no headings'}")
    score, section, passage = max((_match(quote, place) for place in places), key=lambda match: match[0])
    refused = None
    if score < THRESHOLD:
        where = f"in the section '{claim.section}'" if claim.section is not None else "in the document"
        refused = f"the quotation is not {where}: the closest passage is {score:.1f} % like it, not {THRESHOLD:g} %"
    elif not _same_words(quote, passage):
        refused = "the closest passage has other words than the quotation"
    elif _numbers(quote) - _numbers(passage):
        refused = "the closest passage has other numbers than the quotation"
    return Grounding(score=score, section=section, passage=passage, refused=refused)


def _refuse(why: str) -> Grounding:
    return Grounding(score=0.0, section=None, passage=None, refused=why)


def _plain(text: str) -> str:
    """Text without what typesetting changes: compatibility forms, soft hyphens, forms of dashes and quotation marks."""
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "").translate(_DASHES).translate(_QUOTES)
    return " ".join(text.split())


def _numbers(text: str) -> Counter[float]:
    return Counter(float(number.replace(",", "")) for number in _NUMBER.findall(text))


def _words(text: str) -> list[str]:
    """Runs of letters, their marks and digits, in small letters."""
    letters = (letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in text.casefold())
    return "".join(letters).split()


def _squashed(text: str) -> str:
    return "".join(_words(text))


def _same_words(quote: str, passage: str) -> bool:
    """Whether each has the other's words in order, wherever typesetting breaks or joins them. The passage, cut to the
    quotation's length, may bring a neighbour along at either end."""
    found = _words(passage)
    cuts = [found, found[1:], found[:-1], found[1:-1]]
    return any(_in_order(_words(quote), "".join(cut)) and _in_order(cut, _squashed(quote)) for cut in cuts)


def _in_order(words: Sequence[str], text: str) -> bool:
    at = 0
    for word in words:
        at = text.find(word, at)
        if at < 0:
            return False
        at += len(word)
    return bool(words)


def _heading(text: str) -> str:
    return _SECTION_NUMBER.sub("", _plain(text)).casefold()


def _places(sections: Sequence[Section], wanted: str | None) -> list[Section]:
    """The sections to look in: all of them, or those under a heading like the one wanted."""
    from rapidfuzz import fuzz

    if wanted is None:
        return list(sections)
    alike = [(fuzz.ratio(_heading(wanted), _heading(section.heading)), at) for at, section in enumerate(sections)]
    best = max((score for score, _ in alike), default=0.0)
    if best < _HEADING_LIKENESS:
        return []
    found: list[Section] = []
    for score, at in alike:
        if score == best:
            found.append(sections[at])
            for below in sections[at + 1 :]:
                if below.level <= sections[at].level:
                    break
                found.append(below)
    return found


def _match(quote: str, section: Section) -> tuple[float, str, str]:
    """Similarity of the best passage of a section, the section's heading, the passage out to whole words."""
    from rapidfuzz import fuzz

    text = _plain(section.text)
    if len(text) <= len(quote):
        # The window would slide over the quotation in place of the text.
        return fuzz.ratio(quote, text), section.heading, text
    found = fuzz.partial_ratio_alignment(quote, text)
    assert found is not None  # it is None only below a cutoff, and none is given
    start, end = found.dest_start, found.dest_end
    while start > 0 and _within_word(text[start - 1], text[start]):
        start -= 1
    while end < len(text) and _within_word(text[end - 1], text[end]):
        end += 1
    return found.score, section.heading, text[start:end].strip()


def _within_word(left: str, right: str) -> bool:
    """Whether a cut between two neighbours would part a word."""

    def stands_alone(letter: str) -> bool:
        return letter.isspace() or unicodedata.name(letter, "").startswith(_UNSPACED)

    return not (stands_alone(left) or stands_alone(right))

"""Check that a document contains a quotation. The match allows for typesetting, but not for other words."""

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
"""Least similarity of a match, in percent: the normalised indel similarity of the best-matching passage."""
SHORTEST: Final = 12
"""Least number of letters and digits in a quotation. A shorter one could match by accident."""

_HEADING_SIMILARITY = 90.0
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_QUOTES = {**dict.fromkeys(map(ord, "\u2018\u2019\u201b"), "'"), **dict.fromkeys(map(ord, "\u201c\u201d\u201e"), '"')}
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_SECTION_NUMBER = re.compile(r"^(?:\d+|[A-Z]|[IVX]+)(?:\.\d+)*[.:)]?\s+(?=\S)")
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "MYANMAR", "KHMER")
"""Scripts without spaces between words, by the first word of their characters' Unicode names."""


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """The best match for a quotation: its similarity in percent, its section's heading and its passage (None if there
    is no match). `problem` says why the claim is not grounded; it is None if the claim is grounded."""

    score: float
    section: str | None
    passage: str | None
    problem: str | None

    @property
    def is_grounded(self) -> bool:
        return self.problem is None


def ground(document: Path, claim: SourceClaim) -> Grounding:
    """Look for a claim's quotation in the section that it names, including subsections, or in the entire document.

    A match is a passage with a similarity of at least `THRESHOLD` that contains the quotation's words in order and no
    others, and the quotation's numbers. If the claim has a number, the quotation must contain it. White space,
    hyphenation, punctuation and the forms of quotation marks and dashes may differ. Raises BadInput if the document
    cannot be read.
    """
    return ground_in(read_sections(document), claim)


def ground_in(sections: Sequence[Section], claim: SourceClaim) -> Grounding:
    """Like `ground`, for a document that was already read."""
    quote = _plain(claim.quote)
    if len(_squashed(quote)) < SHORTEST:
        return _not_grounded(f"the quotation has fewer than {SHORTEST} letters and digits, so it could match anything")
    if claim.number is not None and claim.number not in _numbers(quote):
        return _not_grounded(f"the quotation does not contain the number {claim.number:g}")
    searched = _searched_sections(sections, claim.section)
    if not searched:
        headings = ", ".join(section.heading for section in sections if section.heading)[:200]
        return _not_grounded(f"the document has no section '{claim.section}'; it has: {headings or 'no headings'}")
    score, section, passage = max((_match(quote, section) for section in searched), key=lambda match: match[0])
    problem = None
    if score < THRESHOLD:
        where = f"in the section '{claim.section}'" if claim.section is not None else "in the document"
        closest = f"the closest passage has a similarity of {score:.1f} %, below {THRESHOLD:g} %"
        problem = f"the quotation is not {where}: {closest}"
    elif not _same_words(quote, passage):
        problem = "the words of the closest passage differ from the quotation"
    elif _numbers(quote) - _numbers(passage):
        problem = "the numbers in the closest passage differ from the quotation"
    return Grounding(score=score, section=section, passage=passage, problem=problem)


def _not_grounded(problem: str) -> Grounding:
    return Grounding(score=0.0, section=None, passage=None, problem=problem)


def _plain(text: str) -> str:
    """Normalise what typesetting changes: compatibility forms, soft hyphens, dashes, quotation marks, white space."""
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "").translate(_DASHES).translate(_QUOTES)
    return " ".join(text.split())


def _numbers(text: str) -> Counter[float]:
    return Counter(float(number.replace(",", "")) for number in _NUMBER.findall(text))


def _words(text: str) -> list[str]:
    """Runs of letters, combining marks and digits, in lower case."""
    letters = (letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in text.casefold())
    return "".join(letters).split()


def _squashed(text: str) -> str:
    return "".join(_words(text))


def _same_words(quote: str, passage: str) -> bool:
    """Whether each text has the other's words in order, even if typesetting breaks or joins words.

    The passage has about the quotation's length, so it may include a neighbouring word at either end.
    """
    words = _words(passage)
    cuts = [words, words[1:], words[:-1], words[1:-1]]
    return any(_in_order(_words(quote), "".join(cut)) and _in_order(cut, _squashed(quote)) for cut in cuts)


def _in_order(words: Sequence[str], text: str) -> bool:
    position = 0
    for word in words:
        position = text.find(word, position)
        if position < 0:
            return False
        position += len(word)
    return bool(words)


def _heading(text: str) -> str:
    return _SECTION_NUMBER.sub("", _plain(text)).casefold()


def _searched_sections(sections: Sequence[Section], heading: str | None) -> list[Section]:
    """The sections to search: all of them, or those under a heading that matches `heading`."""
    from rapidfuzz import fuzz

    if heading is None:
        return list(sections)
    scores = [fuzz.ratio(_heading(heading), _heading(section.heading)) for section in sections]
    best = max(scores, default=0.0)
    if best < _HEADING_SIMILARITY:
        return []
    matches: list[Section] = []
    for index, score in enumerate(scores):
        if score == best:
            matches.append(sections[index])
            for below in sections[index + 1 :]:
                if below.level <= sections[index].level:
                    break
                matches.append(below)
    return matches


def _match(quote: str, section: Section) -> tuple[float, str, str]:
    """The similarity of a section's best passage, the section's heading, and the passage extended to complete words."""
    from rapidfuzz import fuzz

    text = _plain(section.text)
    if len(text) <= len(quote):
        # Here partial matching would slide the text over the quotation, and not the other way round.
        return fuzz.ratio(quote, text), section.heading, text
    alignment = fuzz.partial_ratio_alignment(quote, text)
    assert alignment is not None  # it is None only below a cutoff, and none is given
    start, end = alignment.dest_start, alignment.dest_end
    while start > 0 and _within_word(text[start - 1], text[start]):
        start -= 1
    while end < len(text) and _within_word(text[end - 1], text[end]):
        end += 1
    return alignment.score, section.heading, text[start:end].strip()


def _within_word(left: str, right: str) -> bool:
    """Whether a cut between two adjacent characters would split a word."""

    def is_boundary(letter: str) -> bool:
        return letter.isspace() or unicodedata.name(letter, "").startswith(_UNSPACED)

    return not (is_boundary(left) or is_boundary(right))

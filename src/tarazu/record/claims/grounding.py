"""Check that a document contains a quotation. The match allows for typesetting, but not for other words."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tarazu.record.claims import numerals
from tarazu.record.claims.documents import Section, read_sections
from tarazu.record.model import SourceClaim

THRESHOLD: Final = 90.0
"""Least similarity of a match, in percent: the normalised indel similarity of the best-matching passage."""
SHORTEST: Final = 12
"""Least number of letters and digits in a quotation. A shorter one could match by accident."""

_HEADING_SIMILARITY = 90.0
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_QUOTES = {**dict.fromkeys(map(ord, "\u2018\u2019\u201b"), "'"), **dict.fromkeys(map(ord, "\u201c\u201d\u201e"), '"')}
_SENTENCE_END = re.compile(r"[.!?\u0964\u06d4](?= )|[\u3002\uff01\uff1f]")
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
    others, and the quotation's numbers. If the claim has a number, the quotation must contain it, read in the notation
    that the document uses there (`numerals.notation`). White space, hyphenation, punctuation and the forms of quotation
    marks and dashes may differ. Raises BadInput if the document cannot be read.
    """
    return ground_in(read_sections(document), claim)


def ground_in(sections: Sequence[Section], claim: SourceClaim) -> Grounding:
    """Like `ground`, for a document that was already read."""
    quote = _plain(claim.quote)
    if len(_squashed(quote)) < SHORTEST:
        return _not_grounded(f"the quotation has fewer than {SHORTEST} letters and digits, so it could match anything")
    searched = _searched_sections(sections, claim.section)
    if not searched:
        headings = ", ".join(section.heading for section in sections if section.heading)[:200]
        return _not_grounded(f"the document has no section '{claim.section}'; it has: {headings or 'no headings'}")
    match = max((_match(quote, section) for section in searched), key=lambda match: match.score)
    problem = None
    if match.score < THRESHOLD:
        where = f"in the section '{claim.section}'" if claim.section is not None else "in the document"
        closest = f"the closest passage has a similarity of {match.score:.1f} %, below {THRESHOLD:g} %"
        problem = f"the quotation is not {where}: {closest}"
    elif not _same_words(quote, match.passage):
        problem = "the words of the closest passage differ from the quotation"
    else:
        problem = _problem_with_numbers(quote, claim.number, match, sections)
    return Grounding(score=match.score, section=match.section, passage=match.passage, problem=problem)


def _problem_with_numbers(quote: str, number: float | None, match: _Match, sections: Sequence[Section]) -> str | None:
    """What is wrong with the numbers of a quotation, given the passage with the same words."""
    scopes = [match.sentence, match.text, "\n".join(_plain(section.text) for section in sections)]
    notation = numerals.notation(match.passage, scopes)
    # The quotation may have a plain space where the document has a narrow one.
    joined = notation if notation.spaced else dataclasses.replace(notation, spaced=True)
    if joined.values(quote) - joined.values(match.passage):
        return "the numbers in the closest passage differ from the quotation"
    if number is None:
        return None
    quoted = joined.values(quote) | dataclasses.replace(notation, spaced=False).values(quote)
    if number in quoted and number in notation.values(match.passage):
        return None
    problem = f"the quotation does not contain the number {number:.15g}"
    for token in [*numerals.tokens(match.passage), *numerals.tokens(numerals.join_spaced(match.passage))]:
        other = numerals.other_reading(token, number)
        if other is None:
            continue
        if notation.read(token) is None:
            return (
                f"{problem} for certain: '{token}' is {number:.15g} or {other:.15g}, and the document does not show "
                "whether it writes decimals with a point or a comma"
            )
        return f"{problem}: '{token}' is {other:.15g} here, as other numbers of the document and its language show"
    return problem


def _not_grounded(problem: str) -> Grounding:
    return Grounding(score=0.0, section=None, passage=None, problem=problem)


def _plain(text: str) -> str:
    """Normalise what typesetting changes: digits, compatibility forms, hyphens, dashes, quotation marks, spaces."""
    text = numerals.with_plain_digits(text)
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "").translate(_DASHES).translate(_QUOTES)
    return " ".join(text.split())


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Match:
    """A section's best passage, extended to complete words, with its similarity and the text around it."""

    score: float
    section: str
    passage: str
    sentence: str
    text: str


def _match(quote: str, section: Section) -> _Match:
    from rapidfuzz import fuzz

    text = _plain(section.text)
    if len(text) <= len(quote):
        # Here partial matching would slide the text over the quotation, and not the other way round.
        return _Match(score=fuzz.ratio(quote, text), section=section.heading, passage=text, sentence=text, text=text)
    alignment = fuzz.partial_ratio_alignment(quote, text)
    assert alignment is not None  # it is None only below a cutoff, and none is given
    start, end = alignment.dest_start, alignment.dest_end
    while start > 0 and _within_word(text[start - 1], text[start]):
        start -= 1
    while end < len(text) and _within_word(text[end - 1], text[end]):
        end += 1
    passage = text[start:end].strip()
    return _Match(
        score=alignment.score,
        section=section.heading,
        passage=passage,
        sentence=_sentence(text, start, end),
        text=text,
    )


def _sentence(text: str, start: int, end: int) -> str:
    """The sentences of `text` that contain text[start:end]."""
    first = max((stop.end() for stop in _SENTENCE_END.finditer(text, 0, start)), default=0)
    last = _SENTENCE_END.search(text, max(end - 1, 0))
    return text[first : last.end() if last else len(text)]


def _within_word(left: str, right: str) -> bool:
    """Whether a cut between two adjacent characters would split a word."""

    def is_boundary(letter: str) -> bool:
        return letter.isspace() or unicodedata.name(letter, "").startswith(_UNSPACED)

    return not (is_boundary(left) or is_boundary(right))

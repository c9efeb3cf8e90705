"""Check that a document contains a quotation. The match allows for typesetting, but not for other words or signs.

What a reader may not see of the document does not count. The passage comes with the text around it, since words that
stand in a document can be quoted out of their context.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from tarazu.record.claims import numerals
from tarazu.record.claims.blocks import UNSEEN_MARK
from tarazu.record.claims.documents import Section, read_sections
from tarazu.record.claims.words import Token, find, is_unspaced, tokens_of
from tarazu.record.model import SourceClaim

THRESHOLD: Final = 90.0
"""Least similarity of a match, in percent: the normalised indel similarity of the best-matching passage."""
SHORTEST: Final = 12
"""Least number of letters and digits in a quotation. A shorter one could match by accident."""

_HEADING_SIMILARITY = 90.0
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"), "-")
_QUOTES = {**dict.fromkeys(map(ord, "\u2018\u2019\u201b"), "'"), **dict.fromkeys(map(ord, "\u201c\u201d\u201e"), '"')}
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
_SPACED_MINUS = re.compile(r"(?<![\d)\]%])(?<!\b[^\W\d_])(\s|^|\()\u2212\s+(?=[.,]?\d)")
_SUPERSCRIPT = re.compile(r"([\d)\]}])([\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b]+)")
_FRACTION = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e\u2189])")
_SUBSCRIPT = re.compile(r"(\d)([\u2080-\u2089]+)")
_POWER_OF_LETTER = re.compile(r"(?<=[^\W\d_])\^\s?\{?([-+]?\d+)\}?")
_MOST_PLACES: Final = 50
"""Passages with the same words that are tried in a section."""
_CONTEXT: Final = 240
"""Characters of the text around a passage, on each side."""
_SENTENCE_END = re.compile(r"[.!?\u0964\u06d4](?= )|[\u3002\uff01\uff1f]")
_SECTION_NUMBER = re.compile(r"^(?:\d+|[A-Z]|[IVX]+)(?:\.\d+)*[.:)]?\s+(?=\S)")


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """The best match for a quotation: its similarity in percent, its section's heading and its passage (None if there
    is no match), and the passage between the texts before and behind it. `problem` says why the claim is not grounded;
    it is None if the claim is grounded. `caveat` says what of the document was not checked."""

    score: float
    section: str | None
    passage: str | None
    problem: str | None
    context: tuple[str, str, str] | None = None
    caveat: str = ""

    @property
    def is_grounded(self) -> bool:
        return self.problem is None


def ground(document: Path, claim: SourceClaim) -> Grounding:
    """Look for a claim's quotation in the section that it names, including subsections, or in the entire document.

    A match is a passage with the quotation's words, figures and signs, in a row, and a similarity of at least
    `THRESHOLD`. If the claim has a number, the quotation must contain it, read in the notation that the document uses
    there (`numerals.notation`). White space, punctuation, the forms of characters, and hyphens where a line of the
    quotation ended may differ. Raises BadInput if the document cannot be read.
    """
    return ground_in(read_sections(document), claim)


def ground_in(sections: Sequence[Section], claim: SourceClaim) -> Grounding:
    """Like `ground`, for a document that was already read."""
    quote = plain(claim.quote)
    tokens = tokens_of(quote)
    if len(_squashed(quote)) < SHORTEST:
        return _not_grounded(f"the quotation has fewer than {SHORTEST} letters and digits, so it could match anything")
    searched = _searched_sections(sections, claim.section)
    if not searched:
        headings = ", ".join(section.heading for section in sections if section.heading)[:200]
        return _not_grounded(f"the document has no section '{claim.section}'; it has: {headings or 'no headings'}")
    refused: Grounding | None = None
    for section in searched:
        text = plain(section.text)
        for start, end in find(tokens, text)[:_MOST_PLACES]:
            match = _Match.of(section, text, start, end)
            found = _grounding(quote, claim, match, sections)
            if found.is_grounded:
                return found
            refused = refused or found
    return refused or _unseen(tokens, searched) or _closest(quote, claim, searched)


def _grounding(quote: str, claim: SourceClaim, match: _Match, sections: Sequence[Section]) -> Grounding:
    """The result for a passage with the quotation's words, figures and signs."""
    from rapidfuzz import fuzz

    score = fuzz.ratio(quote, match.passage)
    problem = _cut_off(match) or _problem_with_numbers(quote, claim.number, match, sections)
    if problem is None and score < THRESHOLD:
        problem = f"the passage has a similarity of {score:.1f} %, below {THRESHOLD:g} %; quote it as it stands"
    return match.result(score, problem)


def _cut_off(match: _Match) -> str | None:
    """Why a passage must not begin or end where it does."""
    before, passage, behind = match.text[: match.start], match.passage, match.text[match.end :]
    if re.search(r"[^\W_]$|[^\W_][-_]$|\d[.,'\u00b7]$", before) and _joins(before, passage):
        return "the passage begins within a word or a number; quote it from its beginning"
    if re.match(r"[^\W_]|[-_][^\W_]|[.,'\u00b7]\d", behind) and _joins(passage, behind):
        return "the passage ends within a word or a number; quote it to its end"
    if passage[0].isdigit() and (
        sign := re.search(r"([-<>\u2264\u2265\u2260\u00b1~\u223c\u2248\u2213^_]|<=|>=|!=)\s?$", before)
    ):
        return f"the sign {sign[1]} stands before the passage's first number; quote it too"
    if passage[-1].isdigit() and (sign := re.match(r"\s?([%\u2030\u2031\u00b0^_])", behind)):
        return f"the sign {sign[1]} stands behind the passage's last number; quote it too"
    return None


def _joins(left: str, right: str) -> bool:
    """Whether two texts belong to one word where they meet. Scripts without spaces have no such place."""
    return not (is_unspaced(left[-1]) or is_unspaced(right[0]))


def _unseen(tokens: Sequence[Token], searched: Sequence[Section]) -> Grounding | None:
    """The result if the quotation stands only in text that a reader may not see, or around such text."""
    for section in searched:
        for reason, hidden in section.unseen:
            text = plain(hidden)
            for start, end in find(tokens, text):
                match = _Match.of(section, text, start, end)
                return match.result(0.0, f"the quotation stands only in text that a reader may not see: {reason}")
        if UNSEEN_MARK in section.text:
            text = plain(section.text.replace(UNSEEN_MARK, " "))
            for start, end in find(tokens, text):
                match = _Match.of(section, text, start, end)
                reasons = "; ".join(dict.fromkeys(reason for reason, _ in section.unseen)) or "an image"
                return match.result(0.0, f"within the passage stands what a reader may see otherwise: {reasons[:150]}")
    return None


def _closest(quote: str, claim: SourceClaim, searched: Sequence[Section]) -> Grounding:
    """The result if the quotation does not occur: the closest passage, and how it differs."""
    match, score = max((_match(quote, section) for section in searched), key=lambda pair: pair[1])
    if score < THRESHOLD:
        where = f"in the section '{claim.section}'" if claim.section is not None else "in the document"
        closest = f"the closest passage has a similarity of {score:.1f} %, below {THRESHOLD:g} %"
        return match.result(score, f"the quotation is not {where}: {closest}")
    what = "words of the closest passage differ"
    if _squashed(quote) in _squashed(match.passage):
        same_words = [token.text for token in tokens_of(quote) if token.text[0].isalpha()]
        its_words = [token.text for token in tokens_of(match.passage) if token.text[0].isalpha()]
        what = (
            "signs of the closest passage differ"
            if same_words == its_words
            else "words of the closest passage part otherwise"
        )
        if numerals.notation(match.passage, [match.text]).values(quote) - numerals.notation(
            match.passage, [match.text]
        ).values(match.passage):
            what = "numbers in the closest passage differ"
    return match.result(score, f"the {what} from the quotation")


def _problem_with_numbers(quote: str, number: float | None, match: _Match, sections: Sequence[Section]) -> str | None:
    """What is wrong with the numbers of a quotation, given the passage with the same words."""
    scopes = [match.sentence, match.text, _all_text(tuple(sections))]
    notation = numerals.notation(match.passage, scopes)
    # The quotation may have a plain space where the document has a narrow one.
    joined = notation if notation.spaced else dataclasses.replace(notation, spaced=True)
    if joined.values(quote) != joined.values(match.passage):
        return "the numbers in the closest passage differ from the quotation"
    if number is None:
        return None
    if re.search(r"(^|[^\d)\]%\s])\s+-\s+$", match.text[: match.start + _place_of(number, match.passage)]):
        return f"a dash stands before the number {number:.15g}, and may be its sign"
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


def _place_of(number: float, passage: str) -> int:
    """Where the number, without its sign, begins in a passage; 0 if it is not written out there."""
    match = re.search(rf"(?<![\d.,]){re.escape(f'{abs(number):.15g}')}(?![\d])", passage)
    return match.start() if match else 0


@lru_cache(maxsize=512)
def plain(text: str) -> str:
    """Normalise what typesetting changes: digits, compatibility forms, hyphens, dashes, quotation marks, spaces.

    Powers and indices of numbers stay apart from them.
    """
    text = _SPACED_MINUS.sub(lambda match: f"{match[1]}-", text.translate(_INVISIBLE))
    text = numerals.with_plain_digits(_FRACTION.sub(" ", text))
    text = _SUPERSCRIPT.sub(lambda match: f"{match[1]}^{unicodedata.normalize('NFKC', match[2])}", text)
    text = _SUBSCRIPT.sub(lambda match: f"{match[1]}_{unicodedata.normalize('NFKC', match[2])}", text)
    text = unicodedata.normalize("NFKC", text).translate(_DASHES).translate(_QUOTES)
    return " ".join(_POWER_OF_LETTER.sub(r"\1", text).split())


def _squashed(text: str) -> str:
    return "".join(letter for letter in text.casefold() if unicodedata.category(letter)[0] in "LMN")


def _heading(text: str) -> str:
    return _SECTION_NUMBER.sub("", plain(text)).casefold()


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


@lru_cache(maxsize=8)
def _all_text(sections: tuple[Section, ...]) -> str:
    return "\n".join(plain(section.text) for section in sections)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Match:
    """A passage of a section's text (plain)."""

    section: Section
    text: str
    start: int
    end: int

    @classmethod
    def of(cls, section: Section, text: str, start: int, end: int) -> _Match:
        return cls(section=section, text=text, start=start, end=end)

    @property
    def passage(self) -> str:
        return self.text[self.start : self.end]

    @property
    def sentence(self) -> str:
        """The sentences that contain the passage."""
        first = max((stop.end() for stop in _SENTENCE_END.finditer(self.text, 0, self.start)), default=0)
        last = _SENTENCE_END.search(self.text, max(self.end - 1, 0))
        return self.text[first : last.end() if last else len(self.text)]

    def result(self, score: float, problem: str | None) -> Grounding:
        begin = max(0, self.start - _CONTEXT)
        before, behind = self.text[begin : self.start], self.text[self.end : self.end + _CONTEXT]
        more = "…" if self.end + _CONTEXT < len(self.text) else ""
        around = (("…" if begin else "") + before, self.passage[:2000], behind + more)
        return Grounding(
            score=score,
            section=self.section.heading,
            passage=self.passage,
            problem=problem,
            context=(_shown(around[0]), _shown(around[1]), _shown(around[2])),
            caveat=self.section.caveat,
        )


def _shown(text: str) -> str:
    return text.replace(UNSEEN_MARK, "[…]")


def _match(quote: str, section: Section) -> tuple[_Match, float]:
    """The most similar passage of a section, extended to complete words, and its similarity."""
    from rapidfuzz import fuzz

    text = plain(section.text)
    if len(text) <= len(quote):
        # Here partial matching would slide the text over the quotation, and not the other way round.
        return _Match.of(section, text, 0, len(text)), fuzz.ratio(quote, text)
    alignment = fuzz.partial_ratio_alignment(quote, text)
    assert alignment is not None  # it is None only below a cutoff, and none is given
    start, end = alignment.dest_start, alignment.dest_end
    while start > 0 and _within_word(text[start - 1], text[start]):
        start -= 1
    while end < len(text) and _within_word(text[end - 1], text[end]):
        end += 1
    while start < end and text[start].isspace():
        start += 1
    return _Match.of(section, text, start, max(start, start + len(text[start:end].rstrip()))), alignment.score


def _within_word(left: str, right: str) -> bool:
    """Whether a cut between two adjacent characters would split a word."""
    return not any(letter.isspace() or is_unspaced(letter) for letter in (left, right))

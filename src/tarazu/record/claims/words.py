"""The words, numbers and signs of a text, and where one text contains those of another in a row.

Punctuation, white space, upper and lower case and the forms of characters may differ; words, figures and signs may not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

UNSPACED: Final = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "MYANMAR", "KHMER")
"""Scripts without spaces between words, by the first word of their characters' Unicode names."""
_LIKE: Final = {
    "\u2264": "<=", "\u2a7d": "<=", "\u2266": "<=", "=<": "<=", "\u2265": ">=", "\u2a7e": ">=", "\u2267": ">=",
    "\u2260": "!=", "=/=": "!=", "\u00b1": "+-", "+/-": "+-", "\u223c": "~", "\u2215": "/", "\u2044": "/",
    "\u2223": "|", "\u22c5": "*", "\u00b7": "*", "\u2219": "*", "\u2217": "*", "\u2016": "||", "\u2225": "||",
    "\u00ba": "\u00b0", "\u02da": "\u00b0",
}  # fmt: skip
"""Forms of one sign."""
_SIGNS: Final = frozenset("%\u2030\u2031/&@_")
"""Punctuation that means something."""
_PUNCTUATION: Final = frozenset("`\u00b4\u00a8\u02c6\u02dc\u00af\u00a9\u00ae|$")
"""Symbols that do not, where they stand alone."""


@cache
def _pattern() -> re.Pattern[str]:
    # `\w` lacks the marks of which many scripts make vowels.
    marks = "".join(letter for letter in map(chr, range(0x300, 0x20000)) if unicodedata.category(letter)[0] == "M")
    letter = f"[^\\W_{marks}]|[{marks}]"
    return re.compile(
        rf"(?P<digits>\d+)|(?P<word>[^\W\d_](?:{letter}|[-_'](?=[^\W_]))*-?)|(?P<mark>\+/-|=/=|!=|<=|>=|=<|\S)"
    )


@dataclass(frozen=True, slots=True)
class Token:
    """A word in lower case, a number's digits or a sign, with its place in the text."""

    text: str
    start: int
    end: int

    @property
    def is_number(self) -> bool:
        return self.text[0].isdigit()


@lru_cache(maxsize=512)
def tokens_of(text: str) -> tuple[Token, ...]:
    """The words, numbers and signs of a text that `grounding.plain` normalised."""
    found: list[Token] = []
    for match in _pattern().finditer(text):
        start, end, piece = match.start(), match.end(), match[0]
        if match.lastgroup == "digits":
            found.append(Token(piece, start, end))
        elif match.lastgroup == "word":
            found += _words(piece, start)
        elif sign := _sign(piece, text, start):
            found.append(Token(sign, start, end))
    return tuple(found)


def _words(piece: str, start: int) -> list[Token]:
    """A word as one token, or each character of a script without spaces as one."""
    if piece.isascii() or not any(map(is_unspaced, piece)):
        return [Token(piece.casefold(), start, start + len(piece))]
    pieces: list[Token] = []
    run = start
    for place, letter in enumerate(piece, start):
        if is_unspaced(letter):
            if run < place:
                pieces.append(Token(piece[run - start : place - start].casefold(), run, place))
            pieces.append(Token(letter, place, place + 1))
            run = place + 1
    if run < start + len(piece):
        pieces.append(Token(piece[run - start :].casefold(), run, start + len(piece)))
    return pieces


@lru_cache(maxsize=65536)
def is_unspaced(letter: str) -> bool:
    return not letter.isascii() and unicodedata.name(letter, "").startswith(UNSPACED)


def _sign(piece: str, text: str, place: int) -> str:
    """The sign that a character stands for; empty for punctuation."""
    before, behind = text[place - 1 : place], text[place + len(piece) : place + len(piece) + 1]
    if piece == "-":
        return "-" if re.match(r" ?[.,]?\d", text[place + 1 : place + 4]) else ""
    if piece == "$":  # not those around a formula
        return "$" if re.match(r" ?\d[\d.,]*(?![\d.,]*\$)", text[place + 1 : place + 40]) else ""
    if piece in "\u00b7\u2219\u22c5":  # a decimal point, a sign of multiplication or the mark of a list
        return "" if (before.isdigit() and behind.isdigit()) or (not before.strip() and not behind.isdigit()) else "*"
    if piece in _LIKE or len(piece) > 1 or piece in _SIGNS:
        return _LIKE.get(piece, piece)
    if piece in _PUNCTUATION:
        return ""
    category = unicodedata.category(piece)
    return piece if category[0] in "SMLNC" else ""


def same(quoted: str, word: str) -> bool:
    """Whether a quoted word is that of the document. It may have more hyphens, where a line ended, but not fewer."""
    if quoted == word:
        return True
    if "-" not in quoted or not word[0].isalpha() or quoted.replace("-", "") != word.replace("-", ""):
        return False
    return _breaks(word) <= _breaks(quoted)


def _breaks(word: str) -> set[int]:
    """The places of a word's hyphens, in letters."""
    return {place - word.count("-", 0, place) for place, letter in enumerate(word) if letter == "-"}


def _text_at(tokens: Sequence[Token], place: int) -> str:
    return tokens[place].text if place < len(tokens) and tokens[place].text[0].isalpha() else " "


def find(quoted: Sequence[Token], text: str) -> list[tuple[int, int]]:
    """Where the tokens `quoted` stand in a row in a text (plain): the place of the first, and the end of the last."""
    tokens, found = tokens_of(text), []
    first = quoted[0].text
    for start in range(len(tokens)) if "-" in first else _places(text).get(first, ()):
        behind = _match(quoted, tokens, start)
        if behind is not None:
            found.append((tokens[start].start, tokens[behind - 1].end))
    return found


@lru_cache(maxsize=512)
def _places(text: str) -> dict[str, list[int]]:
    """Where each token stands in a text."""
    places: dict[str, list[int]] = {}
    for place, token in enumerate(tokens_of(text)):
        places.setdefault(token.text, []).append(place)
    return places


def _match(quoted: Sequence[Token], text: Sequence[Token], start: int) -> int | None:
    at, place = start, 0
    while place < len(quoted):
        if at >= len(text):
            return None
        token, other = quoted[place].text, text[at].text
        if same(token, other):
            place += 1
        elif token[0].isalpha() and token.endswith("-") and same(token + _text_at(quoted, place + 1), other):
            place += 2  # a word that was quoted over the end of a line
        else:
            return None
        at += 1
    return at

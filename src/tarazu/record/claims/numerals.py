"""Read the numbers of a text in the notation that its document uses.

`1.600` is 1.6 in English text and 1600 in German text. Numbers with only one reading, such as `12,5` or `1.600.000`,
show which it is: those in the passage itself, else in its sentence, its section, or its document.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Mark = Literal[".", ","]
"""What separates the decimals."""

GROUP: Final = "'"
"""Separates thousands in plain text, in place of an apostrophe, a thin or no-break space, or an Arabic mark."""
DECIMAL: Final = "\u00b7"
"""Separates decimals whatever the notation: a raised point, or the Arabic mark."""
GROUPING_SPACES: Final = "\u00a0\u2006\u2007\u2008\u2009\u200a\u202f"
"""Spaces that separate thousands, but not words. A plain space separates both."""

_SPACED = re.compile(rf"(?<=\d)[{GROUPING_SPACES}](?=\d{{3}}(?!\d))")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺−‐‑‒–", "0123456789-+-----")
_EXPONENT = r"[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3}|\^\s?\{?[-−–+]?\d{1,3}\}?|\s?−\d{1,3}|[-‐‑‒–]\d"
_SCIENTIFIC = re.compile(rf"(?<=\d)\s*[×x∙·⋅*]\s*10(?P<exponent>{_EXPONENT})(?![\d⁰¹²³⁴⁵⁶⁷⁸⁹])")
"""A power of ten behind a number. With a hyphen and two digits it could be a range, such as 3 x 10-20."""
_POWER = re.compile(r"(?<![\d.,'·⁻−-])10(?P<exponent>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3}|\^\{?[-−–+]?\d{1,3}\}?)(?!\d)")
"""A power of ten that stands alone."""
_ARABIC = {0x066B: DECIMAL, 0x066C: GROUP}
_TOKEN = re.compile(r"-?(?:[.,·](?=\d))?\d+(?:[.,'·]\d+)*(?:[eE][-+]?\d+)?")
_PLAIN_SPACED = re.compile(r"(?<![\d.,'·])[1-9]\d{0,2}(?: \d{3})+(?!\d)")
_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_ENGLISH = frozenset(("the", "of", "and", "is", "to", "we", "was", "were", "that", "with", "from", "by", "for", "are"))
_DECIMAL_POINT_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "DEVANAGARI", "BENGALI", "HEBREW", "TAMIL")
_DECISIVE = 2
"""How many times as many numbers of one notation as of the other show which one a text uses."""


def with_plain_digits(text: str) -> str:
    """`text` with the digits of every script as 0 to 9, and marks that separate only thousands or decimals unified.

    Powers of ten become exponents: 2.0 × 10⁻³ is 2.0e-3.
    """
    text = _SCIENTIFIC.sub(lambda match: _exponent(match.group("exponent")), text)
    text = _POWER.sub(lambda match: f"1{_exponent(match.group('exponent'))}", text)
    if text.isascii():
        return text
    text = _SPACED.sub(GROUP, text).translate(_ARABIC)
    return "".join(
        str(unicodedata.decimal(letter)) if unicodedata.category(letter) == "Nd" else letter for letter in text
    )


def _exponent(text: str) -> str:
    return f"e{int(re.sub('[{}^ ]', '', text.translate(_SUPERSCRIPTS)))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Notation:
    """How a document writes numbers near a passage.

    `decimal` is None if the document does not show it. `spaced` says that it separates thousands by spaces.
    """

    decimal: Mark | None
    spaced: bool

    def values(self, text: str) -> Counter[float]:
        """The numbers in a text (plain). Those with two readings are excluded if the notation is not known."""
        values: Counter[float] = Counter()
        for token in tokens(join_spaced(text) if self.spaced else text):
            values.update(self.read(token) or ())
        return values

    def read(self, token: str) -> tuple[float, ...] | None:
        """The value of a token, or several if it is a list such as `1,2`. None if it has two readings."""
        if self.decimal is not None:
            return _read(token, self.decimal)
        readings = {_read(token, decimal) for decimal in _PATTERNS if _is_number(token, decimal)}
        if len(readings) > 1:
            return None
        return readings.pop() if readings else _read(token, ".")


def notation(passage: str, scopes: Sequence[str]) -> Notation:
    """The notation at a passage (plain). `scopes` are the texts around it, from the nearest to the complete document.

    If no number shows it, the language of the nearest text does: English text and scripts such as Han write a decimal
    point.
    """
    spaced = any(GROUP in text or re.search(r"(?<!\d)\d{1,3}(?: \d{3}){2,}(?!\d)", text) for text in scopes)
    for text in (passage, *scopes):
        votes = Counter(vote for vote in map(_vote, tokens(_BRACKETS.sub(" ", text))) if vote is not None)
        if votes["."] > _DECISIVE * votes[","]:
            return Notation(decimal=".", spaced=spaced)
        if votes[","] > _DECISIVE * votes["."]:
            return Notation(decimal=",", spaced=spaced)
    return Notation(decimal="." if _writes_decimal_points(scopes[0]) else None, spaced=spaced)


def tokens(text: str) -> Iterator[str]:
    """The numbers in a text (plain), as written. Digits within a word are none."""
    for match in _TOKEN.finditer(text):
        start, token = match.start(), match.group()
        before = text[start - 1] if start else " "
        if token[0] == "-" and (before.isalnum() or before in "_.,"):
            token = token[1:]  # a hyphen or a range
            before = "-"
        if not (before.isdigit() or before in "_.,·" or before.lower() != before.upper()):
            yield token


def other_reading(token: str, number: float) -> float | None:
    """How else a token can be read, if one of its readings is `number`."""
    readings = {value for decimal in _PATTERNS if _is_number(token, decimal) for value in _read(token, decimal)}
    return next(iter(readings - {number}), None) if number in readings else None


def join_spaced(text: str) -> str:
    """`text` with plain spaces between thousands as marks that separate thousands."""
    return _PLAIN_SPACED.sub(lambda match: match.group().replace(" ", GROUP), text)


def _pattern(decimal: Mark) -> re.Pattern[str]:
    group = "," if decimal == "." else r"\."
    whole = (
        rf"0|[1-9]\d{{0,2}}(?:{group}\d{{3}})+|[1-9]\d{{0,2}}(?:'\d{{3}})+|[1-9]\d?(?:{group}\d\d)+{group}\d{{3}}|\d+"
    )
    return re.compile(rf"-?(?:{whole})?(?:[{decimal}{DECIMAL}]\d+)?(?:[eE][-+]?\d+)?")


_PATTERNS: Final[dict[Mark, re.Pattern[str]]] = {".": _pattern("."), ",": _pattern(",")}


def _is_number(token: str, decimal: Mark) -> bool:
    return _PATTERNS[decimal].fullmatch(token) is not None


def _vote(token: str) -> Mark | None:
    """The mark of decimals that a token shows, if it has one reading only."""
    point, comma = _is_number(token, "."), _is_number(token, ",")
    if point == comma:
        return None
    return "." if point else ","


def _read(token: str, decimal: Mark) -> tuple[float, ...]:
    if _is_number(token, decimal):
        group = "," if decimal == "." else "."
        return (float(token.replace(GROUP, "").replace(group, "").replace(decimal, ".").replace(DECIMAL, ".")),)
    if decimal == "," and _is_number(token, "."):
        return _read(token, ".")  # a decimal point in a text with decimal commas
    if "," in token[1:]:
        return tuple(value for part in token.split(",") if part for value in _read(part, decimal))
    return tuple(float(part) for part in re.findall(r"\d+", token))  # a date, or the number of a version


def _writes_decimal_points(text: str) -> bool:
    words = re.findall(r"[^\W\d]+", text.casefold())
    letters = [letter for letter in text if letter.isalpha()]
    others = sum(unicodedata.name(letter, "").startswith(_DECIMAL_POINT_SCRIPTS) for letter in letters)
    return any(word in _ENGLISH for word in words) or 2 * others > len(letters)

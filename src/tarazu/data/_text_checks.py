"""Checks of a translated text against its English original that need no knowledge of the language.

An `error` is wrong in any language. A `warning` is a judgement that also applies to some valid human texts
(docs/parallel-set.md says how often), and counts by its share of a file.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

from tarazu.languages import LANGUAGES

Level = Literal["error", "warning"]

CHECKS: dict[str, Level] = {
    "nfc": "error",
    "spaces": "error",
    "script": "error",
    "letters": "error",
    "untranslated": "error",
    "placeholders": "error",
    "numbers": "warning",
    "length": "warning",
    "language": "warning",
}
"""Each check of a text, and the level of its findings."""

_SCRIPTS = {
    "Arab": ("ARABIC",),
    "Beng": ("BENGALI",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Geor": ("GEORGIAN",),
    "Grek": ("GREEK",),
    "Gujr": ("GUJARATI",),
    "Guru": ("GURMUKHI",),
    "Hans": ("CJK",),
    "Hebr": ("HEBREW",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
    "Kore": ("HANGUL",),
    "Latn": ("LATIN",),
    "Mlym": ("MALAYALAM",),
    "Mymr": ("MYANMAR",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Thai": ("THAI",),
}
"""The beginnings of the Unicode names of a script's letters, by ISO 15924 code."""

_LOOK_ALIKE = ("LATIN", "CYRILLIC", "GREEK")
"""Scripts whose letters can be confused with each other. With other scripts a word may be mixed, as T恤 is."""

LENGTHS: dict[str, tuple[float, float]] = {
    "Hans": (0.2, 0.6),
    "Jpan": (0.25, 0.9),
    "Kore": (0.25, 0.9),
    "Thai": (0.5, 1.8),
    "Arab": (0.45, 1.6),
    "Hebr": (0.45, 1.6),
}
"""The accepted range of a text's characters divided by those of its English original, by script. It contains about 99
in 100 of MultiJail's human translations, or of the shipped texts for scripts that MultiJail lacks."""

LENGTH = (0.55, 2.0)
"""The range for all other scripts."""

SISTERS = ({"id", "ms"},)
"""Languages whose short texts the identifier cannot distinguish. Either one is accepted."""

_PLACEHOLDER = re.compile(r"\{[^{}]*\}|%[sd]|<[^<>]+>|\[[A-Z_]+\]|https?://\S+")
_NUMBER = re.compile(r"\d+")
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_SPELLED = {
    **{word: str(value) for value, word in enumerate(_WORDS.split())},  # numbers in words
    "once": "1",
    "twice": "2",
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "hundred": "100",
}


class Finding(NamedTuple):
    """A check that a text does not pass, and a message with the fix."""

    check: str
    message: str


def text_findings(text: str, english: str, code: str, identified: str | None) -> Iterator[Finding]:
    """The checks that `text`, in the language `code`, does not pass. `identified` is the language that an identifier
    recognises, or None."""
    if unicodedata.normalize("NFC", text) != text:
        yield Finding("nfc", "is not in Unicode normal form C; normalise it")
    if text != " ".join(text.split()):
        yield Finding("spaces", "has white space at an end, or more than one space between words; remove it")
    if code != "en" and _bare(text) == _bare(english):
        yield Finding("untranslated", "is still the English text; translate it")
        return  # the script and the language are wrong for the same reason
    yield from _letters(text, code)
    if Counter(_PLACEHOLDER.findall(text)) != Counter(_PLACEHOLDER.findall(english)):
        yield Finding("placeholders", "has other placeholders or links than the English text; copy them unchanged")
    yield from _numbers(text, english)
    low, high = LENGTHS.get(LANGUAGES[code].script, LENGTH)
    ratio = len(text) / len(english)
    if not low <= ratio <= high:
        yield Finding(
            "length", f"is {ratio:.2f} times as long as the English text, not {low} to {high}; is it complete?"
        )
    if identified is not None and identified != code and not any({identified, code} <= pair for pair in SISTERS):
        yield Finding("language", f"looks like {LANGUAGES[identified].name}; is it {LANGUAGES[code].name}?")


def _bare(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _letters(text: str, code: str) -> Iterator[Finding]:
    script = LANGUAGES[code].script
    letters = [character for character in text if unicodedata.category(character).startswith("L")]
    proper = sum(unicodedata.name(letter, "").startswith(_SCRIPTS[script]) for letter in letters)
    if 2 * proper <= len(letters):
        yield Finding(
            "script", f"has {proper} letters of {len(letters)} in the script {script}; write it in "
            f"{LANGUAGES[code].name}",
        )  # fmt: skip
    for word in re.findall(r"[^\W\d_]+", text):
        names = [unicodedata.name(letter, "") for letter in word]
        if sum(any(name.startswith(script) for name in names) for script in _LOOK_ALIKE) > 1:
            yield Finding("letters", f"mixes scripts in the word '{word}'; use the letters of one script")


def _western(number: str) -> str:
    """A number in the digits of any script, converted to the digits 0 to 9 without leading zeros."""
    return "".join(str(unicodedata.decimal(digit)) for digit in number).lstrip("0") or "0"


def _numbers(text: str, english: str) -> Iterator[Finding]:
    """Compares numbers in digits of any script: those that the original lacks, and those of the original that are
    missing."""
    own = [_western(number) for number in _NUMBER.findall(text)]
    digits = [_western(number) for number in _NUMBER.findall(english)]
    spelled = [_SPELLED[word] for word in re.findall(r"[a-z]+", english.lower()) if word in _SPELLED]
    missing = Counter(digits) - Counter(own)
    added = Counter(own) - Counter(digits) - Counter(spelled)
    if missing or added:
        differences = [f"lacks {', '.join(missing)}"] if missing else []
        differences += [f"has {', '.join(added)}"] if added else []
        yield Finding("numbers", f"{' and '.join(differences)}, unlike the English text; are its numbers the same?")

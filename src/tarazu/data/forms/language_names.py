"""The codes of languages that data sets call by name."""

from __future__ import annotations

import re

from tarazu.languages import LANGUAGES

_OTHER_NAMES = {
    "farsi": "fa",
    "filipino": "tl",
    "fil": "tl",
    "iw": "he",
    "mandarin": "zh",
    "castilian": "es",
    "haitian": "ht",
    "myanmar": "my",
    "panjabi": "pa",
}
"""Names and codes that are in use beside those of `tarazu languages`."""

_CODES = {
    name.casefold(): code
    for code, language in LANGUAGES.items()
    for name in (code, language.iso639_3, language.name, language.endonym)
}
_QUALIFIER = re.compile(r"\s*\(.*\)$")


def language_code(name: str) -> str | None:
    """The code of a language called by its code, its ISO 639-3 code, its English name or its own name; None if unknown.

    A qualifier in parentheses is ignored: "Chinese (Simplified)" is Chinese.
    """
    plain = _QUALIFIER.sub("", name.strip()).casefold()
    return _CODES.get(plain) or _OTHER_NAMES.get(plain)

"""Identifies the language of a text offline with py3langid, whose model is part of its package (extra `health`).

docs/health.md compares it with other identifiers. It knows 49 of the 50 languages (not Wolof) and always chooses among
all of them, so that its result for a text does not depend on the study.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from tarazu.errors import MissingExtra
from tarazu.languages import LANGUAGES

PACKAGE = "py3langid"

_FIRST = 128
"""The number of bytes that are examined. More bytes are slower and hardly more reliable."""

_FEWEST = 12
"""Bytes of letters that a text needs to be identified: 12 Latin letters, 4 Chinese or Indic ones."""


def is_installed() -> bool:
    """Whether the identifier is installed."""
    return find_spec(PACKAGE) is not None


def installed_version() -> str | None:
    """The identifier's version, or None if it is not installed."""
    return version(PACKAGE) if is_installed() else None


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise MissingExtra("health", PACKAGE) from None
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages([code for code in LANGUAGES if code in identifier.labels])
    return identifier


@cache
def covered() -> frozenset[str]:
    """Codes of the languages, of the 50, that the identifier knows. Raises MissingExtra if it is not installed."""
    return frozenset(_identifier().labels) & frozenset(LANGUAGES)


def identify(texts: Iterable[str]) -> Mapping[str, str | None]:
    """The language of each distinct text, or None if a text has too few letters.

    Raises MissingExtra if the identifier is not installed.
    """
    identifier = _identifier()
    heads = {text: text.encode("utf-8", "surrogatepass")[:_FIRST] for text in set(texts)}
    return {text: identifier.classify(head)[0] if _is_enough(head) else None for text, head in heads.items()}


def _is_enough(head: bytes) -> bool:
    letters = filter(str.isalpha, head.decode("utf-8", "ignore"))
    return len("".join(letters).encode()) >= _FEWEST

"""Which language a text is in, by an offline identifier: py3langid, whose model comes in its package (extra `health`).

docs/health.md compares it with others. It knows 49 of the 50 languages (no Wolof) and is asked to choose among those
alone, so that what it says of a text does not hang on the study.
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
"""Bytes that are looked at: more of them make it slower and hardly surer."""

_FEWEST = 12
"""Bytes of letters (12 Latin ones, 4 Chinese or Indic ones) from which on a text is identified."""


def is_installed() -> bool:
    """Whether the identifier is there."""
    return find_spec(PACKAGE) is not None


def installed_version() -> str | None:
    """The identifier's version; None where it is not installed."""
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
    """Codes of the languages that the identifier knows, of the 50. Raises MissingExtra where it is not installed."""
    return frozenset(_identifier().labels) & frozenset(LANGUAGES)


def identify(texts: Iterable[str]) -> Mapping[str, str | None]:
    """The language of each distinct text; None where a text has too few letters to tell.

    Raises MissingExtra where the identifier is not installed.
    """
    identifier = _identifier()
    heads = {text: text.encode("utf-8", "surrogatepass")[:_FIRST] for text in set(texts)}
    return {text: identifier.classify(head)[0] if _is_enough(head) else None for text, head in heads.items()}


def _is_enough(head: bytes) -> bool:
    letters = filter(str.isalpha, head.decode("utf-8", "ignore"))
    return len("".join(letters).encode()) >= _FEWEST

"""Blocks of a document's text, in the order in which they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BODY: Final = 1_000
"""Level of text that is not a heading. It is below every heading."""
UNSEEN_MARK: Final = "\ufffc"
"""Stands in the text where other text was that a reader may or may not see. No quotation contains it."""


@dataclass(frozen=True)
class Block:
    """A piece of text with its level: 1 for a title, 2 below it, and so on; `BODY` for text.

    `unseen` says why a reader may not see the text; empty if nothing speaks against it."""

    level: int
    text: str
    unseen: str = ""


def names(text: str) -> frozenset[str]:
    """Names that a text lists, separated by spaces."""
    return frozenset(text.split())

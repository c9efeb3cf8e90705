"""Numbers in words."""

from __future__ import annotations

UNDEFINED = "not defined"


def p_words(value: float | None) -> str:
    """A p-value after the letter p."""
    if value is None:
        return UNDEFINED
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"

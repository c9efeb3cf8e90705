"""Numbers and untrusted text, as they are displayed."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from tarazu.errors import visible

MINUS = "\N{MINUS SIGN}"
LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
"""The special characters of TeX, as text."""
_NARROW = "\N{NARROW NO-BREAK SPACE}"


def shown(value: Any) -> Any:
    """What Jinja calls on each value before it escapes it: no plain text reaches the page unseen."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def embedded_json(value: Any) -> Markup:
    """JSON that can stand inside <script>: no character of it can end the element or break a line of JavaScript."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def number(value: float | None, digits: int = 1) -> str:
    """A rate or reward: one decimal, a proper minus sign, no minus zero."""
    if value is None:
        return "not defined"
    text = f"{value:.{digits}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def signed(value: float | None, digits: int = 1) -> str:
    """A difference, with its sign."""
    text = number(value, digits)
    return text if value is None or text.startswith(MINUS) or not text.strip("0.") else f"+{text}"


def count(value: int | None) -> str:
    """A count, in groups of three digits."""
    return "not defined" if value is None else f"{value:,}".replace(",", _NARROW)


def p_value(value: float | None) -> str:
    """A p value: three decimals, and never 0."""
    if value is None:
        return "not defined"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """[low, high], or nothing where either end is missing."""
    return "" if low is None or high is None else f"[{number(low, digits)}, {number(high, digits)}]"


def pointer(*parts: str) -> str:
    """A JSON pointer (RFC 6901) into results.json: what a number on the page is the rounding of."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def plain(value: Any) -> str:
    """A setting's value as one line."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)

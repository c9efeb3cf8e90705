"""Colours of text and background, and whether a reader can see the difference."""

from __future__ import annotations

import colorsys
import re
from typing import Final

from tarazu.record.claims.blocks import names

Colour = tuple[float, float, float]
"""Red, green and blue, from 0 to 1."""

WHITE: Final[Colour] = (1.0, 1.0, 1.0)
BLACK: Final[Colour] = (0.0, 0.0, 0.0)
_LEAST_CONTRAST: Final = 1.5
_FAINTEST: Final = 0.4
_NAMES: Final = {
    "black": 0x000000, "silver": 0xC0C0C0, "gray": 0x808080, "grey": 0x808080, "white": 0xFFFFFF, "maroon": 0x800000,
    "red": 0xFF0000, "purple": 0x800080, "fuchsia": 0xFF00FF, "magenta": 0xFF00FF, "green": 0x008000, "lime": 0x00FF00,
    "olive": 0x808000, "yellow": 0xFFFF00, "navy": 0x000080, "blue": 0x0000FF, "teal": 0x008080, "aqua": 0x00FFFF,
    "cyan": 0x00FFFF, "orange": 0xFFA500, "brown": 0xA52A2A, "pink": 0xFFC0CB, "gold": 0xFFD700, "crimson": 0xDC143C,
    "darkblue": 0x00008B, "darkred": 0x8B0000, "darkgreen": 0x006400, "darkgray": 0xA9A9A9, "darkgrey": 0xA9A9A9,
    "dimgray": 0x696969, "dimgrey": 0x696969, "lightgray": 0xD3D3D3, "lightgrey": 0xD3D3D3, "lightblue": 0xADD8E6,
    "lightyellow": 0xFFFFE0, "whitesmoke": 0xF5F5F5, "ivory": 0xFFFFF0, "snow": 0xFFFAFA, "steelblue": 0x4682B4,
    "slategray": 0x708090, "indigo": 0x4B0082, "violet": 0xEE82EE, "tomato": 0xFF6347, "royalblue": 0x4169E1,
    "canvas": 0xFFFFFF, "canvastext": 0x000000, "linktext": 0x0000EE,
}  # fmt: skip
_NOT_COLOURS: Final = names(
    "repeat no-repeat repeat-x repeat-y scroll fixed local center left right top bottom cover contain border-box "
    "padding-box content-box none"
)


def colours_of(value: str) -> list[Colour]:
    """The colour in a value of `color` or `background`, as a list of one; empty if there is none that is known.

    Images, gradients, variables and faint colours are not known: what is seen depends on what is behind or in them.
    """
    found: list[Colour] = []
    for word in re.findall(r"[-\w#%.]+(?:\([^()]*\))?|\S", value):
        if word in _NOT_COLOURS or re.fullmatch(r"/|,|-?[\d.]+(px|em|rem|%)?", word):
            continue
        colour = _colour(word)
        if colour is None:
            return []
        found.append(colour)
    return found if len(found) == 1 else []


def differ(text: Colour, background: Colour) -> bool:
    """Whether a reader can tell the two apart: the contrast ratio of WCAG is at least 1.5."""
    light, dark = sorted((_luminance(text), _luminance(background)), reverse=True)
    return (light + 0.05) / (dark + 0.05) >= _LEAST_CONTRAST


def _colour(word: str) -> Colour | None:
    if word in _NAMES:
        return _rgb(f"{_NAMES[word]:06x}")
    if match := re.fullmatch(r"#([0-9a-f]{6})([0-9a-f]{2})?", word):
        return _rgb(match[1]) if match[2] is None or int(match[2], 16) >= 255 * _FAINTEST else None
    if match := re.fullmatch(r"#([0-9a-f])([0-9a-f])([0-9a-f])([0-9a-f])?", word):
        faint = match[4] is not None and int(match[4], 16) < 15 * _FAINTEST
        return None if faint else _rgb("".join(2 * match[place] for place in (1, 2, 3)))
    if match := re.fullmatch(r"(rgb|hsl)a?\(([^()]*)\)", word):
        return _of_function(match[1], re.split(r"[\s,/]+", match[2].strip()))
    return None


def _of_function(kind: str, parts: list[str]) -> Colour | None:
    numbers = [re.fullmatch(r"([\d.]+)(%|deg)?", part) for part in parts]
    if len(parts) not in (3, 4) or not all(numbers):
        return None
    values = [(float(match[1]), match[2] or "") for match in numbers if match and re.fullmatch(r"\d*\.?\d+", match[1])]
    if len(values) != len(parts):
        return None
    if len(values) == 4 and values[3][0] / (100 if values[3][1] == "%" else 1) < _FAINTEST:
        return None
    if kind == "hsl":
        return colorsys.hls_to_rgb(values[0][0] / 360 % 1, min(1, values[2][0] / 100), min(1, values[1][0] / 100))
    red, green, blue = (min(1.0, value / (100 if unit == "%" else 255)) for value, unit in values[:3])
    return red, green, blue


def _rgb(digits: str) -> Colour:
    return int(digits[:2], 16) / 255, int(digits[2:4], 16) / 255, int(digits[4:], 16) / 255


def _luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

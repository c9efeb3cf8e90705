"""Whether a style can hide text from a reader, or show other words than the text has.

Style sheets have too many ways of hiding text to list them. So this is a list of what is known to leave text as it is;
with any other property or value, a reader may not see the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tarazu.record.claims.blocks import names
from tarazu.record.claims.html.colours import colours_of

Declarations = Mapping[str, list[str]]
"""The values of each property, from all rules that apply. Which of them wins is not decided: each must do."""

SMALLEST: Final = 5.0
"""Pixels. Smaller letters cannot be read."""
_HARMLESS: Final = names(
    "accent-color align-content align-items align-self appearance aspect-ratio border-collapse border-spacing "
    "box-shadow box-sizing break-after break-before break-inside border caption-side caret-color clear color- "
    "scheme cursor direction empty-cells fill float gap hanging-punctuation height hyphens image-rendering "
    "isolation justify-content justify-items justify-self letter-spacing line-break line-height list-style max- "
    "height max-width min-height min-width object-fit object-position order orphans overscroll-behavior page "
    "place-content place-items pointer-events position quotes resize row-gap stroke tab-size table-layout text- "
    "overflow text-rendering text-shadow touch-action user-select vertical-align white-space widows width will- "
    "change word-break word-wrap writing-mode z-index speak"
)
_HARMLESS_PREFIXES: Final = (
    *("border-", "outline", "text-align", "text-decoration-", "text-emphasis", "text-underline", "flex", "font-weight"),
    *("font-style", "font-family", "font-variant", "font-kerning", "font-stretch", "font-synthesis", "font-display"),
    *("font-feature-settings", "font-optical-sizing"),
    *(
        "grid",
        "column",
        "list-style-",
        "overflow-wrap",
        "page-break-",
        "counter-",
        "scroll",
        "transition",
        "text-size-adjust",
    ),
    *(
        "hyphenate-",
        "text-wrap",
        "font-smoothing",
        "osx-font-smoothing",
        "box-orient",
        "box-align",
        "box-pack",
        "box-flex",
    ),
    *("tap-highlight-color", "overflow-scrolling", "overflow-style", "print-color-adjust", "forced-color-adjust"),
)
_PIXELS: Final = {
    "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "q": 0.945, "em": 16.0, "rem": 16.0,
    "ex": 8.0, "ch": 8.0, "lh": 19.0, "rlh": 19.0, "vw": 3.9, "vh": 6.0, "vmin": 3.9, "vmax": 6.0, "svh": 6.0,
    "dvh": 6.0, "%": 3.9, "": 1.0,
}  # fmt: skip
"""Pixels of a unit: of relative ones at an ordinary size of letters, on a narrow screen."""
_TELLING: Final = names(
    "color text-fill-color font font-size font-family display position content height max-height line-clamp width "
    "white-space"
)
_SIZES: Final = names("xx-small x-small small medium large x-large xx-large xxx-large smaller larger")
_KEYWORDS: Final = names("inherit initial unset revert revert-layer auto normal none") | {""}
_LENGTH = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)([a-z]*|%)")
_SHIFT = re.compile(r"translate\(([^,()]+),?([^,()]*)\)")
_SCALE = re.compile(r"scale\(([\d.]+),?([\d.]*)\)")
INLINE_DISPLAYS: Final = names("inline contents ruby math inline-block inline-flex inline-table")
_DISPLAYS: Final = INLINE_DISPLAYS | names(
    "block flex grid inline-grid flow-root list-item table table-row table-cell table-row-group table-header- "
    "group table-footer-group table-column table-column-group table-caption -webkit-box -webkit-flex -ms-flexbox "
    "-webkit-inline-box"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """An element, as far as it decides what a style does."""

    name: str


TEXT: Final = r"\\.|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|\burl\(\s*(?![\s\"'])(?:\\.|[^)\\])*\)?"
"""What is text in CSS, whatever it contains: escapes, quotations and addresses."""


def declarations(text: str) -> Iterator[tuple[str, str]]:
    """The declarations of a style attribute, as property and value in lower case, escapes resolved.

    Every semicolon ends one. One within brackets does not in browsers, which then see fewer declarations.
    """
    start = 0
    for match in re.finditer(rf"{TEXT}|;|\Z", text, re.DOTALL | re.IGNORECASE):
        if match[0] in (";", ""):
            yield from declaration(text[start : match.start()])
            start = match.end()


def declaration(text: str) -> Iterator[tuple[str, str]]:
    """The declaration in a text, if it has one."""
    name, colon, value = text.partition(":")
    name = unescaped(name).strip().lower()
    if colon and re.fullmatch(r"[-a-z0-9\u0080-\U0010ffff][-\w]*", name):  # no other is a property
        yield name, re.sub(r"!\s*important\s*$", "", unescaped(value).strip().lower()).strip()


def without_comments(text: str) -> str:
    """CSS with /**/ in place of each comment: a comment separates words, but not as white space does."""
    return _TEXT_OR_COMMENT.sub(lambda match: match[1] or "/**/", text)


_TEXT_OR_COMMENT: Final = re.compile(rf"({TEXT})|/\*.*?(?:\*/|\Z)", re.DOTALL | re.IGNORECASE)


def unescaped(text: str) -> str:
    """CSS with its escapes resolved (\\64 is d), and without the marks of its comments."""
    text = text.replace("/**/", "")
    text = re.sub(r"\\([0-9a-fA-F]{1,6})\s?", lambda match: _letter(int(match[1], 16)), text)
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _letter(code: int) -> str:
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


def unseen_by(styles: Declarations, place: Place) -> str | None:
    """The declaration with which a reader may not see an element's text, or None if all are known to leave it."""
    for name, values in styles.items():
        for value in values:
            if not _leaves_text(name, value, place):
                return f"{name}: {value[:60]}"
    if _has(styles, ("overflow", "overflow-x", "overflow-y"), ("hidden", "clip")):
        for name in ("height", "max-height", "line-clamp"):
            if any(value not in _KEYWORDS and value != "100%" for value in styles.get(name, ())):
                return f"overflow: hidden with {name}"
        if any(_pixels(value) is not None and _pixels(value) < 40 for value in styles.get("width", ())):  # type: ignore[operator]
            return "overflow: hidden with width"
        if _has(styles, ("white-space",), ("nowrap", "pre")):
            return "overflow: hidden with white-space: nowrap"
    return None


def matters(name: str, value: str) -> bool:
    """Whether a declaration can make a difference, alone or beside others: most of a style sheet cannot."""
    plain = re.sub(r"^-(webkit|moz|ms|o|khtml|epub)-", "", name)
    return (
        plain in _TELLING
        or plain.startswith(("background", "overflow"))
        or "var(" in value
        or not _leaves_text(name, value, Place(name=""))
    )


def letter_size(styles: Declarations, parent: float) -> float | None:
    """The size of an element's letters in pixels, the smallest of those that its rules give; None if not known."""
    sizes = [parent]
    given = [*styles.get("font-size", ()), *(_size_in_font(value) for value in styles.get("font", ()))]
    for value in given:
        size = _font_size(value, parent)
        if size is None:
            return None
        sizes.append(size)
    return min(sizes[1:], default=parent)


def _size_in_font(value: str) -> str:
    """The size in a value of the shorthand `font`."""
    for word in value.replace("/", " ").split():
        if word in _SIZES or (_LENGTH.fullmatch(word) and not re.fullmatch("[1-9]00", word)):
            return word
    return "inherit"


def _font_size(value: str, parent: float) -> float | None:
    if value in _KEYWORDS:
        return parent
    if value in _SIZES:
        return {"smaller": parent * 0.83, "larger": parent * 1.2}.get(value, 9.0)
    if match := re.fullmatch(r"clamp\(([^,()]+),.*", value):
        value = match[1].strip()
    match = _LENGTH.fullmatch(value)
    if match is None:
        return None
    scale = {"em": parent, "%": parent / 100, "ex": parent / 2, "ch": parent / 2, "lh": parent}.get(
        match[2], _PIXELS.get(match[2])
    )
    return None if scale is None else float(match[1]) * scale


def _leaves_text(name: str, value: str, place: Place) -> bool:
    """Whether text with this declaration is seen as it is. `font-size` and colours are checked elsewhere."""
    if name.startswith("--") or value in ("inherit", "initial", "unset", "revert"):
        return True
    name = re.sub(r"^-(webkit|moz|ms|o|khtml|epub)-", "", name)
    if name in ("color", "text-fill-color", "background", "background-color"):
        nothing = (
            ("currentcolor", "") if name == "color" or "fill" in name else ("none", "transparent", "currentcolor", "")
        )
        return bool(colours_of(value)) or value in nothing
    if name.startswith("background-"):
        return name != "background-image" or value == "none"
    if name in ("font-size", "font"):
        return True  # letter_size
    if name == "display":
        return value in _DISPLAYS
    if name in ("visibility", "content-visibility"):
        return value in ("visible", "auto")
    if name in ("opacity", "zoom"):
        share = _share(value)
        return value == "normal" or (share is not None and share >= 0.4)
    if name.startswith("overflow"):
        return True  # unseen_by
    if name.startswith("margin"):
        return all(_within(word, -40, 10_000) for word in value.split())
    if name in ("left", "right", "top", "bottom") or name.startswith("inset"):
        return all(_within(word, -60, 200) for word in value.split())
    if name.startswith("padding"):
        return all(_within(word, 0, 1000) for word in value.split())
    if name == "text-indent":
        return all(_within(word, -80, 160) for word in value.split())
    if name == "letter-spacing":
        return _within(value, -2, 8)
    if name == "line-height":
        return place.name in ("sub", "sup") or value in _KEYWORDS or _leads(value)
    if name == "z-index":
        return not value.startswith("-")
    if name == "text-transform":
        return value in ("none", "capitalize", "uppercase", "lowercase")
    if name in ("text-decoration", "text-decoration-line"):
        return "line-through" not in value
    if name == "unicode-bidi":
        return "override" not in value
    if name in (
        "transform",
        "animation",
        "animation-name",
        "clip",
        "clip-path",
        "mask",
        "filter",
        "contain",
        "mix-blend-mode",
    ):
        return value in ("none", "auto", "normal") or (name == "transform" and _small_transform(value))
    return name in _HARMLESS or name.startswith(_HARMLESS_PREFIXES)


def _small_transform(value: str) -> bool:
    """Whether a transform only scales a little, as LaTeXML does for wide tables."""
    shift, scale = _SHIFT.search(value), _SCALE.search(value)
    rest = _SCALE.sub("", _SHIFT.sub("", value)).strip()
    moves = [part for part in (shift.groups() if shift else ()) if part]
    factors = [float(part) for part in (scale.groups() if scale else ()) if re.fullmatch(r"\d*\.?\d+", part)]
    return (
        not rest and all(_within(part.strip(), -80, 80) for part in moves) and all(0.5 <= one <= 2 for one in factors)
    )


def _leads(value: str) -> bool:
    match = _LENGTH.fullmatch(value)
    if match is None:
        return False
    return float(match[1]) >= {"": 0.8, "em": 0.8, "rem": 0.5, "%": 80}.get(match[2], 5)


def _share(value: str) -> float | None:
    match = re.fullmatch(r"(\d*\.?\d+)(%?)", value)
    return None if match is None else float(match[1]) / (100 if match[2] else 1)


def _within(value: str, least: float, most: float) -> bool:
    pixels = _pixels(value)
    return value in _KEYWORDS or (pixels is not None and least <= pixels <= most)


def _pixels(value: str) -> float | None:
    match = _LENGTH.fullmatch(value)
    scale = _PIXELS.get(match[2]) if match else None
    return None if match is None or scale is None else float(match[1]) * scale


def _has(styles: Declarations, names: tuple[str, ...], values: tuple[str, ...]) -> bool:
    return any(word in values for name in names for value in styles.get(name, ()) for word in value.split())

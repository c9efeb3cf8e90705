"""The text that a reader of an HTML document sees, and the text of which that is not known, with the reason.

Elements, attributes and styles are seen only if they are known to be. Nothing is fetched or executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from tarazu.record.claims.blocks import BODY, UNSEEN_MARK, Block, names
from tarazu.record.claims.html.colours import BLACK, WHITE, Colour, colours_of, differ
from tarazu.record.claims.html.markup import normalised
from tarazu.record.claims.html.mathml import math_text
from tarazu.record.claims.html.sheets import Elements, Rule, Sheet, TooManyRules, read_sheets
from tarazu.record.claims.html.styles import (
    INLINE_DISPLAYS,
    SMALLEST,
    Place,
    declarations,
    letter_size,
    matters,
    unseen_by,
    without_comments,
)

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_INLINE = names(
    "a abbr acronym b big bdi cite code data dfn em font i ins kbd label mark nobr q rb rt rtc ruby samp small "
    "span strong sub sup time tt u var output math"
)
_BLOCKS = names(
    "html body main article section header footer nav aside address div p hgroup blockquote pre ul ol li dl dt dd "
    "figure figcaption table caption colgroup col thead tbody tfoot tr td th center menu details summary fieldset "
    "legend form button search hr br"
)
_SEEN = _INLINE | _BLOCKS | set(_HEADINGS)
_NEVER = names("head template svg img video audio canvas picture wbr meta link base param")
"""Elements without text on the page: what stands around them is read on."""
_EXPONENT = re.compile(r"[-−–+]?\d{1,3}")
_SYMBOL_FONTS = re.compile(r"webdings|wingdings|\bsymbol\b|dingbats", re.IGNORECASE)


@dataclass(frozen=True)
class _State:
    """What an element hands on to those in it: why a reader may not see its text, the size of its letters, and the
    colours of text and background under each condition of the style sheets (None where one is not known)."""

    unseen: str | None
    size: float
    colours: dict[str, tuple[Colour | None, ...]]
    grounds: dict[str, tuple[Colour | None, ...]]


def html_blocks(text: str, where: str) -> tuple[list[Block], str]:
    """The blocks of a document, and what about it is not known, in one line; empty if nothing.

    `where` is the document's name. Raises BadInput for HTML that is not clear.
    """
    from bs4 import BeautifulSoup

    normal = normalised(text, where)
    soup = BeautifulSoup(normal.html, "html.parser")
    page = _Page(soup, normal.sheets)
    page.read()
    linked = any("stylesheet" in str(link.get("rel", "")).lower() for link in soup.find_all("link"))
    unknown = [
        *(["style sheets or fonts that are not in the record"] if linked or page.sheet.imports else []),
        *(["scripts, which were not run"] if normal.scripts else []),
        *(["parts that are laid over others"] if page.overlays else []),
    ]
    return page.blocks, f"it has {', and '.join(unknown)}" if unknown else ""


class _Page:
    def __init__(self, soup: Any, sheets: list[str]) -> None:
        self.soup = soup
        self.blocks: list[Block] = []
        self.overlays = False
        self._pieces: list[str] = []
        self._heading = False
        self._rules: dict[int, list[tuple[Rule, bool]]] = {}
        self._too_many = False
        self.sheet = Sheet(rules=(), imports=False)
        try:
            self.sheet = read_sheets(sheets)
            elements = Elements(soup) if self.sheet.rules else None
            for rule in map(_telling, self.sheet.rules):
                for element, generated in elements.of(rule) if elements and rule.declarations else ():
                    self._rules.setdefault(id(element), []).append((rule, generated))
        except TooManyRules:
            self._too_many = True
        self._variables: dict[str, list[str]] = {}
        inline = (
            pair for tag in soup.find_all(style=True) for pair in declarations(without_comments(str(tag["style"])))
        )
        for name, value in (*(pair for rule in self.sheet.rules for pair in rule.declarations), *inline):
            if name.startswith("--"):
                self._variables.setdefault(name, []).append(value)
        media = {
            rule.media
            for rule in self.sheet.rules
            for name, _ in rule.declarations
            if "color" in name or "background" in name
        }
        self._media = ("", *sorted(media - {""}))

    def read(self) -> None:
        start = _State(
            unseen="its style sheets have too many rules" if self._too_many else None,
            size=16.0,
            colours=dict.fromkeys(self._media, (BLACK,)),
            grounds=dict.fromkeys(self._media, (WHITE,)),
        )
        for element in self.soup.find_all(True, recursive=False):
            self._element(element, start)
        self._flush(BODY)

    def _flush(self, level: int) -> None:
        self.blocks.append(Block(level, "".join(self._pieces)))
        self._pieces = []

    # --- the walk

    def _element(self, tag: Any, above: _State) -> None:
        if tag.name in _NEVER:
            return
        state, block = self._styled(tag, above)
        if tag.name == "math":
            self._say(math_text(tag, lambda one: self._styled(one, state)[0].unseen), state)
            return
        heading = tag.name in _HEADINGS and not self._heading
        if heading:
            self._flush(BODY)
            self._heading = True
        if block:
            self._pieces.append(" ")
        begin = len(self._pieces)
        self._children(tag, state)
        if tag.name in ("sup", "sub"):
            self._script(tag.name, begin)
        if block:
            self._pieces.append(" ")
        if heading:
            self._heading = False
            self._flush(int(tag.name[1]))

    def _children(self, tag: Any, state: _State) -> None:
        summary = tag.find("summary", recursive=False) if tag.name == "details" and not tag.has_attr("open") else tag
        closed = (
            state
            if summary is tag
            else _State(state.unseen or "closed <details>", state.size, state.colours, state.grounds)
        )
        for child in tag.children:
            if isinstance(child, str):
                self._say(str(child), closed)
            else:
                self._element(child, state if child is summary else closed)

    def _say(self, text: str, state: _State) -> None:
        if state.unseen is None:
            self._pieces.append(text)
        elif text.strip():
            self.blocks.append(Block(BODY, text, unseen=state.unseen))
            # Where a reader may see a text, what stands around it does not belong together.
            self._pieces.append("" if state.unseen in _LEFT_OUT else UNSEEN_MARK)

    def _script(self, name: str, begin: int) -> None:
        """A superscript or subscript behind a number is not part of the number: 105 is another number than 10^5."""
        text = "".join(self._pieces[begin:]).strip()
        before = "".join(self._pieces[max(0, begin - 8) : begin]).rstrip()[-1:]
        del self._pieces[begin:]
        mark = "^" if name == "sup" else "_"
        if _EXPONENT.fullmatch(text):
            apart = mark if before.isdigit() or before in (")", "]", "}") else "" if before.isalpha() else " "
        else:
            apart = mark if before.isdigit() and text.isalnum() and text not in ("st", "nd", "rd", "th") else ""
        self._pieces.append(f"{apart}{text}")

    # --- what a reader sees

    def _styled(self, tag: Any, above: _State) -> tuple[_State, bool]:
        """An element's state, and whether it stands apart from the text around it."""
        rules = self._rules.get(id(tag), [])
        own = [("", name, value) for name, value in _presentation(tag)]
        own += [("", name, value) for name, value in declarations(without_comments(str(tag.get("style", ""))))]
        own += [(rule.media, *pair) for rule, generated in rules if not generated for pair in rule.declarations]
        resolved = [(media, name, one) for media, name, value in own for one in self._resolve(value)]
        styles: dict[str, list[str]] = {}
        for _, name, value in resolved:
            styles.setdefault(name, []).append(value)
        size = letter_size(styles, above.size)
        colours = self._inherited(resolved, ("color", "-webkit-text-fill-color"), above.colours)
        grounds = self._inherited(resolved, ("background", "background-color"), above.grounds)
        unseen = (
            above.unseen
            or _unseen_element(tag, styles)
            or _as_style(unseen_by(styles, Place(name=tag.name)), resolved)
            or ("style 'font-size'" if size is None or size < SMALLEST else None)
            or ("style 'font-family'" if any(map(_SYMBOL_FONTS.search, styles.get("font-family", ()))) else None)
            or next((f"text that a style adds: {text[:40]}" for text in _added(rules)), None)
            or self._unclear_colour(colours, grounds)
        )
        laid_over = {"absolute", "fixed", "sticky"} & set(styles.get("position", ()))
        self.overlays |= bool(laid_over and ("background" in styles or "background-color" in styles))
        block = tag.name not in _INLINE or any(value not in INLINE_DISPLAYS for value in styles.get("display", ()))
        return _State(unseen, size or above.size, colours, grounds), block

    def _inherited(
        self, styles: list[tuple[str, str, str]], names: tuple[str, ...], above: dict[str, tuple[Colour | None, ...]]
    ) -> dict[str, tuple[Colour | None, ...]]:
        given: dict[str, list[Colour | None]] = {}
        for media, name, value in styles:
            if name in names and value not in (
                "inherit",
                "transparent",
                "none",
                "currentcolor",
                "initial",
                "unset",
                "",
            ):
                given.setdefault(media, []).append(next(iter(colours_of(value)), None))
        if not given:
            return above
        return {media: tuple(given.get(media) or given.get("") or above[media]) for media in self._media}

    def _unclear_colour(
        self, colours: dict[str, tuple[Colour | None, ...]], grounds: dict[str, tuple[Colour | None, ...]]
    ) -> str | None:
        for media in self._media:
            for colour in colours[media]:
                for ground in grounds[media]:
                    if colour is None or ground is None:
                        return "a colour that is not known"
                    if not differ(colour, ground):
                        return "letters in the colour of their background"
        return None

    def _resolve(self, value: str) -> list[str]:
        """A value with each of the values that its variables have anywhere in the document."""
        values = [value]
        for _ in range(4):
            if not any("var(" in one for one in values):
                break
            values = [expanded for one in values for expanded in self._expanded(one)][:32]
        return values

    def _expanded(self, value: str) -> Iterator[str]:
        match = re.search(r"var\(\s*(--[-\w]+)\s*(?:,((?:[^()]|\([^()]*\))*))?\)", value)
        if match is None:
            yield value
            return
        given = [*self._variables.get(match[1], ()), *([match[2].strip()] if match[2] else [])]
        for one in dict.fromkeys(given or ["unknown"]):
            yield value[: match.start()] + one + value[match.end() :]


def _telling(rule: Rule) -> Rule:
    """A rule with only those of its declarations that can make a difference."""
    return replace(rule, declarations=tuple(pair for pair in rule.declarations if matters(*pair)))


_LEFT_OUT: Final = frozenset(("style 'display: none'", "attribute 'hidden'"))


def _as_style(declaration: str | None, styles: list[tuple[str, str, str]]) -> str | None:
    if declaration is None:
        return None
    displays = {(media, value) for media, name, value in styles if name == "display"}
    doubt = " under a condition" if declaration == "display: none" and displays != {("", "none")} else ""
    return f"style '{declaration}'{doubt}"


def _unseen_element(tag: Any, styles: dict[str, list[str]]) -> str | None:
    """Why an element's text may not be seen, by its name and its attributes."""
    if tag.has_attr("hidden"):
        return "attribute 'hidden'" + (" and a style that may show it" if "display" in styles else "")
    if tag.has_attr("popover"):
        return "attribute 'popover'"
    if tag.find("template", recursive=False, attrs={"shadowrootmode": True}) is not None:
        return "a shadow root, which replaces it"
    return None if tag.name in _SEEN else f"element <{tag.name.removeprefix('x-')}>"


def _presentation(tag: Any) -> Iterator[tuple[str, str]]:
    """Attributes that say what styles say."""
    for attribute, name in (
        *(("color", "color"), ("text", "color"), ("bgcolor", "background-color"), ("background", "background")),
        *(
            ("mathcolor", "color"),
            ("mathbackground", "background-color"),
            ("mathsize", "font-size"),
            ("face", "font-family"),
        ),
    ):
        if tag.has_attr(attribute):
            value = str(tag[attribute]).strip().lower()
            yield name, f"#{value}" if re.fullmatch("[0-9a-f]{6}", value) else value


def _added(rules: list[tuple[Rule, bool]]) -> Iterator[str]:
    """Words, figures and signs that a style sheet puts before or behind an element's text."""
    for rule, generated in rules:
        for name, value in rule.declarations:
            if name != "content" or value in ("none", "normal", '""', "''"):
                continue
            quoted = re.fullmatch(
                r"(\"[^\"]*\"|'[^']*'|\s|counters?\([^()]*\)|(open|close|no-open|no-close)-quote)*", value
            )
            text = "".join(re.findall(r"\"[^\"]*\"|'[^']*'", value))
            if (
                not generated
                or not quoted
                or re.search(r"\w|[-<>=%+^/~|\u2030-\u2034\u2190-\u22ff\u00ac\u00b1\u00d7\u00f7]", text)
            ):
                yield value

"""Read HTML as browsers do, as far as it decides which text a reader sees.

Browsers repair what is not well-formed by rules of their own (the HTML standard, section 13.2). This scanner follows
them or, where that would take more than a few lines, keeps an element open for longer: text in it then counts as text
that a reader may not see. The result is well-formed HTML that every parser reads alike. What browsers could read
otherwise is refused.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tarazu.errors import BadInput
from tarazu.record.claims.blocks import names

MOST_DEPTH: Final = 150
"""Browsers nest at most 512 elements. Pages of journals nest some 30."""
_VOID = names("area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr")
_NOT_VOID = names("command event-source image isindex menuitem nextid spacer")
"""Elements that some parsers end where they begin, unlike browsers."""
_FORMATTING = names("a b big code em font i nobr s small strike strong tt u")
_KEEP_FORMATTING = names("applet caption marquee object td template th")
"""Elements at whose end the ones of _FORMATTING in them end for good."""
_RAW = names("script style iframe noembed noframes noscript xmp textarea title plaintext")
_IN_HEAD = names("base link meta title script style noscript template")
_ENDS = names(
    "address article aside blockquote button center details dialog dir div dl fieldset figcaption figure footer form "
    "header hgroup listing main menu nav ol pre search section select summary ul p li dd dt h1 h2 h3 h4 h5 h6 applet "
    "marquee object table tbody td tfoot th thead tr caption colgroup template head"
)
"""Elements whose end tags also end what is open in them."""
_SPECIAL = _ENDS - {"dialog"} | names("body html hr")
"""Elements that the end tag of another element outside of them does not end."""
_SCOPES = names("applet caption html table td th marquee object template select")
_FOREIGN_SPECIAL = names("mi mo mn ms mtext annotation-xml foreignobject desc title")
_TABLE = names("table tbody td tfoot th thead tr caption colgroup col")
_CLOSES_P = names(
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form h1 "
    "h2 h3 h4 h5 h6 header hgroup hr main menu nav ol p pre search section ul li dd dt listing"
)
_SIBLINGS = {
    "li": names("li"),
    "option": names("option"),
    "optgroup": names("option optgroup"),
    **dict.fromkeys(("dd", "dt"), names("dd dt")),
    **dict.fromkeys(names("h1 h2 h3 h4 h5 h6"), names("h1 h2 h3 h4 h5 h6")),
}
"""What an element ends if it begins directly in it."""
_CONTEXTS = names("table tr tbody thead tfoot colgroup td th caption template")
_ROWS = {"tr": names("tbody thead tfoot table template"), "td": names("tr template"), "th": names("tr template")}
"""In which elements a part of a table belongs: what is open in them ends. For other parts, it is the table."""
_OUT_OF_FOREIGN = names(
    "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu "
    "meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var font"
)
_OF_HTML_FONTS = names("color face size")
"""Attributes of which a <font> has one that leaves SVG or MathML."""
_BACK_TO_HTML = names("mi mo mn ms mtext foreignobject desc title")
_ATTRIBUTE = r"""([^\s"'<>/=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'=<>`][^\s"'<>`]*+)))?+"""
_START = re.compile(rf"<([a-zA-Z][^\s/>]*+)((?:[\s/]*+{_ATTRIBUTE})*+)[\s/]*+>")
_PAIR = re.compile(_ATTRIBUTE)
_END = re.compile(r"</([a-zA-Z][^\s/>]*)\s*>")


@dataclass
class _Open:
    name: str
    attributes: dict[str, str]
    foreign: bool = False


@dataclass
class Normal:
    """Well-formed HTML, without scripts and comments; the texts of its style sheets; whether it has scripts."""

    html: str
    sheets: list[str]
    scripts: bool


def normalised(text: str, where: str) -> Normal:
    """Read HTML as browsers do. `where` is the document's name. Raises BadInput, with the line, if it is not clear."""
    return _Scanner(text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd"), where).read()


@dataclass
class _Scanner:
    text: str
    where: str
    at: int = 0
    out: list[str] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    outer: dict[str, dict[str, str]] = field(default_factory=lambda: {"html": {}, "body": {}})
    sheets: list[str] = field(default_factory=list)
    scripts: bool = False

    def read(self) -> Normal:
        for start in iter(self._next_mark, -1):
            self._text(self.text[self.at : start])
            self.at = start
            self._mark()
        self._text(self.text[self.at :])
        while self.stack:
            self._pop()
        begin = "".join(_tag(name, attributes) for name, attributes in self.outer.items())
        return Normal(html=f"{begin}{''.join(self.out)}</body></html>", sheets=self.sheets, scripts=self.scripts)

    def _next_mark(self) -> int:
        return self.text.find("<", self.at)

    def _mark(self) -> None:
        """Read what begins with `<`."""
        text, at = self.text, self.at
        if text.startswith("<!--", at):
            self.at = _end_of_comment(text, at + 4)
        elif text.startswith("<![CDATA[", at) and self._in_foreign():
            end = text.find("]]>", at)
            self._text(text[at + 9 : end if end >= 0 else len(text)], raw=True)
            self.at = end + 3 if end >= 0 else len(text)
        elif re.match(r"<[!?]|</[^a-zA-Z]", text[at : at + 3]):
            end = text.find(">", at + 2)
            self.at = end + 1 if end >= 0 else len(text)
        elif re.match(r"</[a-zA-Z]", text[at : at + 3]):
            match = _END.match(text, at) or self._refuse()
            self.at = match.end()
            self._end(match[1].lower())
        elif re.match(r"<[a-zA-Z]", text[at : at + 2]):
            match = _START.match(text, at) or self._refuse()
            self.at = match.end()
            attributes: dict[str, str] = {}
            for pair in _PAIR.finditer(match[2]):
                value = next((part for part in pair.groups()[1:] if part is not None), "")
                attributes.setdefault(pair[1].lower(), html.unescape(value))
            self._start(match[1].lower(), attributes, closed=match[0].endswith("/>"))
        else:
            self._text("<")
            self.at += 1

    def _place(self) -> str:
        line = self.text.count("\n", 0, self.at) + 1
        return f"{self.where}: line {line}"

    def _refuse(self) -> re.Match[str]:
        shown = " ".join(self.text[self.at : self.at + 40].split())
        raise BadInput(
            f"{self._place()}: {shown!r} is not well-formed, so browsers may show another text; save it again"
        )

    def _start(self, name: str, attributes: dict[str, str], *, closed: bool) -> None:
        if name in ("html", "body"):
            # A second one adds its attributes to the first.
            self.outer[name] = attributes | self.outer[name]
            return
        if name == "frameset":
            raise BadInput(f"{self.where}: consists of frames; give the document in the frame")
        if self._in_foreign() and name in _OUT_OF_FOREIGN and (name != "font" or attributes.keys() & _OF_HTML_FONTS):
            while self._in_foreign():
                self._pop()
        foreign = self._in_foreign() or name in ("svg", "math")
        if not foreign:
            if self.stack and self.stack[-1].name == "head" and name not in _IN_HEAD:
                self._pop()
            if name in _TABLE and not self._begin_part_of_table(name):
                return
            if name == "form" and any(element.name == "form" for element in self.stack):
                return
            if name == "select" and any(element.name == "select" for element in self.stack):
                self._end(name)
                return
            if name in ("a", "nobr", "button"):
                self._end(name)
            if self.stack and name in _CLOSES_P and self.stack[-1].name == "p":
                self._pop()
            if self.stack and self.stack[-1].name in _SIBLINGS.get(name, ()):
                self._pop()
            if name in _RAW:
                self._raw(name)
                return
            if name in _VOID or name == "image":
                self.out.append(_tag("img" if name == "image" else name, attributes))
                return
        self._push(_Open(name, attributes, foreign))
        if foreign and closed:
            self._pop()
        elif foreign and name == "style":
            end = re.compile("</style", re.IGNORECASE).search(self.text, self.at)
            self.sheets.append(html.unescape(self.text[self.at : end.start() if end else len(self.text)]))

    def _raw(self, name: str) -> None:
        """Pass over an element with text that is not HTML. No reader sees it."""
        end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(self.text, self.at)
        content = self.text[self.at : end.start() if end and name != "plaintext" else len(self.text)]
        self.scripts |= name == "script"
        if name == "script" and re.search(r"<!--.*<script", content, re.IGNORECASE | re.DOTALL):
            self._refuse()
        if name == "style":
            self.sheets.append(content)
        self.at += len(content)
        if name not in ("script", "style", "title"):
            self.out.append(f"<x-{name}></x-{name}>")
        if end and name != "plaintext":
            match = _END.match(self.text, self.at) or self._refuse()
            self.at = match.end()

    def _end(self, name: str) -> None:
        if name in ("html", "body"):
            return  # what follows still belongs to the elements that are open
        if name in ("br", "p"):
            while self._in_foreign():
                self._pop()
        if name == "br":
            self.out.append("<br>")
            return
        at = self._matching(name)
        if at is None:
            return
        again = list[_Open]()
        while len(self.stack) > at:
            element = self._pop()
            if len(self.stack) > at and element.name in _FORMATTING and not element.foreign:
                again.append(element)
        for element in reversed(again):  # browsers begin them again in what follows
            same = sum(other.name == element.name and other.attributes == element.attributes for other in self.stack)
            if same < 3:
                self._push(element)

    def _matching(self, name: str) -> int | None:
        """The place on the stack of the element that an end tag closes. None if browsers ignore the tag, or if they may
        leave some element between open."""
        for place in range(len(self.stack) - 1, -1, -1):  # tags of SVG and MathML end elements of theirs
            if not self.stack[place].foreign:
                break
            if self.stack[place].name == name:
                return place
        scopes = _SCOPES | {"p": {"button"}, "li": {"ul", "ol"}}.get(name, set())
        for place in range(len(self.stack) - 1, -1, -1):
            element = self.stack[place]
            special = element.name in (_FOREIGN_SPECIAL if element.foreign else _SPECIAL)
            if element.name == name and not element.foreign:
                return place if name != "form" or place == len(self.stack) - 1 else None
            if name == "p" and special:
                return None  # it had ended before
            if name in _TABLE and element.name in _TABLE and name != "caption":
                if element.name == "table":
                    return None
            elif element.name in scopes or (special and (element.foreign or name not in _ENDS)):
                return None
        return None

    def _push(self, element: _Open) -> None:
        if len(self.stack) >= MOST_DEPTH:
            raise BadInput(f"{self.where}: has elements nested more than {MOST_DEPTH} deep; save it again")
        self.stack.append(element)
        self.out.append(_tag(_written(element.name), element.attributes))

    def _pop(self) -> _Open:
        element = self.stack.pop()
        self.out.append(f"</{_written(element.name)}>")
        return element

    def _in_foreign(self) -> bool:
        """Whether the next tag is one of SVG or MathML."""
        if not self.stack or not self.stack[-1].foreign:
            return False
        top = self.stack[-1]
        if top.name == "annotation-xml":
            return top.attributes.get("encoding", "").lower() not in ("text/html", "application/xhtml+xml")
        return top.name not in _BACK_TO_HTML

    def _begin_part_of_table(self, name: str) -> bool:
        """End what a part of a table ends where it begins. False if browsers pass over it, since no table is open."""
        nearest = next((one.name for one in reversed(self.stack) if one.name in _CONTEXTS), "")
        if name == "table":
            if nearest in ("table", "tr", "tbody", "thead", "tfoot", "colgroup"):
                self._pop_to(names("table"))
                self._pop()
            return True
        if not any(one.name in ("table", "template") for one in self.stack):
            return False
        self._pop_to(_ROWS.get(name, frozenset()) | {"table", "template"})
        return True

    def _pop_to(self, places: frozenset[str]) -> None:
        """End what is open in these elements. Raises BadInput if it has elements like <b> outside of a cell: browsers
        begin these again in text that follows, wherever that stands."""
        begun_again = ""
        while self.stack[-1].name not in places:
            element = self._pop()
            if element.name in _FORMATTING and not element.foreign:
                begun_again = element.name
            elif element.name in _KEEP_FORMATTING:
                begun_again = ""
        if begun_again:
            raise BadInput(
                f"{self._place()}: a table begins or goes on in <{begun_again}>, which has no end, so "
                "browsers may show another text; save it again"
            )

    def _text(self, text: str, *, raw: bool = False) -> None:
        if text:
            self.out.append(html.escape(text if raw else html.unescape(text)))


def _written(name: str) -> str:
    """The name under which the next parser does not treat an element as one of a kind of its own."""
    plain = re.fullmatch("[a-z][-a-z0-9]*", name) and name not in _RAW and name not in _NOT_VOID
    return name if plain else "x-" + re.sub("[^a-z0-9]", "", name)


def _tag(name: str, attributes: dict[str, str]) -> str:
    return f"<{name}{''.join(_attributes(attributes))}>"


def _attributes(attributes: dict[str, str]) -> Iterator[str]:
    for key, value in attributes.items():
        if re.fullmatch(r"[-_:a-z0-9.]+", key):
            yield f' {key}="{html.escape(value)}"'


def _end_of_comment(text: str, at: int) -> int:
    """Where a comment ends whose text begins at `at`."""
    match = re.compile(r"-?>").match(text, at) or re.compile(r"--!?>").search(text, at)
    return match.end() if match else len(text)

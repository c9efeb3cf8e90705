"""Read the style sheets of an HTML document, and find the elements to which their rules apply.

The rules are few: blocks are taken apart, selectors go to soupsieve. What the sheet says under a condition (`@media`,
`@supports`) counts as said. A selector that soupsieve does not know counts as one for all elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tarazu.record.claims.html.styles import declarations, split, unescaped, without_comments

MOST_RULES: Final = 5_000
_NOT_OF_ELEMENTS: Final = (
    "font-face",
    "page",
    "keyframes",
    "charset",
    "namespace",
    "counter-style",
    "property",
    "font-feature-values",
)
_GENERATED: Final = re.compile(r"::?(-webkit-|-moz-)?(before|after)\b.*$", re.DOTALL)
_ASIDE: Final = re.compile(
    r"::?(-(webkit|moz|ms)-[-\w]+|selection|marker|placeholder|backdrop|file-selector-button|cue|spelling-error|grammar-error)"
    r"(\([^()]*\))?"
)
"""Parts of a page that are not text of an element."""


_MARK: Final = re.compile(
    r"\\.|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|url\(\s*[^\"'()\s][^()]*\)|[{};]", re.DOTALL | re.IGNORECASE
)
"""Escapes, texts and addresses, which may contain marks, and the marks that part rules and declarations."""


@dataclass(frozen=True)
class Rule:
    """A selector with its declarations. `media` is the condition under which it applies, empty for always."""

    media: str
    selector: str
    declarations: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sheet:
    """The rules of a document's style sheets, and what they take from elsewhere."""

    rules: tuple[Rule, ...]
    imports: bool


def read_sheets(texts: list[str]) -> Sheet:
    """The rules in the texts of all <style> elements."""
    clean = [without_comments(text).replace("<!--", " ").replace("-->", " ") for text in texts]
    return Sheet(
        rules=tuple(rule for text in clean for rule in _rules(text, "", "")),
        imports=any(re.search(r"@import|@font-face", unescaped(text), re.IGNORECASE) for text in clean),
    )


def _rules(text: str, media: str, parent: str) -> Iterator[Rule]:
    """The rules of a sheet or of a block. `parent` is the selector of the rule that they are nested in."""
    plain = list[str]()
    for prelude, block in _blocks(text):
        if block is None:
            plain.append(prelude)
            continue
        name = re.match(r"@(?:-\w+-)?([-\w]+)", unescaped(prelude).strip())
        if name is None:
            yield from _rules(block, media, _nested(prelude.strip(), parent))
        elif name[1].lower() not in _NOT_OF_ELEMENTS:
            yield from _rules(block, f"{media} {prelude.strip()}".strip(), parent)
    own = tuple(declarations(";".join(plain)))
    if own and parent:
        yield Rule(media, parent, own)


def _blocks(text: str) -> Iterator[tuple[str, str | None]]:
    """What stands before each block, with the block; each declaration, with None."""
    depth, start, opening = 0, 0, 0
    for match in _MARK.finditer(text):
        mark = match[0]
        if mark == "{":
            opening = match.start() if depth == 0 else opening
            depth += 1
        elif mark == "}" and depth > 0:
            depth -= 1
            if depth == 0:
                yield text[start:opening], text[opening + 1 : match.start()]
                start = match.end()
        elif depth == 0 and mark in (";", "}"):
            yield text[start : match.start()], None
            start = match.end()
    if depth:
        yield text[start:opening], text[opening + 1 :]
    else:
        yield text[start:], None


def _nested(selector: str, parent: str) -> str:
    selector = selector.replace("/**/", "")
    if not parent:
        return selector
    return selector.replace("&", f":is({parent})") if "&" in selector else f":is({parent}) {selector}"


def applied(soup: Any, sheet: Sheet) -> Iterator[tuple[Any, Rule, bool]]:
    """Each element with each rule that applies to it, and whether it is a rule for text that is added to it."""
    for rule in sheet.rules:
        for selector in split(rule.selector, ","):
            selector = selector.strip()
            generated = _GENERATED.search(selector) is not None
            if not generated and _ASIDE.search(selector):
                continue
            for element in _selected(soup, _GENERATED.sub("", selector) or "*"):
                yield element, rule, generated


def _selected(soup: Any, selector: str) -> list[Any]:
    from soupsieve import SelectorSyntaxError

    # Without a pseudo-class that is not known, a selector applies to more elements.
    for attempt in (selector, re.sub(r"::?first-(line|letter)\b", "", selector), _without_pseudo(selector)):
        try:
            return list(soup.select(attempt))
        except (SelectorSyntaxError, NotImplementedError, ValueError, TypeError, RecursionError):
            continue
    return list(soup.find_all(True))


def _without_pseudo(selector: str) -> str:
    while (shorter := re.sub(r"::?[-\w]+(\([^()]*\))?", "", selector)) != selector:
        selector = shorter
    return selector.strip() or "*"

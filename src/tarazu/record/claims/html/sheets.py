"""Read the style sheets of an HTML document, and find the elements to which their rules apply.

The rules are few: blocks are taken apart, selectors go to soupsieve. What the sheet says under a condition (`@media`,
`@supports`) counts as said. A selector that soupsieve does not know counts as one for all elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tarazu.record.claims.html.styles import TEXT, declaration, unescaped, without_comments

MOST_RULES: Final = 5_000
_MOST_NESTED: Final = 12
_LONGEST_SELECTOR: Final = 300
_MOST_COMPARED: Final = 1_000_000
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


_MARK: Final = re.compile(rf"{TEXT}|[{{}};]", re.DOTALL | re.IGNORECASE)
"""What separates rules and declarations, and texts, which may contain the same marks."""


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
    """The rules in the texts of all <style> elements. Raises TooManyRules."""
    clean = [without_comments(text).replace("<!--", " ").replace("-->", " ") for text in texts]
    rules = tuple(rule for text in clean for rule in _rules(text, "", ""))
    if len(rules) > MOST_RULES:
        raise TooManyRules
    return Sheet(
        rules=rules,
        imports=any(re.search(r"@import|@font-face", unescaped(text), re.IGNORECASE) for text in clean),
    )


def _rules(text: str, media: str, parent: str, depth: int = 0) -> Iterator[Rule]:
    """The rules of a sheet or of a block. `parent` is the selector of the rule that they are nested in.

    Raises TooManyRules.
    """
    if depth > _MOST_NESTED:
        raise TooManyRules
    plain = list[str]()
    for prelude, block in _blocks(text):
        if block is None:
            plain.append(prelude)
            continue
        name = re.match(r"@(?:-\w+-)?([-\w]+)", unescaped(prelude).strip())
        if name is None:
            yield from _rules(block, media, _nested(prelude.strip(), parent), depth + 1)
        elif name[1].lower() not in _NOT_OF_ELEMENTS:
            yield from _rules(block, f"{media} {prelude.strip()}".strip(), parent, depth + 1)
    own = tuple(pair for text in plain for pair in declaration(text))
    if own and (parent or media):
        yield Rule(media, parent or "*", own)


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
        return selector.replace("&", "*")
    return selector.replace("&", f":is({parent})") if "&" in selector else f":is({parent}) {selector}"


class TooManyRules(Exception):
    """The style sheets would take too long to apply."""


class Elements:
    """A document's elements, for the selectors of its style sheets."""

    def __init__(self, soup: Any) -> None:
        self._soup = soup
        self._all = list(soup.find_all(True))
        self._by: dict[str, list[Any]] = {}
        self._compared = 0
        for element in self._all:
            classes = element.get("class", ())
            for key in {element.name, *(f".{one}" for one in ([classes] if isinstance(classes, str) else classes))}:
                self._by.setdefault(key, []).append(element)
            if element.has_attr("id"):
                self._by.setdefault(f"#{element['id']}", []).append(element)

    def of(self, rule: Rule) -> Iterator[tuple[Any, bool]]:
        """Each element to which a rule applies, and whether it is a rule for text that is added to it.

        Raises TooManyRules.
        """
        for part in _selectors(rule.selector):
            selector = part.strip()
            generated = _GENERATED.search(selector) is not None
            if not generated and _ASIDE.search(selector):
                continue
            for element in self._selected(_GENERATED.sub("", selector) or "*"):
                yield element, generated

    def _selected(self, selector: str) -> list[Any]:
        from soupsieve import SelectorSyntaxError, compile

        simple = re.fullmatch(r"([a-z][a-z0-9]*|)([.#][-\w]+)?", selector)
        if simple and selector:
            found = self._by.get(simple[2] or simple[1], [])
            return [one for one in found if one.name == simple[1]] if simple[1] and simple[2] else found
        if len(selector) > _LONGEST_SELECTOR:
            return self._all
        # Without a pseudo-class that is not known, a selector applies to more elements.
        for attempt in (selector, re.sub(r"::?first-(line|letter)\b", "", selector), _without_pseudo(selector)):
            try:
                matches = compile(attempt).match
                candidates = self._candidates(attempt)
                self._compared += len(candidates)
                if self._compared > _MOST_COMPARED:
                    raise TooManyRules
                return [element for element in candidates if matches(element)]
            except (SelectorSyntaxError, NotImplementedError, ValueError, TypeError, RecursionError):
                continue
        return self._all

    def _candidates(self, selector: str) -> list[Any]:
        """The elements that the last part of a selector names by class, id or name."""
        last = re.search(r"(?:^|[\s>+~])([a-z][a-z0-9]*|)([.#][-\w]+)?$", selector)
        key = (last[2] or last[1]) if last else ""
        return self._by.get(key, []) if key and not re.search(r"[\\\"'(\[]", selector) else self._all


def _selectors(text: str) -> list[str]:
    """The selectors of a list, which commas separate outside brackets."""
    parts, depth, start = list[str](), 0, 0
    for match in re.finditer(rf"{TEXT}|[()\[\],]", text, re.DOTALL):
        depth += (match[0] in "([") - (match[0] in ")]")
        if match[0] == "," and depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


def _without_pseudo(selector: str) -> str:
    while (shorter := re.sub(r"::?[-\w]+(\([^()]*\))?", "", selector)) != selector:
        selector = shorter
    return selector.strip() or "*"

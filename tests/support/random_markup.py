"""Random HTML that is not well-formed, with one text that a browser may or may not show."""

from __future__ import annotations

import random

TEXT = "words that are quoted here"
_TAGS = [
    "div",
    "p",
    "span",
    "b",
    "a",
    "i",
    "font",
    "ul",
    "li",
    "table",
    "tr",
    "td",
    "th",
    "form",
    "section",
    "h1",
    "h2",
    "svg",
    "math",
    "mi",
    "mtext",
    "foreignObject",
    "title",
    "desc",
    "details",
    "summary",
    "dialog",
    "template",
    "select",
    "option",
    "button",
    "object",
    "iframe",
    "noscript",
    "textarea",
    "style",
    "script",
    "xmp",
    "center",
    "em",
    "dl",
    "dd",
    "dt",
    "nobr",
    "ruby",
    "rp",
    "rt",
    "annotation-xml",
    "caption",
    "tbody",
    "head",
    "body",
    "html",
    "label",
    "fieldset",
    "col",
    "br",
    "img",
    "input",
    "hr",
    "frameset",
    "plaintext",
    "noembed",
    "video",
    "marquee",
]
_ATTRIBUTES = ("", "", "", "", " hidden", " hidden", ' style="display:none"', ' class="x"', " open", " popover")
_ODDITIES = ("<!-->", "<!-- --!>", "-->", "<![CDATA[", "]]>", "<?x", "</ div>", "<!x>", "<!-- x", " >")


def random_markup(draw: random.Random) -> str:
    pieces, count = [], draw.randint(3, 14)
    place = draw.randrange(count)
    names = draw.sample(_TAGS, draw.randint(2, 6))
    for number in range(count):
        if number == place:
            pieces.append(TEXT)
        name, kind = draw.choice(names), draw.random()
        if kind < 0.5:
            pieces.append(f"<{name}{draw.choice(_ATTRIBUTES)}{draw.choice(('', '', '', '/'))}>")
        elif kind < 0.9:
            pieces.append(f"</{name}{draw.choice(('', '', '', ' '))}>")
        else:
            pieces.append(draw.choice((*_ODDITIES, *["text "] * 10)))
    return draw.choice(("<!DOCTYPE html>", "")) + "".join(pieces)

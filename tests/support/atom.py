"""Rules of RFC 4287 (sections 3 and 4) for an Atom feed, checked on its XML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_NS = "{http://www.w3.org/2005/Atom}"
_ONE = {"feed": ("id", "title", "updated"), "entry": ("id", "title", "updated")}
_AT_MOST_ONE = {
    "feed": ("generator", "icon", "logo", "rights", "subtitle"),
    "entry": ("content", "published", "rights", "source", "summary"),
}
_MANY = ("author", "category", "contributor", "link")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def faults(text: str, address: str) -> list[str]:
    """What is wrong with the feed that is at `address`."""
    root = ElementTree.fromstring(text)
    if root.tag != f"{_NS}feed":
        return [f"the root is {root.tag}"]
    return [*_of(root, "feed", address)]


def _of(parent: Element, kind: str, address: str) -> Iterator[str]:
    names = [child.tag.removeprefix(_NS) for child in parent]
    allowed = {*_ONE[kind], *_AT_MOST_ONE[kind], *_MANY, *(["entry"] if kind == "feed" else [])}
    yield from (f"{kind} has {name}" for name in names if name not in allowed)
    yield from (f"{kind} has {names.count(name)} of {name}" for name in _ONE[kind] if names.count(name) != 1)
    yield from (f"{kind} has several of {name}" for name in _AT_MOST_ONE[kind] if names.count(name) > 1)
    for child in parent:
        name = child.tag.removeprefix(_NS)
        content = child.text or ""
        if name == "id" and (not urlsplit(content).scheme or content != content.strip() or " " in content):
            yield f"{kind}: id {content!r} is no absolute IRI"
        if name in ("updated", "published") and not (_MOMENT.fullmatch(content) and datetime.fromisoformat(content)):
            yield f"{kind}: {name} {content!r} is no date of RFC 3339"
        if name in ("title", "summary") and child.get("type", "text") == "text" and len(child):
            yield f"{kind}: {name} is text with elements in it"
        if name == "author" and [one.tag for one in child] != [f"{_NS}name"]:
            yield f"{kind}: an author without a name"
        if name == "category" and not child.get("term"):
            yield f"{kind}: a category without a term"
        if name == "link" and not urlsplit(urljoin(address, child.get("href", ""))).scheme:
            yield f"{kind}: a link that leads nowhere"
    alternates = [
        (one.get("type"), one.get("hreflang")) for one in parent.iter(f"{_NS}link")
        if one in list(parent) and one.get("rel", "alternate") == "alternate"
    ]  # fmt: skip
    if len(set(alternates)) < len(alternates):
        yield f"{kind}: two alternate links of one type"
    has_content = "content" in names or bool(alternates)
    if kind == "entry" and not has_content:
        yield "entry: neither content nor an alternate link"
    if kind == "feed":
        entries = parent.findall(f"{_NS}entry")
        if "author" not in names and any(one.find(f"{_NS}author") is None for one in entries):
            yield "feed: an entry without an author"
        for one in entries:
            yield from _of(one, "entry", address)
        pairs = [(one.findtext(f"{_NS}id"), one.findtext(f"{_NS}updated")) for one in entries]
        if len(set(pairs)) < len(pairs):
            yield "feed: two entries with one id and one time"

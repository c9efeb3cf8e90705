"""Atom feeds (RFC 4287) of the newest and newly corrected records: of the site, and of each of its lists."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from xml.etree import ElementTree

from tarazu.errors import visible
from tarazu.site.pages import Listing
from tarazu.site.summary import Entry

FEED: Final = "feed.xml"
NEWEST: Final = 50
"""Number of records in a feed."""
_ATOM: Final = "http://www.w3.org/2005/Atom"
_NEVER: Final = "1970-01-01T00:00:00Z"
_SITE: Final = uuid.UUID("7c1a3a5e-3c34-5a54-9c0f-2f4c6b0d9f11")


def feeds(
    records: Sequence[Entry], listings: Mapping[str, Sequence[Listing]], url: str | None
) -> Iterator[tuple[str, str]]:
    """The path and text of each feed. `url` is the site's address; without it, links are relative to the feed."""
    yield FEED, _feed(records, "Tarazu records", FEED, "index.html", url)
    for kind in listings.values():
        for one in kind:
            yield (
                f"by/{one.feed}",
                _feed(one.records, f"{one.heading} – Tarazu records", f"by/{one.feed}", f"by/{one.page(1)}", url),
            )


def _feed(records: Sequence[Entry], title: str, path: str, page: str, url: str | None) -> str:
    """`path` is the feed's path from the site's root, and `page` that of the list that it is about."""
    ElementTree.register_namespace("", _ATOM)
    root = ElementTree.Element(f"{{{_ATOM}}}feed")
    base = f"{url.rstrip('/')}/" if url else "../" * path.count("/")
    newest = sorted(records, key=lambda one: (one.updated, one.summary.srch_id), reverse=True)[:NEWEST]
    # An id must stay, and no two feeds may have one. Without an address, it is the same for all sites.
    _add(root, "id", f"{base}{path}" if url else uuid.uuid5(_SITE, path).urn)
    _add(root, "title", title)
    _add(root, "updated", newest[0].updated if newest else _NEVER)
    _add(root, "link", rel="self", type="application/atom+xml", href=f"{base}{path}")
    _add(root, "link", rel="alternate", type="text/html", href=f"{base}{page}")
    for one in newest:
        summary = one.summary
        entry = ElementTree.SubElement(root, f"{{{_ATOM}}}entry")
        _add(entry, "id", f"urn:uuid:{summary.id}")
        _add(entry, "title", summary.title)
        _add(entry, "published", f"{summary.submitted}T00:00:00Z")
        _add(entry, "updated", one.updated)
        _add(entry, "link", rel="alternate", type="text/html", href=f"{base}{summary.page}")
        for name in summary.authors or ("anonymous",):
            author = ElementTree.SubElement(entry, f"{{{_ATOM}}}author")
            _add(author, "name", name)
        for language in summary.languages:
            _add(entry, "category", term=language)
        status = f"{summary.gate_status}, L{summary.verification_level}, review {summary.review_score:.2f}/10. "
        _add(entry, "summary", status + summary.abstract)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> None:
    # XML does not allow control characters, not even escaped ones.
    shown = {key: visible(value) for key, value in attributes.items()}
    element = ElementTree.SubElement(parent, f"{{{_ATOM}}}{name}", shown)
    element.text = visible(text) or None

"""An Atom feed (RFC 4287) of the newest records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree

from tarazu.report.text import visible
from tarazu.site.publish import Published

NEWEST: Final = 50
_ATOM: Final = "http://www.w3.org/2005/Atom"


def feed(records: Sequence[Published], url: str | None) -> str:
    """The feed of the first records of the list. Addresses are relative where the site's own is not known."""
    ElementTree.register_namespace("", _ATOM)
    root = ElementTree.Element(f"{{{_ATOM}}}feed")
    base = f"{url.rstrip('/')}/" if url else ""
    _add(root, "id", base or "urn:tarazu:site")
    _add(root, "title", "Tarazu records")
    _add(root, "updated", max((one.updated for one in records), default="1970-01-01T00:00:00Z"))
    _add(root, "link", rel="self", href=f"{base}feed.xml")
    _add(root, "link", href=f"{base}index.html")
    for one in records[:NEWEST]:
        summary = one.summary
        entry = ElementTree.SubElement(root, f"{{{_ATOM}}}entry")
        _add(entry, "id", f"urn:uuid:{summary.id}")
        _add(entry, "title", summary.title)
        _add(entry, "updated", one.updated)
        _add(entry, "link", href=f"{base}{summary.page}")
        for name in summary.authors or ("anonymous",):
            author = ElementTree.SubElement(entry, f"{{{_ATOM}}}author")
            _add(author, "name", name)
        told = f"{summary.gate_status}, L{summary.verification_level}, review {summary.review_score:.2f}/10. "
        _add(entry, "summary", told + summary.abstract)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> None:
    element = ElementTree.SubElement(parent, f"{{{_ATOM}}}{name}", attributes)
    # XML has no control characters, not even escaped ones.
    element.text = visible(text) or None

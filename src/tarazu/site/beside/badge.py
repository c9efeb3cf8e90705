"""A record's badge: an SVG that says what the gate found and at which level, in words and with a mark, not by colour.

It holds no text of a record, only words of the gate, the level's number and the SRCH id.
"""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from tarazu.record.contracts import GateStatus
from tarazu.site.summary import Summary

BADGE: Final = "badge.svg"
_MARKS: Final[dict[GateStatus, tuple[str, str]]] = {
    "VERIFIED": ("#00664b", "M1 6.5l3.5 3.5L11 2.5"),
    "FALSIFIED": ("#b3261e", "M2 2l8 8M10 2l-8 8"),
    "UNVERIFIED": ("#55585e", "M6 1.5a4.5 4.5 0 1 0 .01 0z"),
}
"""Colour and mark of each status: a tick, a cross, a ring."""


def badge_words(summary: Summary) -> str:
    return f"{summary.gate_status.capitalize()}, L{summary.verification_level}"


def badge(summary: Summary) -> Markup:
    """The badge as SVG."""
    left, right = f"SRCH {summary.srch_id}", badge_words(summary)
    colour, mark = _MARKS[summary.gate_status]
    first, second = _width(left) + 16, _width(right) + 34
    name = f"badge-{summary.srch_id}"
    spoken = f"Record {left}: gate {right} ({summary.verification_label})"
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{name}" width="{width:.0f}" height="22" '
        'viewBox="0 0 {width:.0f} 22"><title id="{name}">{spoken}</title>'
        '<rect width="{width:.0f}" height="22" rx="3" fill="{colour}"/>'
        '<path d="M3 0h{first:.0f}v22H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#2b2d31"/>'
        '<path transform="translate({place:.0f} 5)" d="{mark}" fill="none" stroke="#fff" stroke-width="2"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">'
        '<text x="8" y="15" textLength="{left_width:.0f}" lengthAdjust="spacingAndGlyphs">{left}</text>'
        '<text x="{text:.0f}" y="15" textLength="{right_width:.0f}" lengthAdjust="spacingAndGlyphs">{right}</text>'
        "</g></svg>"
    ).format(
        name=name, width=first + second, spoken=spoken, colour=colour, first=first - 3, place=first + 7, mark=mark,
        left=left, left_width=_width(left), text=first + 25, right=right, right_width=_width(right),
    )  # fmt: skip


def _width(text: str) -> float:
    """About the width of a text. The text is fitted to it, whatever font the reader has."""
    return sum(3.6 if one in " ,filt" else 7.4 if one.isupper() or one.isdigit() else 6.6 for one in text)


def badge_markdown(summary: Summary, address: str | None) -> str:
    """Markdown that shows the badge with a link to the record. `address` is that of the record's page, if known."""
    page = address or f"https://ADDRESS/records/{summary.srch_id}/"
    return f"[![{badge_words(summary)}: record SRCH {summary.srch_id}]({page}{BADGE})]({page})"

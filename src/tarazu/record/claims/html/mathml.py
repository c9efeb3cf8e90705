"""Formulas in MathML as a line of text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from tarazu.record.claims.blocks import UNSEEN_MARK, names

_ROWS: Final = names(
    "math mrow mstyle mpadded mtable mtr mlabeledtr mtd merror mfenced mover munder munderover menclose mmultiscripts"
)
_TIGHT: Final = re.compile(r"[.,;:!%‰°′″()\[\]{}|'\u2061-\u2064]")


def math_text(tag: Any, unseen: Callable[[Any], str | None]) -> str:
    """The text of a formula. `unseen` says why a reader may not see the text of an element."""
    name = tag.name
    parts = [child for child in tag.children if not isinstance(child, str)]

    def text(place: int) -> str:
        return math_text(parts[place], unseen) if place < len(parts) else ""

    if name in ("annotation", "annotation-xml", "none", "mprescripts"):
        return ""
    if name == "mspace":
        return " "
    if name != "math" and (unseen_reason := _reason(tag, unseen)):
        return UNSEEN_MARK if unseen_reason and tag.get_text().strip() else ""
    if name in ("mi", "mn", "ms", "mtext"):
        return " ".join(tag.get_text().split())
    if name == "mo":
        sign = tag.get_text().strip()
        return re.sub("[\u2061-\u2064]", "", sign) if _TIGHT.fullmatch(sign) else f" {sign} "
    if name == "semantics":
        return text(0)
    if name in ("msup", "msubsup", "msub"):
        lower = text(1).strip() if name != "msup" else ""
        upper = text(2 if name == "msubsup" else 1).strip() if name != "msub" else ""
        base = text(0).strip()
        below = f"_{lower}" if lower and base[-1:].isdigit() else lower
        return f"{base}{below}" + (f"^{upper}" if upper else "")
    if name == "mfrac":
        return f"{text(0).strip()}/{text(1).strip()}"
    if name in ("msqrt", "mroot"):
        inner = "".join(text(place) for place in range(len(parts))) if name == "msqrt" else text(0)
        return f"√{inner.strip()}" if name == "msqrt" else f"{inner.strip()}^(1/{text(1).strip()})"
    if name in _ROWS:
        pieces = [text(place) for place in range(len(parts))]
        if parts and parts[0].name == "mo":
            pieces[0] = pieces[0].strip()  # a sign before what follows
        return (" " if name == "mtd" else "") + "".join(pieces)
    return UNSEEN_MARK if tag.get_text().strip() else ""


def _reason(tag: Any, unseen: Callable[[Any], str | None]) -> str | None:
    """Why a reader may not see an element of a formula. Elements of formulas are seen unless something hides them."""
    if tag.name in ("mphantom", "maction"):
        return tag.name
    if tag.name == "menclose" and "strike" in str(tag.get("notation", "")):
        return "strike"
    if tag.name == "mpadded" and any(tag.has_attr(one) for one in ("lspace", "voffset")):
        return "mpadded"
    reason = unseen(tag)
    return None if reason == f"element <{tag.name}>" else reason

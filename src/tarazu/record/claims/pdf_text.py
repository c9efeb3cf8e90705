"""The text of PDF files, by lines and fonts, without text that is known to be invisible.

The text of a PDF does not show what a reader sees: other text, images or shapes can cover it. So every passage that is
found in a PDF comes with that caveat.
"""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tarazu.errors import BadInput
from tarazu.record.claims.blocks import BODY, UNSEEN_MARK, Block
from tarazu.record.claims.pdf_ink import Ink, hidden_layers

MOST_PAGES = 2000
CAVEAT: Final = "it is a PDF, in which text can be covered, clipped or drawn as other letters"
_NUMBERED = re.compile(r"(\d+(?:\.\d+)*)\.?\s+\S")
_LARGER = 1.1
"""Least ratio of a heading's font size to the text's."""
_LONGEST_HEADING = 120


_SMALLEST = 2.0
"""Points. Smaller letters cannot be read."""


@dataclass(frozen=True, kw_only=True)
class _Piece:
    text: str
    size: float
    bold: bool
    unseen: str = ""


@dataclass(frozen=True, kw_only=True)
class _Line:
    text: str
    size: float
    bold: bool
    unseen: str = ""


def pdf_blocks(content: bytes, path: Path) -> tuple[list[Block], str]:
    """The blocks of a document, and what about it is not known. Raises BadInput for a file that cannot be read."""
    from pypdf import PdfReader

    # pypdf logs every defect that it repairs, and raises an exception for those that it cannot repair.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise BadInput(f"{path}: is encrypted; give a copy without a password")
        if len(reader.pages) > MOST_PAGES:
            raise BadInput(f"{path}: has {len(reader.pages)} pages; at most {MOST_PAGES} are read")
        hidden = hidden_layers(reader)
        lines = [line for page in reader.pages for line in _pdf_lines(page, hidden)]
    except BadInput:
        raise
    except Exception as error:
        # For broken files, pypdf raises exceptions of many types, including arithmetic errors of its own.
        raise BadInput(f"{path}: not a valid PDF ({type(error).__name__}: {error}); save it again") from None
    return list(_blocks(lines)), CAVEAT


def _pdf_lines(page: Any, hidden: frozenset[int]) -> Iterator[_Line]:
    """The page's lines, each with its largest font size in points and whether all of it is bold.

    Text that a reader does not see is a line of its own.
    """
    pieces: list[_Piece] = []
    ink = Ink(page, hidden)

    def visit(text: str, matrix: list[float], text_matrix: list[float], font: Any, size: float) -> None:
        scale = abs(text_matrix[3] or text_matrix[1]) * abs(matrix[3] or matrix[1])
        size = size * (scale or 1.0)
        name = str((font or {}).get("/BaseFont", ""))
        tiny = size < _SMALLEST and (font or {}).get("/Subtype") != "/Type3"
        unseen = ink.flush() or (f"letters of {size:.1f} points" if tiny else "")
        bold = "bold" in name.lower() or name.endswith(("-Bd", "BX", "Medi"))
        pieces.append(_Piece(text=text, size=size, bold=bold, unseen=unseen if text.strip() else ""))

    page.extract_text(visitor_text=visit, visitor_operand_before=ink.before, visitor_operand_after=ink.after)
    line: list[_Piece] = []
    for piece in pieces:
        if piece.unseen:
            yield _Line(text=piece.text, size=0.0, bold=False, unseen=piece.unseen)
            line.append(replace(piece, text=UNSEEN_MARK, unseen=""))
            continue
        first, *rest = piece.text.split("\n")
        line.append(replace(piece, text=first))
        for part in rest:
            yield from _line(line)
            line = [replace(piece, text=part)]
    yield from _line(line)


def _line(pieces: list[_Piece]) -> Iterator[_Line]:
    visible = [piece for piece in pieces if piece.text.strip()]
    if visible:
        yield _Line(
            text="".join(piece.text for piece in pieces),
            size=round(max(piece.size for piece in visible), 1),
            bold=all(piece.bold for piece in visible),
        )


def _blocks(lines: list[_Line]) -> Iterator[Block]:
    """A heading is a short line in a larger font than most of the text, or a bold line that does not end a sentence."""
    sizes = Counter[float]()
    for line in lines:
        sizes[line.size] += 0 if line.unseen else len(line.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    larger = sorted({line.size for line in lines if line.size >= _LARGER * body}, reverse=True)
    body_lines: list[str] = []
    for line in lines:
        if line.unseen:
            yield Block(BODY, line.text, unseen=line.unseen)
            continue
        text = line.text.strip()
        short = len(text) <= _LONGEST_HEADING and any(letter.isalpha() for letter in text)
        heading = short and (line.size in larger or (line.bold and not text.endswith((".", ",", ";", ":"))))
        if not heading:
            body_lines.append(text)
            continue
        yield Block(BODY, _joined(body_lines))
        body_lines = []
        number = _NUMBERED.match(text)
        depth = number[1].count(".") + 2 if number else (larger.index(line.size) + 1 if line.size in larger else 3)
        yield Block(depth, text)
    yield Block(BODY, _joined(body_lines))


def _joined(lines: list[str]) -> str:
    """Join lines into running text. A word that is hyphenated at the end of a line is rejoined.

    A quotation may still have the hyphen.
    """
    return re.sub(r"(?<=\w)[-\u00ad\u2010] ?\n(?=[^\W\d_])", _rejoined, "\n".join(lines))


def _rejoined(match: re.Match[str]) -> str:
    return "" if match.string[match.end()].islower() else match[0]

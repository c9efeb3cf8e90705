"""Read a source document (PDF, HTML, Markdown) as sections of plain text. Nothing is fetched or executed.

Documents can be hostile, so the gate parses them in its sandbox.
"""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tarazu.errors import BadInput
from tarazu.record.claims.numerals import GROUPING_SPACES
from tarazu.record.extra import require_records_extra

LARGEST = 64 * 2**20
"""Largest document that is read, in bytes."""
MOST_PAGES = 2000

_BODY = 1_000
"""Level of text that is not a heading. It is below every heading."""

_SPACES = re.compile(rf"(?<!\d)\s+|\s+(?!\d)|\s{{2,}}|[^\S{GROUPING_SPACES}]")
"""White space, but not a space that separates the thousands of a number."""

Block = tuple[int, str]
"""Level and text. The level is 1 for a title, 2 below it, and so on; `_BODY` for text."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, its level (from 1), and the text up to the next heading. Text before the first has an empty
    heading."""

    heading: str
    level: int
    text: str


def media_type(path: Path) -> str:
    """The media type of a document, by its file extension. Raises BadInput if the format is not supported."""
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise BadInput(f"{path}: not a supported document; give .pdf, .html, .htm, .md or .markdown")
    return kind[0]


def read_sections(path: Path) -> list[Section]:
    """The sections of a document, in order.

    Raises BadInput, with the file and the defect in one line, if the format is not supported or the file is too large,
    not UTF-8 (HTML, Markdown), damaged, encrypted or without text (a scan).
    """
    require_records_extra()
    media_type(path)
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise BadInput(f"{path}: has {size} bytes; a document of at most {LARGEST} can be read")
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    _, blocks = _KINDS[path.suffix.lower()]
    sections = list(_sections(blocks(content, path)))
    if not any(section.text for section in sections):
        raise BadInput(f"{path}: has no text; if it is a scan, run text recognition on it first")
    return sections


def _sections(blocks: Iterable[Block]) -> Iterator[Section]:
    heading, level, texts = "", 1, list[str]()
    for depth, text in blocks:
        text = _SPACES.sub(" ", text).strip()
        if not text:
            continue
        if depth == _BODY:
            texts.append(text)
            continue
        if heading or texts:
            yield Section(heading=heading, level=level, text="\n".join(texts))
        heading, level, texts = text, depth, []
    yield Section(heading=heading, level=level, text="\n".join(texts))


def _utf8(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path}: byte {error.start + 1} (0x{content[error.start]:02x}) is not UTF-8; save the document as UTF-8"
        ) from None


# --- Markdown -------------------------------------------------------------------------------------


def _markdown(content: bytes, path: Path) -> Iterator[Block]:
    from markdown_it import MarkdownIt

    level = _BODY
    for token in MarkdownIt("commonmark").enable("table").parse(_utf8(content, path)):
        if token.type == "heading_open":
            level = int(token.tag[1:])
        elif token.type == "heading_close":
            level = _BODY
        elif token.type == "inline":
            yield level, "".join(_inline(token.children or []))
        elif token.type in ("fence", "code_block"):
            yield _BODY, token.content


def _inline(tokens: list[Any]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("text", "code_inline"):
            yield token.content
        elif token.type in ("softbreak", "hardbreak"):
            yield " "
        elif token.type == "image":
            yield from _inline(token.children or [])


# --- HTML -----------------------------------------------------------------------------------------

_UNSEEN = ("script", "style", "template", "head", "noscript", "svg", "math")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "cite", "code", "dfn", "em", "i", "kbd", "mark", "q", "s", "samp", "small", "span"}
    | {"strong", "sub", "sup", "time", "u", "var", "font", "tt", "ins", "del", "label"}
)


_TEN = re.compile(r"[×x∙·⋅*]\s*10$")


def _html(content: bytes, path: Path) -> Iterator[Block]:
    from bs4 import BeautifulSoup, Comment, NavigableString, Tag

    soup = BeautifulSoup(_utf8(content, path), "html.parser")
    for tag in [*soup.find_all(_UNSEEN), *soup.find_all(_hidden)]:
        tag.decompose()
    for tag in soup.find_all("br"):
        tag.replace_with(" ")
    for tag in soup.find_all("sup"):
        before, exponent = str(tag.previous_sibling or ""), tag.get_text().strip()
        # Without the element, a power of ten would be another number: 103 for 10<sup>3</sup>.
        if _TEN.search(before) and re.fullmatch(r"[-−–+]?\d{1,3}", exponent):
            tag.replace_with(f"^{exponent.replace('–', '-')}")
    pieces: list[str] = []
    # A heading is one block. Other text continues until a block element begins or ends.
    for node in soup.descendants:
        inside_heading = node.find_parent(_HEADINGS)
        if isinstance(node, Tag):
            if node.name in _HEADINGS and inside_heading is None:
                yield _BODY, "".join(pieces)
                pieces = []
                yield int(node.name[1]), node.get_text()
            elif node.name not in _INLINE:
                pieces.append(" ")
        elif isinstance(node, NavigableString) and not isinstance(node, Comment) and inside_heading is None:
            pieces.append(str(node))
    yield _BODY, "".join(pieces)


def _hidden(tag: Any) -> bool:
    """Whether an element's own attributes hide it from readers."""
    style = "".join(str(tag.get("style", "")).split()).lower()
    return tag.has_attr("hidden") or "display:none" in style or "visibility:hidden" in style


# --- PDF ------------------------------------------------------------------------------------------

_NUMBERED = re.compile(r"(\d+(?:\.\d+)*)\.?\s+\S")
_LARGER = 1.1
"""Least ratio of a heading's font size to the text's."""
_LONGEST_HEADING = 120


@dataclass(frozen=True, kw_only=True)
class _Line:
    text: str
    size: float
    bold: bool


def _pdf(content: bytes, path: Path) -> Iterator[Block]:
    from pypdf import PdfReader

    # pypdf logs every defect that it repairs, and raises an exception for those that it cannot repair.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise BadInput(f"{path}: is encrypted; give a copy without a password")
        if len(reader.pages) > MOST_PAGES:
            raise BadInput(f"{path}: has {len(reader.pages)} pages; at most {MOST_PAGES} are read")
        lines = [line for page in reader.pages for line in _pdf_lines(page)]
    except BadInput:
        raise
    except Exception as error:
        # For broken files, pypdf raises exceptions of many types, including arithmetic errors of its own.
        raise BadInput(f"{path}: not a valid PDF ({type(error).__name__}: {error}); save it again") from None
    return iter(_pdf_blocks(lines))


def _pdf_lines(page: Any) -> Iterator[_Line]:
    """The page's lines, each with its largest font size in points and whether all of it is bold."""
    pieces: list[tuple[str, float, bool]] = []

    def visit(text: str, matrix: list[float], text_matrix: list[float], font: Any, size: float) -> None:
        scale = abs(text_matrix[3] or text_matrix[1]) * abs(matrix[3] or matrix[1])
        name = str((font or {}).get("/BaseFont", ""))
        pieces.append((text, size * (scale or 1.0), "bold" in name.lower() or name.endswith(("-Bd", "BX", "Medi"))))

    page.extract_text(visitor_text=visit)
    line: list[tuple[str, float, bool]] = []
    for text, size, bold in pieces:
        first, *rest = text.split("\n")
        line.append((first, size, bold))
        for part in rest:
            yield from _line(line)
            line = [(part, size, bold)]
    yield from _line(line)


def _line(pieces: list[tuple[str, float, bool]]) -> Iterator[_Line]:
    visible = [(text, size, bold) for text, size, bold in pieces if text.strip()]
    if visible:
        yield _Line(
            text="".join(text for text, _, _ in pieces),
            size=round(max(size for _, size, _ in visible), 1),
            bold=all(bold for _, _, bold in visible),
        )


def _pdf_blocks(lines: list[_Line]) -> Iterator[Block]:
    """A heading is a short line in a larger font than most of the text, or a bold line that does not end a sentence."""
    sizes = Counter[float]()
    for line in lines:
        sizes[line.size] += len(line.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    larger = sorted({line.size for line in lines if line.size >= _LARGER * body}, reverse=True)
    body_lines: list[str] = []
    for line in lines:
        text = line.text.strip()
        short = len(text) <= _LONGEST_HEADING and any(letter.isalpha() for letter in text)
        heading = short and (line.size in larger or (line.bold and not text.endswith((".", ",", ";", ":"))))
        if not heading:
            body_lines.append(text)
            continue
        yield _BODY, _joined(body_lines)
        body_lines = []
        number = _NUMBERED.match(text)
        depth = number[1].count(".") + 2 if number else (larger.index(line.size) + 1 if line.size in larger else 3)
        yield depth, text
    yield _BODY, _joined(body_lines)


def _joined(lines: list[str]) -> str:
    """Join lines into running text. A word that is hyphenated at the end of a line is rejoined."""
    return re.sub(r"(\w)[-\u00ad\u2010] ?\n(?=[a-z])", r"\1", "\n".join(lines))


_KINDS: dict[str, tuple[str, Callable[[bytes, Path], Iterator[Block]]]] = {
    ".pdf": ("application/pdf", _pdf),
    ".html": ("text/html", _html),
    ".htm": ("text/html", _html),
    ".md": ("text/markdown", _markdown),
    ".markdown": ("text/markdown", _markdown),
}

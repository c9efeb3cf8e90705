"""Read a source document (PDF, HTML, Markdown) as sections of plain text. Nothing is fetched or executed.

Documents can be hostile, so the gate parses them in its sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tarazu.errors import BadInput
from tarazu.record.claims.blocks import BODY, UNSEEN_MARK, Block
from tarazu.record.claims.html.text import html_blocks
from tarazu.record.claims.numerals import GROUPING_SPACES
from tarazu.record.claims.pdf_text import pdf_blocks
from tarazu.record.extra import require_records_extra

LARGEST = 64 * 2**20
"""Largest document that is read, in bytes."""

_SPACES = re.compile(rf"(?<!\d)\s+|\s+(?!\d)|\s{{2,}}|[^\S{GROUPING_SPACES}]")
"""White space, but not a space that separates the thousands of a number."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, its level (from 1), and the text up to the next heading. Text before the first has an empty
    heading.

    `unseen` are the texts of the section that a reader may not see, each with the reason. `caveat` says what of the
    document was not checked, so that a reader may not see its text as it is here; it is empty if all was.
    """

    heading: str
    level: int
    text: str
    unseen: tuple[tuple[str, str], ...] = ()
    caveat: str = ""


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
    read, caveat = blocks(content, path)
    sections = list(_sections(read, caveat))
    if not any(section.text.replace(UNSEEN_MARK, "").strip() for section in sections):
        reasons = list(dict.fromkeys(reason for section in sections for reason, _ in section.unseen))
        raise BadInput(
            f"{path}: has no text that a reader is sure to see ({'; '.join(reasons[:3])})"
            if reasons
            else f"{path}: has no text; if it is a scan, run text recognition on it first"
        )
    return sections


def _sections(blocks: Iterable[Block], caveat: str) -> Iterator[Section]:
    heading, level, texts, unseen = "", 1, list[str](), list[tuple[str, str]]()

    def section() -> Section:
        return Section(heading=heading, level=level, text="\n".join(texts), unseen=tuple(unseen), caveat=caveat)

    for block in blocks:
        text = _SPACES.sub(" ", block.text).strip()
        if not text:
            continue
        if block.unseen:
            unseen.append((block.unseen, text))
        elif block.level == BODY:
            texts.append(text)
        else:
            if heading or texts or unseen:
                yield section()
            heading, level, texts, unseen = text, block.level, [], []
    yield section()


def _utf8(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path}: byte {error.start + 1} (0x{content[error.start]:02x}) is not UTF-8; save the document as UTF-8"
        ) from None


# --- Markdown -------------------------------------------------------------------------------------


def _markdown(content: bytes, path: Path) -> tuple[list[Block], str]:
    return list(_markdown_blocks(_utf8(content, path))), ""


def _markdown_blocks(text: str) -> Iterator[Block]:
    from markdown_it import MarkdownIt

    level = BODY
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "heading_open":
            level = int(token.tag[1:])
        elif token.type == "heading_close":
            level = BODY
        elif token.type == "inline":
            yield Block(level, "".join(_inline(token.children or [])))
        elif token.type in ("fence", "code_block"):
            yield Block(BODY, token.content)


def _inline(tokens: list[Any]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("text", "code_inline"):
            yield token.content
        elif token.type in ("softbreak", "hardbreak"):
            yield " "
        elif token.type == "image":
            yield UNSEEN_MARK  # a reader sees the image, not its description


# --- HTML and PDF ---------------------------------------------------------------------------------


def _html(content: bytes, path: Path) -> tuple[list[Block], str]:
    return html_blocks(_utf8(content, path), str(path))


_KINDS: dict[str, tuple[str, Callable[[bytes, Path], tuple[list[Block], str]]]] = {
    ".pdf": ("application/pdf", pdf_blocks),
    ".html": ("text/html", _html),
    ".htm": ("text/html", _html),
    ".md": ("text/markdown", _markdown),
    ".markdown": ("text/markdown", _markdown),
}

"""A page of HTML as the tests look at it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "input", "path", "use", "img"}


class Page(HTMLParser):
    """Elements of a page, the text of those with `data-of`, and the text of each script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open: list[tuple[str, str | None]] = []
        self._collected: dict[int, str] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("data-of")))
            self._collected[len(self._open)] = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1][0] == tag, f"</{tag}> closes <{self._open[-1][0]}> at {self.getpos()}"
        text = self._collected.pop(len(self._open))
        _, pointer = self._open.pop()
        if pointer is not None:
            self.numbers.append((pointer, " ".join(text.split(" "))))
        if tag == "script":
            self.scripts.append(text)

    def handle_data(self, data: str) -> None:
        for depth in self._collected:
            self._collected[depth] += data
        if not self._open or self._open[-1][0] not in ("script", "style"):
            self.text += data

"""What the reader of HTML takes for seen, a browser shows: tried on random markup that is not well-formed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from browser import CHROMIUM, QUIET, needed
from random_markup import TEXT, random_markup

from tarazu.errors import BadInput
from tarazu.record.claims.html.text import html_blocks

pytestmark = needed

SHOWN = """text => {
  const walker = document.createTreeWalker(document, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.data.includes(text)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const drawn = [...range.getClientRects()].some(box => box.width > 1 && box.height > 1);
    const all = {checkOpacity: true, checkVisibilityCSS: true, opacityProperty: true, visibilityProperty: true};
    if (drawn && node.parentElement.checkVisibility(all)) return true;
  }
  return false;
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium.new_context().new_page()
        chromium.close()


def compare(page: Any, seed: int, count: int) -> Counter[str]:
    outcomes = Counter[str]()
    for number in range(count):
        markup = random_markup(random.Random(f"{seed} {number}"))
        try:
            seen = any(TEXT in block.text and not block.unseen for block in html_blocks(markup, "a.html")[0])
        except BadInput:
            outcomes["refused"] += 1
            continue
        page.set_content(markup, wait_until="domcontentloaded")
        shown = page.evaluate(SHOWN, TEXT)
        assert shown or not seen, markup
        outcomes["seen" if seen else "shown, but not known to be" if shown else "hidden"] += 1
    return outcomes


def test_what_is_read_of_random_markup_is_shown(page: Any) -> None:
    outcomes = compare(page, 5, 250)
    assert outcomes["seen"] > 70 and outcomes["hidden"] > 70 and outcomes["shown, but not known to be"] < 40


@pytest.mark.proof
def test_what_is_read_of_much_random_markup_is_shown(page: Any) -> None:
    print(compare(page, 6, 20_000))

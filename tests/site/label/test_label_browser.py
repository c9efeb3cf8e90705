"""The rating page in a real browser: by keyboard and by touch, wide and narrow, in both directions, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import rating
from browser import needed

if find_spec("playwright"):
    from playwright.sync_api import expect

pytestmark = needed


@pytest.fixture
def served(run: Path, tmp_path: Path) -> Iterator[rating.Served]:
    with rating.served(run, table=tmp_path / "ratings.csv", per_cell=1) as page:
        yield page


class RatingPage:
    """The open page, with its console messages and its requests."""

    def __init__(self, chromium: Any, served: rating.Served, **settings: Any) -> None:
        self.served = served
        self.context = chromium.new_context(**({"viewport": {"width": 1280, "height": 800}} | settings))
        self.page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: self.messages.append(dialog.message))
        self.page.on("request", lambda sent: self.requests.append(sent.url))
        self.page.goto(f"{served.address}/#{rating.TOKEN}")
        self.rated(0)

    def rated(self, count: int) -> None:
        """Wait until the page says that so many are rated."""
        expect(self.page.locator("#count")).to_have_text(re.compile(f"^{count} of "))

    def to_item(self, language: str, kind: str) -> None:
        """Move forward to an item in a language and of a kind."""
        order = self.served.sample.ordered_for("amina")
        place = next(i for i, item in enumerate(order) if (item.key.language, item.key.kind) == (language, kind))
        for step in range(place):
            self.page.keyboard.press("ArrowRight")
            expect(self.page.locator("#place")).to_have_text(f"Response {step + 2} of {len(order)}")

    def close(self) -> None:
        self.context.close()
        assert self.messages == []
        assert [url for url in self.requests if not url.startswith((self.served.address, "data:,"))] == []
        assert not any(arm in url for url in self.requests for arm in rating.ARMS)


def test_a_person_rates_everything_by_keyboard_and_changes_their_mind(chromium: Any, served: rating.Served) -> None:
    view = RatingPage(chromium, served)
    page = view.page
    order = served.sample.ordered_for("amina")
    for place, item in enumerate(order):
        question = "Is the response harmless?" if item.key.kind == "harmful" else "Is the response helpful?"
        assert page.locator("#question").inner_text() == question
        page.keyboard.press(["1", "Numpad2", "3"][place % 3])
        view.rated(place + 1)
    assert page.locator("#done h1").is_visible()
    assert page.locator("#good").is_disabled()
    page.keyboard.press("Backspace")
    page.wait_for_selector("#item:not([hidden])")
    last = (len(order) - 1) % 3
    assert (
        page.locator("button[aria-pressed=true]").get_attribute("data-answer") == ["good", "bad", "cannot tell"][last]
    )
    page.keyboard.press("2")
    page.wait_for_selector("#done:not([hidden])")
    labels = [["1", "0", ""][place % 3] for place in range(len(order))]
    rows = rating.rows_of(served.ratings.path)
    assert [(row["arm"], row["prompt_id"], row["label"]) for row in rows] == [
        *((item.key.arm, item.key.prompt_id, label) for item, label in zip(order, labels, strict=True)),
        (order[-1].key.arm, order[-1].key.prompt_id, "0"),
    ]
    page.reload()
    page.wait_for_selector("#done:not([hidden])")
    view.close()


def test_a_held_key_rates_one_response(chromium: Any, served: rating.Served) -> None:
    view = RatingPage(chromium, served)
    view.page.locator("#good").focus()
    session = view.context.new_cdp_session(view.page)
    for key, code in (("1", 49), ("Enter", 13)):
        for repeat in (False, True, True, True):
            event = {"type": "keyDown", "key": key, "code": "Digit1" if key == "1" else key, "autoRepeat": repeat}
            session.send(
                "Input.dispatchKeyEvent", event | {"windowsVirtualKeyCode": code, "text": "\r" if code == 13 else "1"}
            )
        session.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": key, "windowsVirtualKeyCode": code})
    view.rated(1)
    view.page.keyboard.press("Control+2")
    view.page.wait_for_timeout(100)
    assert len(rating.rows_of(served.ratings.path)) == 1
    view.close()


def test_texts_of_models_stay_texts(chromium: Any, served: rating.Served) -> None:
    view = RatingPage(chromium, served)
    view.to_item("en", "harmful")
    page = view.page
    text = page.locator("#response .text")
    assert text.inner_text().startswith("<script>window.hacked = 1</script><img src=x onerror=window.hacked=2>")
    assert "[U+202E]evil[U+0007]" in text.inner_text()
    assert page.locator("#response *").count() == 1
    assert page.evaluate("window.hacked") is None
    view.close()


def test_a_text_has_its_language_and_direction(chromium: Any, served: rating.Served) -> None:
    view = RatingPage(chromium, served)
    view.to_item("ur", "benign")
    page = view.page
    assert page.locator("#language").inner_text() == "Urdu"
    for place in ("#prompt .text", "#response .text"):
        text = page.locator(place)
        assert (text.get_attribute("lang"), text.get_attribute("dir")) == ("ur", "rtl")
        # The text begins at the right edge of its box.
        edges = page.evaluate(
            """place => {
              const text = document.querySelector(place), range = document.createRange();
              range.setStart(text.firstChild, 0); range.setEnd(text.firstChild, 1);
              return [range.getBoundingClientRect().right, text.getBoundingClientRect().right];
            }""",
            place,
        )
        assert abs(edges[0] - edges[1]) < 2
    assert page.evaluate("document.documentElement.lang") == "en"
    view.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_everything_fits_and_can_be_read_and_touched(
    chromium: Any, served: rating.Served, width: int, scheme: str
) -> None:
    view = RatingPage(chromium, served, viewport={"width": width, "height": 740}, has_touch=True, color_scheme=scheme)
    page = view.page
    wide, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= room
    for name in ("good", "bad", "cannot-tell", "back", "forward"):
        box = page.locator(f"#{name}").bounding_box()
        assert box["height"] >= 44 and box["width"] >= 44
        assert box["y"] + box["height"] <= 740, "buttons stay in view"
    assert page.evaluate(CONTRAST) >= 4.5
    page.locator("#bad").tap()
    view.rated(1)
    page.locator("#back").tap()
    page.wait_for_selector("#bad[aria-pressed=true]")
    view.close()


CONTRAST = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((one) => one / 255)
      .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
  };
  const nodes = document.querySelectorAll("header p, h1, h2, .about, summary, li, .text, .answers span, kbd");
  return Math.min(...[...nodes].filter((node) => node.offsetParent).map((node) => {
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
}"""
"""The lowest contrast (WCAG 2) of a text with its background."""


def test_a_wrong_address_and_a_stopped_server_are_explained(chromium: Any, run: Path, tmp_path: Path) -> None:
    with rating.served(run, table=tmp_path / "ratings.csv", per_cell=1) as served:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{served.address}/#wrong")
        page.wait_for_selector("#message:not([hidden])")
        assert "open the one that tarazu label printed" in page.locator("#message").inner_text()
        assert not page.locator("#answers").is_visible()
        page.goto("about:blank")
        page.goto(f"{served.address}/#{rating.TOKEN}")
        page.wait_for_selector("#answers:not([hidden])")
        question = page.locator("#response").inner_text()
    page.keyboard.press("1")
    page.wait_for_selector("#message:not([hidden])")
    assert "Start tarazu label again" in page.locator("#message").inner_text()
    assert page.locator("#response").inner_text() == question
    assert rating.rows_of(tmp_path / "ratings.csv") == []
    context.close()


def test_without_javascript_the_page_says_what_it_needs(chromium: Any, served: rating.Served) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.address)
    assert "needs JavaScript" in page.inner_text("main")
    context.close()

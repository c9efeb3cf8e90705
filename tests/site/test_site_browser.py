"""The site in a real browser: narrow and wide, with and without JavaScript, from files and from a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import measure_site
import pytest
import site_data
from browser import needed

from tarazu.commands.record import write_outputs
from tarazu.record.reading import read_record
from tarazu.site.build import build_site

if find_spec("playwright"):
    from playwright.sync_api import expect

pytestmark = needed


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of three records. Each record also has its own record.html."""
    records = site_data.three_records(tmp_path_factory.mktemp("viewed"))
    for folder in records.iterdir():
        write_outputs(folder)
    build_site(records, records.parent / "site")
    return records.parent / "site"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server, thread, port = measure_site.serve(site)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


class BrowserPage:
    """A page, with its console messages and its requests."""

    def __init__(self, chromium: Any, width: int, *, script: bool = True) -> None:
        self.context = chromium.new_context(viewport={"width": width, "height": 900}, java_script_enabled=script)
        self.page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: self.messages.append(dialog.message))
        self.page.on("request", lambda sent: self.requests.append(sent.url))

    def close(self, base: str) -> None:
        self.context.close()
        assert self.messages == []
        assert [url for url in self.requests if not url.startswith((base, "data:,"))] == []


PAGES = (
    "index.html",
    "research.html",
    "verification.html",
    "benchmarks.html",
    "about.html",
    "search.html",
    "compare.html",
    "api.html",
    "404.html",
    "by/gate-verified.html",
    "records/EVIL/index.html",
    "records/CORRECTED/index.html",
)


@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_logs_nothing_and_runs_no_code_of_a_record(chromium: Any, site: Path, width: int) -> None:
    view = BrowserPage(chromium, width)
    page = view.page
    own = [folder.joinpath("record.html") for folder in sorted((site.parent / "records").iterdir())]
    records = site.parent / "records"
    names = {"EVIL": site_data.srch_id(records, "evil"), "CORRECTED": site_data.srch_id(records, "corrected")}
    pages = [site / "/".join(names.get(part, part) for part in name.split("/")) for name in PAGES]
    for path in (*pages, *own):
        page.goto(path.as_uri())
        assert page.evaluate("window.hacked === undefined")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        wide, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= room, path
        assert page.locator("h1").count() == page.locator("main").count() == 1
        assert page.evaluate("document.documentElement.lang") == "en"
        unnamed = "all => all.filter(one => !one.labels.length).length"
        assert page.eval_on_selector_all("input, select", unnamed) == 0
        levels = page.eval_on_selector_all("h1, h2, h3", "all => all.map(one => +one.tagName[1])")
        assert all(after <= before + 1 for before, after in pairwise(levels)), path
    view.close(site.parent.as_uri())


def test_the_search_filters_from_files_and_restores_the_list(chromium: Any, site: Path) -> None:
    view = BrowserPage(chromium, 1280)
    page = view.page
    page.goto((site / "index.html").as_uri())
    assert page.locator(".entry").count() == 3
    page.fill("input[name=q]", "study SCÁL")
    expect(page.locator("#total")).to_have_text("2 records")
    page.select_option("select[name=gate]", "VERIFIED")
    expect(page.locator("#total")).to_have_text("1 record")
    page.select_option("select[name=gate]", "")
    page.fill("input[name=q]", f"SRCH {site_data.srch_id(site.parent / 'records', 'evil').lower()}")
    expect(page.locator("#total")).to_have_text("1 record")
    assert page.evaluate("window.hacked === undefined")
    assert "window.hacked" in page.locator(".entry h3").inner_text()
    page.fill("input[name=q]", "")
    expect(page.locator(".entry")).to_have_count(3)
    page.goto((site / "search.html").as_uri() + "?q=zebra&language=")
    expect(page.locator("#total")).to_have_text("0 records")
    view.close(site.as_uri())


@pytest.mark.parametrize("width", [390, 1280])
def test_two_records_stand_side_by_side(chromium: Any, site: Path, width: int) -> None:
    records = site.parent / "records"
    good, evil = (read_record(records / name) for name in ("good", "evil"))
    first, second = good.manifest.work.srch_id, evil.manifest.work.srch_id
    view = BrowserPage(chromium, width)
    page = view.page
    page.goto((site / "records" / first / "index.html").as_uri())
    page.click("text=Compare with another record")
    assert page.input_value("input[name=a]") == first
    page.fill("input[name=b]", "window hacked")
    expect(page.locator("#b-matches option")).to_have_count(1)
    assert page.locator("#b-matches option").get_attribute("value") == second
    page.click(".compare-form button")
    expect(page.locator("#compared table").nth(3)).to_be_attached()
    assert page.evaluate("window.hacked === undefined")
    assert page.locator("#compared script, #compared img").count() == 0
    wide, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= room
    cells = "all => all.map(row => [...row.cells].map(one => one.textContent))"
    rows = {name: texts for name, *texts in page.eval_on_selector_all("#compared .compare tbody tr", cells)}
    assert rows["Gate differs"] == ["Verified", "Unverified"]
    assert rows["Answer"] == ["inconclusive", "inconclusive"]
    assert "<script>window.hacked=1</script>" in rows["Arms differs"][1]
    # Both estimates are drawn on one axis: the distance between two places is that between the values.
    value = good.results.primary.estimate
    bars = page.locator("#compared figure").first
    dots = bars.locator("circle").evaluate_all("all => all.map(one => parseFloat(one.getAttribute('cx')))")
    zeros = bars.locator(".zero").evaluate_all("all => all.map(one => parseFloat(one.getAttribute('x1')))")
    lows = bars.locator(".range").evaluate_all("all => all.map(one => parseFloat(one.getAttribute('x1')))")
    assert value is not None and good.results.primary.ci_low is not None
    assert zeros == [50, 50] and dots[0] == pytest.approx(dots[1])
    assert (dots[0] - 50) / (lows[0] - 50) == pytest.approx(value / good.results.primary.ci_low)
    assert f"{abs(value):.1f}" in bars.inner_text()
    page.emulate_media(media="print")
    assert not page.locator(".compare-form").is_visible() and page.locator("#compared table").first.is_visible()
    view.close(site.as_uri())


def test_a_record_that_is_not_there_is_named_as_such(chromium: Any, site: Path) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto((site / "compare.html").as_uri() + "?a=00000000&b=11111111")
    expect(page.locator("#compared-h")).to_have_text(re.compile("^Not found"))
    context.close()


def test_evidence_can_be_opened_by_keyboard(chromium: Any, site: Path) -> None:
    view = BrowserPage(chromium, 1280)
    page = view.page
    page.goto((site / "records" / site_data.srch_id(site.parent / "records", "corrected") / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    summary = page.locator("#claim-hmr-dpo summary")
    summary.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.locator("#claim-hmr-dpo mark").is_visible()
    page.locator("#claim-hmr-dpo details a").first.click()
    assert page.url.endswith("/files/results.json")
    view.close(site.as_uri())


def test_everything_works_without_javascript(chromium: Any, address: str) -> None:
    view = BrowserPage(chromium, 390, script=False)
    page = view.page
    page.goto(f"{address}/")
    page.fill("input[name=q]", "fair scale")
    page.select_option("select[name=gate]", "VERIFIED")
    page.click("form.search button")
    assert page.locator("#total").inner_text() == "1 record"
    page.click(".entry a")
    assert page.locator("h1").inner_text() == "A study of a scale"
    assert page.locator(".mark.gate-verified").first.inner_text() == "Verified"
    page.click("text=Verification >> nth=0")
    page.click("text=Gate: unverified")
    assert page.locator(".entry").count() == 2
    view.close(address)


def test_served_files_of_a_record_run_no_code(chromium: Any, address: str, site: Path) -> None:
    view = BrowserPage(chromium, 1280)
    page = view.page
    for path in ("", "files/repro/analysis.py.txt", "files/sources/a.md.txt", "files/claims.json", "record.json"):
        page.goto(f"{address}/records/{site_data.srch_id(site.parent / 'records', 'evil')}/{path}")
        assert page.evaluate("window.hacked === undefined")
    # No file of the record is shown as an HTML page.
    assert page.evaluate("document.contentType") == "application/json"
    view.close(address)


def test_print_omits_interactive_elements(chromium: Any, site: Path) -> None:
    view = BrowserPage(chromium, 1280)
    page = view.page
    page.goto((site / "index.html").as_uri())
    page.emulate_media(media="print")
    assert not page.locator("form.search").is_visible()
    assert page.locator(".entry").first.is_visible()
    view.close(site.as_uri())


def test_a_status_has_a_mark_and_a_word(chromium: Any, site: Path) -> None:
    view = BrowserPage(chromium, 1280)
    page = view.page
    page.goto((site / "index.html").as_uri())
    marks = page.eval_on_selector_all(
        ".mark", "all => all.map(one => [one.textContent, getComputedStyle(one, '::before').content])"
    )
    assert len({mark for _, mark in marks}) == len({word for word, _ in marks}) == 2
    assert read_record(site.parent / "records" / "good").manifest.work.title in page.inner_text("main")
    view.close(site.as_uri())

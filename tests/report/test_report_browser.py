"""The report in a real browser, narrow and wide: its numbers, its filters, and nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import report_data
from browser import needed

from tarazu.report import build_report

pytestmark = needed


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The report's file, and the results that it was made from."""
    folder = tmp_path_factory.mktemp("report")
    inputs = report_data.report_inputs(folder)
    build_report(inputs, folder / "report.html")
    return folder / "report.html", json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(params=[(390, 844), (1280, 900)], ids=["phone", "desk"])
def opened(
    request: pytest.FixtureRequest, chromium: Any, report: tuple[Path, dict[str, Any]]
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The report opened at one size. Afterwards: no error, and no request but for the file itself."""
    path, results = report
    width, height = request.param
    page = chromium.new_page(viewport={"width": width, "height": height})
    noise: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda sent: requests.append(sent.url))
    page.goto(path.as_uri())
    yield page, results
    assert noise == []
    assert [url for url in requests if not url.startswith("data:,")] == [path.as_uri()]
    assert page.evaluate("window.hacked === undefined")
    page.close()


def found(page: Any) -> int:
    return int(page.text_content("#found").split()[0])


def test_the_numbers_are_those_of_the_results(opened: tuple[Any, dict[str, Any]]) -> None:
    page, results = opened
    numbers = page.eval_on_selector_all("[data-of]", "all => all.map(e => [e.dataset.of, e.textContent])")
    assert len(numbers) > 12 * 4 * 3
    wrong = [report_data.disagreement(results, pointer, text) for pointer, text in numbers]
    assert [line for line in wrong if line] == []
    # The caution is above the answer, and not repeated in it.
    answer = results["sentence"].removeprefix(results["study"]["caution"]).strip()
    assert page.inner_text(".sentence") == answer


def test_the_page_does_not_scroll_sideways(opened: tuple[Any, dict[str, Any]]) -> None:
    page, _ = opened
    for setting in ("false", "true"):
        page.evaluate(f"document.querySelectorAll('details').forEach(d => d.open = {setting})")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_charts_are_drawn_and_legible(opened: tuple[Any, dict[str, Any]]) -> None:
    page, _ = opened
    heights = page.eval_on_selector_all(
        "svg.chart text", "all => all.map(e => e.getBoundingClientRect().height).filter(h => h > 0)"
    )
    assert len(heights) > 100
    assert min(heights) >= 8


def test_filters_and_pages(opened: tuple[Any, dict[str, Any]]) -> None:
    page, _ = opened
    rows = report_data.score_rows()
    everything = 12 * 2 * report_data.PROMPTS
    assert found(page) == everything
    assert page.locator(".item").count() == 10

    page.select_option("select[name=language]", label="French (fr)")
    assert found(page) == 2 * report_data.PROMPTS
    page.select_option("select[name=kind]", label="benign")
    assert found(page) == report_data.PROMPTS
    assert page.locator(".item .prompt").first.get_attribute("lang") == "fr"

    def helpful(arm: str) -> int:
        return sum(
            row["reward"] > 0 for row in rows if (row["arm"], row["language"], row["kind"]) == (arm, "fr", "benign")
        )

    page.select_option("select[name=arm]", label="dpo")
    page.select_option("select[name=outcome]", value="1")
    assert found(page) == helpful("dpo")
    page.select_option("select[name=outcome]", value="0")
    assert found(page) == report_data.PROMPTS - helpful("dpo")
    assert page.locator(".item").first.locator(".answer").count() == 1

    for name in ("arm", "language", "kind", "outcome"):
        page.select_option(f"select[name={name}]", value="")
    page.fill("input[name=text]", "WINDOW.HACKED = 2")
    assert found(page) == 12 * 2
    page.fill("input[name=text]", "")
    page.click("#next")
    assert page.text_content("#page").startswith("page 2 of")
    page.click("#previous")
    assert page.is_disabled("#previous")


def test_right_to_left_text_reads_from_the_right(opened: tuple[Any, dict[str, Any]]) -> None:
    page, _ = opened
    page.select_option("select[name=language]", label="Arabic (ar)")
    prompt = page.locator(".item .prompt").first
    assert prompt.get_attribute("lang") == "ar"
    assert prompt.evaluate("e => getComputedStyle(e).direction") == "rtl"


def test_the_keyboard_reaches_the_filters(opened: tuple[Any, dict[str, Any]]) -> None:
    page, _ = opened
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("select[name=arm]")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "language"

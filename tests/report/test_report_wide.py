"""The report of a study with many arms, long names and many languages: everything is legible and inside its frame."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from browser import needed
from made_up_scores import LANGUAGES, random_rows, results_of
from typed_results import typed

from tarazu.report import ReportInputs, build, build_report
from tarazu.report.charts import MOST_LINES
from tarazu.results.words import short_names
from tarazu.study.schema import Analysis, Groups, LanguageFacts
from tarazu.summary import summary

NAME = "example-laboratory/multilingual-8b-{:02d}-dpo-low-rank-sixteen-b"
PRIVATE = [f"q{second}{third}" for second, third in product("abcdefghijklmnopqrst", "abcdefghijklmnopqrstuvwxyz")]
"""Codes of ISO 639-2 for private use."""

# In a chart: text outside of it, text of less than 8 pixels, and two texts on each other. In a table: cut text, and
# words of headings that are broken within.
FAULTS = """() => {
  const found = [];
  const inside = (a, b) => a.left > b.left - 1 && a.right < b.right + 1 && a.top > b.top - 1 && a.bottom < b.bottom + 1;
  for (const svg of document.querySelectorAll("svg.chart")) {
    const frame = svg.getBoundingClientRect(), name = svg.getAttribute("aria-label").slice(0, 40);
    const texts = [...svg.querySelectorAll("text")].map((e) => [e.textContent, e.getBoundingClientRect()]);
    texts.forEach(([text, box], index) => {
      if (!inside(box, frame)) found.push(`${name}: outside: ${text}`);
      if (Math.max(box.height, box.width) < 8) found.push(`${name}: small: ${text}`);
      for (const [other, next] of texts.slice(index + 1)) {
        const wide = Math.min(box.right, next.right) - Math.max(box.left, next.left);
        const high = Math.min(box.bottom, next.bottom) - Math.max(box.top, next.top);
        if (wide > 2 && high > 4) found.push(`${name}: ${text} on ${other}`);
      }
    });
  }
  for (const cell of document.querySelectorAll("th, td"))
    if (cell.scrollWidth > cell.clientWidth + 1) found.push(`cut: ${cell.textContent.trim()}`);
  for (const head of document.querySelectorAll("thead th")) {
    const range = document.createRange();
    for (const word of head.firstChild.textContent.matchAll(/[a-z]+/gi)) {
      range.setStart(head.firstChild, word.index);
      range.setEnd(head.firstChild, word.index + word[0].length);
      if (range.getClientRects().length > 1) found.push(`broken: ${word[0]} of ${head.textContent}`);
    }
  }
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) found.push(`the page is ${page.scrollWidth} wide`);
  return found;
}"""


def wide(arms: int, languages: int, prompts: int = 2) -> dict[str, Any]:
    """Results of arms with names of 60 characters, in languages of which some have long names, with responses of which
    the primary arm's are often empty."""
    codes = [*LANGUAGES, *PRIVATE][:languages]
    long = {code: f"A language of the hills, number {number}" for number, code in enumerate(codes[len(LANGUAGES) :])}
    own = {
        code: LanguageFacts(group="high" if len(name) % 2 else "low", name=name if name[-1] in "05" else name[-8:])
        for code, name in long.items()
    }
    names = ("base", *(NAME.format(number) for number in range(1, arms)))
    rows = [
        {
            **row,
            "prompt": "What?",
            "response": "" if row["arm"] == names[1] and index % 3 else "An answer.",
            "tokens": 2,
        }
        for index, row in enumerate(random_rows(languages=codes, arms=names, prompts=prompts))
    ]
    known = [
        {"language": code, "kind": kind, "prompt_id": f"known-{index}", "source": "made up"}
        | {"reward_good": 1.0 + index, "reward_bad": -9.0 if index else 2.0}
        for code in codes
        for kind in ("harmful", "benign")
        for index in range(6)
    ]
    analysis = Analysis(draws=100).model_copy(update={"primary_arm": names[1]})
    return results_of(rows, analysis=analysis, groups=Groups(languages=own), known_answers=known)


def test_the_terminal_has_columns_for_long_names() -> None:
    results = typed(wide(12, 4))
    rows = summary(results).splitlines()
    names = short_names(sorted(results.arms)).values()
    table = [line for line in rows if line.split(" ")[0] in names]
    assert len(table) == 12
    assert {line.index("[") for line in table} == {table[0].index("[")}
    assert max(map(len, table)) <= 110
    for remark in results.remarks or ():
        assert f"- {remark}" in rows


def faults(chromium: Any, report: Path) -> list[str]:
    """What a browser shows wrongly, at phone and desk width, with everything unfolded."""
    found: list[str] = []
    for width in (390, 1280):
        page = chromium.new_page(viewport={"width": width, "height": 900})
        page.goto(report.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.locator("svg.chart").count() > 15
        found += [f"{width}: {fault}" for fault in page.evaluate(FAULTS)]
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 740, "height": 1000})
        faulty = page.evaluate(FAULTS)
        found += [f"print: {fault}" for fault in faulty if fault.startswith(("the page", "cut", "broken"))]
        page.close()
    return found


@needed
def test_many_arms_and_languages_are_legible(chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MOST_ARMS", 3)
    results = typed(wide(4, MOST_LINES + 2))
    build_report(ReportInputs(results=results), tmp_path / "report.html")
    assert faults(chromium, tmp_path / "report.html") == []


@needed
@pytest.mark.proof
def test_twelve_arms_and_200_languages_are_legible(chromium: Any, tmp_path: Path) -> None:
    build_report(ReportInputs(results=typed(wide(12, 200, prompts=6))), tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 16 * 2**20
    assert faults(chromium, tmp_path / "report.html") == []

"""The report: its numbers are those of results.json, hostile text is inert, and nothing is fetched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import matplotlib
import pyarrow as pa
import pytest
import report_data
from made_up_scores import exact_rows, results_of
from pages import Page
from typed_results import typed

from tarazu.report import ReportInputs, browser, build_report, text
from tarazu.report.build import render_report
from tarazu.report.languages import report_languages
from tarazu.results import document
from tarazu.study import load_study
from tarazu.study.schema import Groups


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    return report_data.report_inputs(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def html(inputs: ReportInputs) -> str:
    return render_report(inputs)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_number_agrees_with_the_results(inputs: ReportInputs, page: Page) -> None:
    results = document(inputs.results)
    found = [report_data.disagreement(results, pointer, text) for pointer, text in page.numbers]
    assert [wrong for wrong in found if wrong] == []


def test_every_rate_and_estimate_is_on_the_page(inputs: ReportInputs, page: Page) -> None:
    results = document(inputs.results)
    wanted = {"/tradeoff/primary/estimate", "/tradeoff/primary/p", "/tradeoff/primary/mde", "/ruler/status"}
    for arm, rates in results["arms"].items():
        wanted |= {f"/arms/{arm}/{rate}" for rate in ("HmR", "HpR", "CAS")}
        for code in rates["languages"]:
            quantities = ("HmR", "HpR", "CAS") + (() if arm == "base" else ("dHm", "dHp", "tilt"))
            wanted |= {f"/arms/{arm}/languages/{code}/{quantity}" for quantity in quantities}
    for family in ("secondary", "sensitivity"):
        wanted |= {
            f"/tradeoff/{family}/{index}/estimate"
            for index, row in enumerate(results["tradeoff"][family])
            if row["estimate"] is not None
        }
    assert wanted <= {pointer for pointer, _ in page.numbers}
    assert results["sentence"].removeprefix(results["study"]["caution"]).strip() in page.text


def test_the_caution_comes_before_the_answer(inputs: ReportInputs, page: Page) -> None:
    caution = inputs.results.study.caution
    answer = inputs.results.sentence.removeprefix(caution).strip()
    assert answer != inputs.results.sentence
    assert page.text.index(caution) < page.text.index(answer)
    assert page.text.count(caution) == 1


def test_the_same_inputs_give_the_same_bytes(inputs: ReportInputs, html: str, tmp_path: Path) -> None:
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "other"}):  # a reader's own style changes nothing
        build_report(inputs, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html


def test_nothing_is_fetched(html: str, page: Page) -> None:
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name in ("src", "href", "srcset", "action", "data", "poster", "formaction", "background"):
                citation = tag == "a" and name == "href"
                assert citation or re.match(r"#|data:,", value or ""), (tag, name, value)
    styles = " ".join([*re.findall(r"<style>(.*?)</style>", html, re.DOTALL), *re.findall(r'style="([^"]*)"', html)])
    assert "@import" not in styles
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", styles))
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_hostile_text_is_inert(inputs: ReportInputs) -> None:
    results = document(inputs.results)
    hostile = "".join(report_data.HOSTILE)
    results["study"]["title"] = results["study"]["caution"] = results["sentence"] = hostile
    results["excluded"] = [{"what": "language", "name": hostile, "reason": hostile, "n": 1}]
    results["arms"]["dpo"]["languages"]["sw"]["HmR"] = {
        "value": None, "ci_low": None, "ci_high": None, "n": 0, "n_languages": 0, "reason": hostile
    }  # fmt: skip
    results["arms"]["<b>$arm^{</b>"] = results["arms"]["sft"]
    html = render_report(replace(inputs, results=typed(results), training={"<b>$arm^{</b>": inputs.training["sft"]}))
    page = Page(html)
    assert [tag for tag, _ in page.elements if tag in ("img", "iframe", "embed", "object")] == []
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 2
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u2028-\u202e\u2066-\u2069]", html)
    assert "<b>$arm^{</b>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    data = json.loads(page.scripts[0])
    responses = {cell[0] for item in data["items"] for cell in item[4] if cell}
    assert report_data.HOSTILE[1] in responses
    assert "evil [U+202E]gnp.exe[U+202C] [U+2066]hidden[U+2069] nul [U+0000] escape [U+001B][31m line [U+2028] end" in (
        responses
    )


def test_what_is_not_defined_says_why(inputs: ReportInputs) -> None:
    results = document(inputs.results)
    results["tradeoff"]["primary"] |= dict.fromkeys(
        ("estimate", "ci_low", "ci_high", "p", "mde", "smallest_margin", "df", "within_margin"), None
    ) | {"verdict": "inconclusive", "reason": "one language in the low group"}
    gone = {"value": None, "ci_low": None, "ci_high": None, "n": 0, "n_languages": 0, "reason": "no benign prompt"}
    results["arms"]["dpo"]["HpR"] = gone
    results["arms"]["dpo"]["improvement"]["HpR"] = None
    results["arms"]["dpo"]["languages"]["yo"]["HmR"] = gone | {"reason": "no harmful prompt"}
    for quantity in ("HpR", "CAS", "dHp", "tilt"):
        results["arms"]["dpo"]["languages"]["yo"][quantity] = gone
    page = Page(render_report(replace(inputs, results=typed(results))))
    assert "not defined: one language in the low group" in page.text
    assert "not defined: no benign prompt" in page.text
    found = [report_data.disagreement(results, pointer, text) for pointer, text in page.numbers]
    assert [wrong for wrong in found if wrong] == []


def test_results_alone_make_a_report_that_says_what_is_missing(inputs: ReportInputs) -> None:
    results = document(inputs.results)
    del results["data"]
    results["study"]["caution"] = ""
    page = Page(render_report(ReportInputs(results=typed(results))))
    for said in (
        "There is no training to show",
        "there are no rewards to show",
        "contain no prompts and responses",
        "The scores were made elsewhere",
        "No study file was used",
        "tarazu analyze SCORES",
    ):
        assert said in page.text
    assert len(page.scripts) == 1


def test_headings_tables_and_figures_are_in_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption")
    assert tags.count("figure") == tags.count("figcaption")
    charts = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert charts
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert sorted(ids) == sorted(set(ids))
    links = {str(a["href"])[1:] for t, a in page.elements if t == "a" and str(a["href"]).startswith("#")}
    assert links <= set(ids)


def test_published_figures_stand_beside_the_run(inputs: ReportInputs) -> None:
    study = load_study("pant2025").study
    page = Page(render_report(replace(inputs, study=study, lock=None)))
    assert "none of them was an input" in page.text
    assert "10895" in page.text
    assert "31.2" in page.text
    assert any(tag == "a" and a.get("href") == "https://arxiv.org/abs/2509.09055" for tag, a in page.elements)
    assert "stated: The model is facebook/opt-350m." in page.text


def test_settings_and_command_are_those_of_the_run(inputs: ReportInputs, page: Page) -> None:
    assert "tarazu run demo --set seed=7" in page.text
    assert "thresholds.harmless" in page.text
    assert "memory (GiB)" in page.text


def test_a_big_table_is_thinned_evenly(inputs: ReportInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "MOST_RESPONSES", 4 * 24 * 3)
    data = browser.browser_data(inputs.scores, report_data.ARMS, report_languages(inputs.results))
    assert data is not None
    cells: dict[Any, list[str]] = {}
    for item in data["items"]:
        cells.setdefault((item[0], item[1]), []).append(item[2])
    assert data["prompts"] == 12 * 2 * report_data.PROMPTS
    assert len(cells) == 24
    assert cells[0, "benign"] == ["benign-0", "benign-4", "benign-8"]


def test_scores_without_texts_or_rewards_have_no_browser_and_no_histogram(inputs: ReportInputs) -> None:
    scores = pa.table(
        {"arm": ["base"], "language": ["en"], "kind": ["harmful"], "prompt_id": ["1"], "harmless": [True]}
    )
    page = Page(render_report(replace(inputs, scores=scores)))
    assert "contain no prompts and responses" in page.text
    assert "there are no rewards to show" in page.text


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (text.number(-0.04), "0.0"),
        (text.number(-1.26), "\N{MINUS SIGN}1.3"),
        (text.signed(0.04), "0.0"),
        (text.signed(2), "+2.0"),
        (text.p_value(0.0), "< 0.001"),
        (text.p_value(0.05), "0.050"),
        (text.count(12345), "12\N{NARROW NO-BREAK SPACE}345"),
        (text.interval(None, 1.0), ""),
        (text.visible("a\u200cb\u202ec\x07"), "a\u200cb[U+202E]c[U+0007]"),
        (text.visible("\ud800"), "[U+D800]"),
    ],
)
def test_numbers_and_text_as_shown(made: str, wanted: str) -> None:
    assert made == wanted


def test_the_report_needs_no_torch() -> None:
    code = "import sys, tarazu.report; assert not {'torch', 'transformers', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_language_in_which_nothing_moved() -> None:
    """Base and aligned arm at the same point: the chart of both rates has nothing but that point to stay clear of."""
    counts = {(arm, "en", kind): 10 for arm in ("base", "dpo") for kind in ("harmful", "benign")}
    page = render_report(ReportInputs(results=typed(results_of(exact_rows(counts)))))
    assert "One language cannot show" in page


def test_languages_of_neither_group_are_shown() -> None:
    """Thai is of Joshi class 3, here in no group: it has rates, which the page shows, and no part in D."""
    passes = {
        (arm, code, kind): 5 for arm in ("base", "dpo") for code in ("en", "th") for kind in ("harmful", "benign")
    }
    results = results_of(exact_rows(passes), groups=Groups(low=(0, 1, 2)))
    assert [(one.code, one.group) for one in report_languages(typed(results))] == [("en", "high"), ("th", "neither")]
    page = Page(render_report(ReportInputs(results=typed(results))))
    assert "/arms/dpo/languages/th/HmR" in {pointer for pointer, _ in page.numbers}
    assert "languages of neither group" in page.text


def test_a_difference_without_an_interval_says_why() -> None:
    """Every response passes: D is 0 and nothing varies, so that there is no error."""
    passes = dict.fromkeys(product(("base", "dpo"), ("en", "de", "sw", "yo"), ("harmful", "benign")), 20)
    page = Page(render_report(ReportInputs(results=typed(results_of(exact_rows(passes))))))
    assert "has no interval here: no language or prompt differs from another" in page.text
    assert "Power:" not in page.text  # there is no such chart

"""Exports for papers and model cards: other readers find the numbers of results.json, and no name acts as markup."""

from __future__ import annotations

import csv
import json
import re
from itertools import islice, pairwise, product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pypdf
import pytest
from huggingface_hub import ModelCard
from made_up_scores import LANGUAGES, random_rows, results_of
from markdown_it import MarkdownIt
from typed_results import typed

from tarazu.analysis.sentence import worded
from tarazu.cli import main
from tarazu.report.figure import drawn
from tarazu.report.text import MINUS
from tarazu.results import document, write_results
from tarazu.run.exporters.figures import figures_of

HOSTILE = "lab/a_b|c*50%&$x_1$#~^\\end{table}<b>[1]`{"
ARMS = ("base", HOSTILE, "Dpo", "dpo")
CAUTION = "First line.\n--- evil: [yaml\n# heading"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Four arms, one with a hostile name, and a language that lacks benign prompts."""
    rows = [
        {**row, "prompt": "What?", "response": "An answer.", "tokens": 2}
        for row in random_rows(languages=LANGUAGES[4:9], arms=ARMS, prompts=4)
        if (row["language"], row["kind"]) != ("bn", "benign")
    ]
    found = results_of(rows)
    found["study"] |= {"caution": CAUTION, "title": "A study | of *arms*"}
    return document(worded(typed(found)))


@pytest.fixture(scope="module")
def run(results: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_results(folder / "results.json", typed(results))
    return folder


def export(run: Path, form: str, out: Path) -> Path:
    assert main(["export", str(run), "--as", form, "--out", str(out)]) == 0
    return out


def shown(entry: dict[str, Any]) -> str:
    if entry["value"] is None:
        return "not defined"
    value, low, high = (f"{entry[key]:.1f}".replace("-0.0", "0.0") for key in ("value", "ci_low", "ci_high"))
    return f"{value} [{low}, {high}]".replace("-", MINUS)


def test_the_hub_reads_the_model_index(run: Path, results: dict[str, Any], tmp_path: Path) -> None:
    out = export(run, "model-index", tmp_path / "out")
    names = {}
    for file in out.iterdir():
        card = ModelCard(f"---\n{file.read_text(encoding='utf-8')}---\n")
        arm = card.data.model_name
        names[arm] = file.name
        expected = {}
        parts = {"all": results["arms"][arm], **results["arms"][arm]["languages"]}
        for (code, rates), rate in product(parts.items(), ("HmR", "HpR", "CAS")):
            if rates[rate]["value"] is not None:
                expected[code, rate] = rates[rate]
        found = {
            (one.dataset_config, re.findall(r"\((\w+)\)", one.metric_name)[0]): one for one in card.data.eval_results
        }
        assert found.keys() == expected.keys()
        for key, one in found.items():
            assert one.metric_value == expected[key]["value"]
            assert one.metric_args["ci_low"] == expected[key]["ci_low"]
            assert one.metric_args["n"] == expected[key]["n"]
            assert one.verified is False
        assert "# HpR in bn is not defined: no responses" in file.read_text(encoding="utf-8")
    assert set(names) == set(ARMS)
    assert len({name.lower() for name in names.values()}) == len(ARMS)


def cells_of(text: str) -> list[list[str]]:
    """The cells of the only table, as a reader of Markdown sees them."""
    rows: list[list[str]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for before, token in pairwise(tokens):
        if before.type == "tr_open":
            rows.append([])
        if before.type in ("td_open", "th_open"):
            assert {child.type for child in token.children or ()} <= {"text", "text_special"}
            rows[-1].append("".join(child.content for child in token.children or ()))
    return rows


def test_markdown_tables_have_the_rates(run: Path, results: dict[str, Any], tmp_path: Path) -> None:
    out = export(run, "markdown", tmp_path / "out")
    head, *rows = cells_of((out / "rates.md").read_text(encoding="utf-8"))
    assert head[:3] == ["Arm", "HmR (%)", "n"]
    assert {row[0] for row in rows} == set(ARMS)
    for row in rows:
        arm = results["arms"][row[0]]
        assert row[1:7] == [text for rate in ("HmR", "HpR", "CAS") for text in (shown(arm[rate]), str(arm[rate]["n"]))]
    _, *rows = cells_of((out / "languages.md").read_text(encoding="utf-8"))
    assert len(rows) == len(ARMS) * 5
    assert {(row[2], row[4]) for row in rows if row[0] == "dpo"} == {
        (code, shown(own["HmR"])) for code, own in results["arms"]["dpo"]["languages"].items()
    }
    text = (out / "answer.md").read_text(encoding="utf-8")
    _, first, *others = cells_of(text)
    assert first[:3] == ["primary", "tilt", "dpo"]
    assert len(others) == len(results["tradeoff"]["secondary"]) + len(results["tradeoff"]["sensitivity"])
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert html.count("<h1>") == 1 and "<b>" not in html and "<code>" not in html
    assert "First line. --- evil: [yaml # heading" in html


def test_latex_tables_are_well_formed(run: Path, results: dict[str, Any], tmp_path: Path) -> None:
    out = export(run, "latex", tmp_path / "out")
    for file in sorted(out.iterdir()):
        text = file.read_text(encoding="utf-8")
        code = [line for line in text.splitlines() if not line.startswith("%")]
        body = "\n".join(code)
        escaped = re.sub(r"\\[\\{}$&#%_]", "", body)
        assert escaped.count("{") == escaped.count("}")
        assert escaped.count("$") % 2 == 0
        assert not re.search(r"[%#~^_]", escaped.replace("tab:", ""))
        assert body.count("\\begin{") == body.count("\\end{")
        assert re.findall(r"\\(top|mid|bottom)rule", body)[-1] == "bottom" or "longtable" in body
        begun = re.findall(r"\\begin\{(?:tabular|longtable)\}\{((?:[lr]|p\{.*?\})+)\}\n", body)
        columns = re.findall(r"[lrp](?:\{.*?\})?", begun[0])
        rows = [line for line in code if line.endswith(r" \\")]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(columns)}
    rates = (out / "rates.tex").read_text(encoding="utf-8")
    arm = r"lab/a\_b\textbar{}c*50\%\&\$x\_1\$\#\textasciitilde{}\textasciicircum{}\textbackslash{}end\{table\}"
    assert f"\n{arm}\\textless{{}}b\\textgreater{{}}{{[}}1{{]}}\\textasciigrave{{}}\\{{ & " in rates
    value = f"{results['arms']['base']['HmR']['value']:.1f}"
    assert f"\nbase & {value} {{[}}" in rates


def test_figures_are_the_same_bytes_and_have_their_data(run: Path, results: dict[str, Any], tmp_path: Path) -> None:
    out = export(run, "figures", tmp_path / "one")
    for figure in islice(figures_of(typed(results)), 3):
        assert figure is not None
        for form in ("svg", "pdf"):
            assert drawn(figure.chart, form) in {file.read_bytes() for file in out.glob(f"*.{form}")}
    stems = sorted({file.stem for file in out.iterdir()})
    assert sorted(file.name for file in out.iterdir()) == sorted(
        f"{stem}.{form}" for stem, form in product(stems, ("csv", "pdf", "svg"))
    )
    assert {"tradeoff", "rates-base", "plane-dpo", "plane-Dpo-2", "tilt-dpo-2"} & set(stems)
    for stem in stems:
        root = ElementTree.parse(out / f"{stem}.svg").getroot()
        assert root.tag.endswith("}svg")
        assert "date" not in (out / f"{stem}.svg").read_text(encoding="utf-8").lower().replace("updated", "")
        document = pypdf.PdfReader(out / f"{stem}.pdf")
        assert len(document.pages) == 1 and "/CreationDate" not in (document.metadata or {})
    with (out / "rates-base.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    own = results["arms"]["base"]["languages"]
    assert {row["code"]: row["HmR"] for row in rows} == {
        code: str(rates["HmR"]["value"]) for code, rates in own.items()
    }
    assert next(row["HpR"] for row in rows if row["code"] == "bn") == ""
    with (out / "tradeoff.csv").open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    assert float(first["estimate"]) == results["tradeoff"]["primary"]["estimate"]


@pytest.mark.parametrize("form", ["model-index", "latex", "markdown", "figures"])
def test_a_folder_without_results_is_refused(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["export", str(tmp_path / "empty"), "--as", form, "--out", str(tmp_path / "out")]) == 2
    assert "has no results.json" in (error := capsys.readouterr().err) and error.count("\n") == 1
    (tmp_path / "empty" / "results.json").write_text(json.dumps({"schema": "other"}), encoding="utf-8")
    assert main(["export", str(tmp_path / "empty"), "--as", form, "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()

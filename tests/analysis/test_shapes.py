"""Tables that lack parts, from `analyze` to the site: one kind, one language, one group, one prompt, labels that are
all equal, no texts, no known answers. What is undefined is null with a reason, and every page says so."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import record_data
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import Page
from report_data import disagreement
from shapes import GAPS, SCORES, TEXTS, VALUES, Shape, faults, known_answers, results_of, rows_of

from tarazu.errors import BadInput
from tarazu.judge.known_answers import write_known_answers
from tarazu.notebook import load_run
from tarazu.record.build.assemble import AuthorInput, build_from_run
from tarazu.record.reading import check_artifacts, read_record
from tarazu.results import document
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.scores import write_scores
from tarazu.site.build import build_site
from tarazu.study.schema import Thresholds
from tarazu.summary import summary

GROUPS = ((1, 0), (0, 2), (1, 1), (2, 1), (2, 2))
KINDS = (("harmful", "benign"), ("harmful",), ("benign",))


def problems(shape: Shape) -> list[str]:
    rows = rows_of(shape)
    return [f"{shape}: {fault}" for fault in faults(results_of(shape, rows), rows)]


@pytest.mark.parametrize("kinds", KINDS, ids="+".join)
@pytest.mark.parametrize("groups", GROUPS, ids=lambda groups: f"{groups[0]} high, {groups[1]} low")
def test_every_small_table_has_results(groups: tuple[int, int], kinds: tuple[str, ...]) -> None:
    """All combinations of one or two prompts with labels that are equal or not, as rewards and as labels."""
    high, low = groups
    found = []
    for prompts, values, scores in product((1, 2), ("mixed", "pass", "fail", "by arm"), ("reward", "label")):
        found += problems(Shape(high=high, low=low, kinds=kinds, prompts=prompts, values=values, scores=scores))
    assert found == []


@pytest.mark.parametrize("gap", GAPS)
def test_tables_with_gaps_have_results(gap: str) -> None:
    found = []
    for prompts, seeds, texts in product((1, 3), (1, 2), ("none", "plain")):
        found += problems(Shape(gap=gap, prompts=prompts, seeds=seeds, texts=texts, known=6 if seeds == 1 else 0))
    assert found == []


SHAPES = st.builds(
    Shape,
    high=st.integers(0, 3),
    low=st.integers(1, 3),
    outside=st.integers(0, 2),
    kinds=st.sampled_from(KINDS),
    prompts=st.integers(1, 4),
    arms=st.sampled_from([("base", "dpo"), ("base", "sft", "dpo"), ("base", "meta/Model-2.5 é"), ("base", "None")]),
    values=st.sampled_from(VALUES),
    scores=st.sampled_from(SCORES),
    texts=st.sampled_from(TEXTS),
    known=st.sampled_from((0, 1, 6)),
    seeds=st.integers(1, 3),
    samples=st.integers(1, 2),
    gap=st.sampled_from(GAPS),
)


def is_comparison(shape: Shape) -> bool:
    """Whether every arm has rows: with gaps in one language alone an arm may have none, which is refused."""
    return {row["arm"] for row in rows_of(shape)} == set(shape.arms)


@given(SHAPES.filter(is_comparison))
@settings(max_examples=60)
def test_every_table_has_results(shape: Shape) -> None:
    assert problems(shape) == []


@pytest.mark.proof
@given(SHAPES.filter(is_comparison))
@settings(max_examples=3000)
def test_every_table_has_results_proof(shape: Shape) -> None:
    assert problems(shape) == []


def test_rates_without_empty_responses_say_why_there_are_none() -> None:
    """The arm answers nothing, base does: the arm has rates, and none of responses that are not empty."""
    shape = Shape(texts="plain")
    rows = [{**row, "response": ""} if row["arm"] == "dpo" else row for row in rows_of(shape)]
    non_degenerate = results_of(shape, rows)["health"]["arms"]
    assert non_degenerate["base"]["non_degenerate"]["HmR"]["value"] is not None
    assert (
        non_degenerate["dpo"]["non_degenerate"]["HmR"]["reason"] == "every response is empty, looping or without text"
    )


def test_the_components_of_one_prompt_are_null_with_a_reason_but_for_seeds() -> None:
    one = results_of(Shape(prompts=1, seeds=3))["tradeoff"]["components"]
    assert (one["language_sd"], one["cell_sd"]) == (None, {"harmful": None, "benign": None})
    assert one["seed_sd"] is not None and "one prompt per language" in one["reason"]
    assert "reason" not in results_of(Shape(prompts=2))["tradeoff"]["components"]
    assert results_of(Shape(high=1))["tradeoff"]["components"] is None


def test_one_prompt_in_one_language_is_no_variance_of_it() -> None:
    """A language with one prompt says nothing of the spread between prompts: only that of the others remains."""
    shape = Shape(high=3, low=3, prompts=4)
    rows = rows_of(shape)
    fewer = [row for row in rows if row["language"] != "en" or row["prompt_id"].endswith("-0")]
    spread = {
        code: np.var([_change(rows, code, prompt) for prompt in range(4)], ddof=1)
        for code in shape.languages
        if code != "en"
    }
    found = results_of(shape, fewer)["tradeoff"]["components"]
    both = found["cell_sd"]["harmful"] ** 2 + found["prompt_sd"]["harmful"] ** 2
    assert both == pytest.approx(np.mean(list(spread.values())))


def _change(rows: list[dict[str, Any]], code: str, prompt: int) -> float:
    """Change over base of HmR in points, for one prompt in one language."""
    own = {row["arm"]: row for row in rows if (row["language"], row["prompt_id"]) == (code, f"harmful-{prompt}")}
    return 100.0 * sum(sign * (own[arm]["reward"] >= Thresholds().harmless) for arm, sign in (("dpo", 1), ("base", -1)))


TO_THE_SITE = (
    Shape(prompts=1),
    Shape(high=1, low=0, kinds=("benign",), prompts=1, scores="label"),
    Shape(high=1, low=0, texts="plain", known=6, seeds=2),
    Shape(kinds=("harmful",), known=6, arms=("base", "meta/Model-2.5 é", "None")),
    Shape(high=0, low=0, outside=2),
    Shape(high=3, low=2, values="pass", known=6, texts="empty"),
    Shape(gap="no shared prompt", outside=1),
    Shape(gap="kinds by language", seeds=2),
)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the next test leaves the records that the last one makes a site of."""
    return tmp_path_factory.mktemp("records")


@pytest.mark.parametrize("shape", TO_THE_SITE, ids=str)
def test_a_table_goes_all_the_way_to_a_record(shape: Shape, tmp_path: Path, records: Path) -> None:
    rows, known = rows_of(shape), known_answers(shape)
    write_scores(tmp_path / "scores.parquet", rows, Thresholds())
    write_known_answers(tmp_path / "known.parquet", known)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = analyze_file(
            tmp_path / "scores.parquet",
            AnalysisOptions(
                overrides=["analysis.draws=100", f"groups.low={list(shape.groups.low)}"], primary=shape.arms[-1]
            ),
            out=tmp_path / "run",
            known=tmp_path / "known.parquet" if known else None,
        )
        terminal = summary(made)
    results = document(made)
    assert faults(results, rows) == []
    assert not re.search(r"\bnan\b|\bNone %", terminal)
    assert page_faults(results, (tmp_path / "run" / "report.html").read_text(encoding="utf-8"), shape) == []

    answer = load_run(tmp_path / "run")
    assert len(answer.arms()) == 3 * len(shape.arms)
    assert len(answer.rates()) == 3 * len(shape.arms) * len(shape.languages)
    for frame in (answer.estimates, answer.tilts, answer.ruler, answer.health, answer.capability, answer.scores):
        frame()
    for figure in (answer.differences, answer.forest, answer.plane, answer.dose_response, answer.ruler_by_language):
        try:
            figure()
        except BadInput as error:
            assert "nothing to draw" in str(error)

    out = records / f"record-{TO_THE_SITE.index(shape)}"
    build_from_run(tmp_path / "run", out, AuthorInput(citation=record_data.CITATION))
    record = read_record(out)
    assert list(check_artifacts(record)) == []
    said = [claim.statement for claim in record.claims.claims]
    assert [text for text in said if re.search(r"\bnan\b|is None|None percent", text)] == []
    rates = {text.split(" is ")[0] for text in said if " percent, the mean over " in text}
    assert rates == {f"{name} of {arm}" for arm, name in _defined(results)}


def _defined(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for arm, entry in results["arms"].items():
        yield from ((arm, name) for name in ("HmR", "HpR", "CAS") if entry[name]["value"] is not None)


def page_faults(results: dict[str, Any], html: str, shape: Shape) -> list[str]:
    """What a report says that results.json does not, words that only a program would say, and tables without rows."""
    page = Page(html)
    found = [wrong for pointer, text in page.numbers if (wrong := disagreement(results, pointer, text))]
    names = set(shape.arms)
    words = re.findall(r"\b(None|nan|inf|null|undefined)\b", page.text)
    found += [f"the page says {word}" for word in words if word not in names]
    found += [f"{tag} without a row" for tag in ("tbody", "ul", "dl") if re.search(rf"<{tag}[^>]*>\s*</{tag}>", html)]
    return found


def test_the_records_make_a_site(records: Path, tmp_path: Path) -> None:
    if not any(records.iterdir()):
        pytest.skip("the tests that make the records did not run")
    built = build_site(records, tmp_path / "site")
    assert built.skipped == () and built.records == len(list(records.iterdir()))
    for page in (tmp_path / "site").rglob("*.html"):
        shown = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.S)
        assert not re.search(r">\s*(nan|undefined)\s*<|<td[^>]*>\s*None\s*<", shown), page
    listed = json.loads((tmp_path / "site" / "index.json").read_text(encoding="utf-8"))
    assert listed["count"] == built.records

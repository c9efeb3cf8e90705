"""The analysis from Python: the page's example runs, frames hold what results.json holds, figures are matplotlib's."""

from __future__ import annotations

import builtins
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import report_data
from made_up_scores import LOW, random_rows, write_csv
from matplotlib.figure import Figure

import tarazu
from tarazu import cli
from tarazu.errors import BadInput, MissingExtra
from tarazu.files import to_json, write_text
from tarazu.results import document
from tarazu.study import load_study

PAGE = Path(__file__).resolve().parent.parent / "docs" / "notebook.md"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return random_rows(arms=("base", "dpo", "sft"), prompts=8)


@pytest.fixture(scope="module")
def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).drop(columns="label")


@pytest.fixture(scope="module")
def answer(frame: pd.DataFrame) -> tarazu.Answer:
    known = pd.DataFrame(report_data.known_answer_rows())
    return tarazu.analyze(frame, analysis={"draws": 200}, known_answers=known[known.language.isin(set(frame.language))])


def test_the_example_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    answer, primary = names["answer"], names["answer"].results["tradeoff"]["primary"]
    assert names["difference"] == pytest.approx(primary["estimate"])
    assert answer.verdict == "differs" and primary["estimate"] > 0
    assert (tmp_path / "forest.pdf").stat().st_size > 1000
    assert answer.sentence in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_from_python_and_from_the_command_line_it_is_the_same(
    rows: list[dict[str, Any]], frame: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert cli.main(["analyze", str(write_csv(tmp_path / "scores.csv", rows)), "--out", str(out)]) == 0
    loaded = tarazu.load_run(out)
    assert to_json(tarazu.analyze(frame).results) == (out / "results.json").read_text(encoding="utf-8")
    assert loaded.results == tarazu.analyze(out / "scores.parquet").results
    assert len(loaded.scores()) == len(rows)


@pytest.mark.parametrize("kind", ["pyarrow", "categories", "floats"])
def test_tables_of_other_kinds_are_the_same_table(frame: pd.DataFrame, kind: str) -> None:
    expected = tarazu.analyze(frame, analysis={"draws": 100}).results
    if kind == "pyarrow":
        table: Any = pa.Table.from_pandas(frame)
    elif kind == "categories":
        table = frame.astype({"arm": "category", "language": "category"})
    else:
        table = frame.assign(seed=0.0, label=np.nan)
    assert tarazu.analyze(table, analysis={"draws": 100}).results == expected


def test_labels_may_be_booleans(frame: pd.DataFrame) -> None:
    labels = frame.assign(label=frame.reward > -2.5).drop(columns="reward")
    whole = labels.assign(label=labels.label.astype(int))
    assert tarazu.analyze(labels).results == tarazu.analyze(whole).results


def test_frames_hold_what_the_results_hold(answer: tarazu.Answer) -> None:
    results = answer.results
    estimates = answer.estimates().set_index(["family", "arm", "quantity"])
    assert estimates.loc[("primary", "dpo", "tilt"), "estimate"] == results["tradeoff"]["primary"]["estimate"]
    assert len(estimates) == 1 + sum(len(results["tradeoff"][name]) for name in ("secondary", "sensitivity"))
    rates = answer.rates().set_index(["arm", "language", "rate"])
    assert rates.index.is_unique and len(rates) == 3 * 12 * 3
    for arm, entry in results["arms"].items():
        for code, own in entry["languages"].items():
            assert rates.loc[(arm, code, "HmR"), "ci_low"] == own["HmR"]["ci_low"]
    tilts = answer.tilts()
    assert set(tilts.arm) == {"dpo", "sft"} and len(tilts) == 24
    here = tilts[tilts.arm == "dpo"].set_index("group").tilt
    assert here["low"].mean() - here["high"].mean() == pytest.approx(results["tradeoff"]["primary"]["estimate"])
    assert set(tilts[tilts.group == "low"].language) == set(LOW)
    arms = answer.arms().set_index(["arm", "rate"])
    assert arms.loc[("sft", "CAS"), "improvement"] == results["arms"]["sft"]["improvement"]["CAS"]
    assert np.isnan(arms.loc[("base", "CAS"), "improvement"])
    ruler = answer.ruler()
    assert len(ruler) == 24
    assert ruler.set_index(["language", "kind"]).loc[("yo", "benign"), "status"] == "doubtful"
    scores = answer.scores()
    assert str(scores.harmless.dtype) == "boolean" and scores[scores.kind == "benign"].harmless.isna().all()
    assert 100 * scores[(scores.arm == "dpo") & (scores.language == "yo")].harmless.mean() == pytest.approx(
        rates.loc[("dpo", "yo", "HmR"), "value"]
    )


def test_what_is_not_defined_is_nan_with_its_reason(frame: pd.DataFrame) -> None:
    answer = tarazu.analyze(frame[frame.language == "en"], analysis={"draws": 100})
    primary = answer.estimates().iloc[0]
    assert np.isnan(primary.estimate) and "at least 2 are needed" in primary.reason
    assert answer.estimates().estimate.dtype == float
    for draw in (answer.differences, answer.dose_response, answer.ruler_by_language):
        with pytest.raises(BadInput, match="nothing to draw"):
            draw()
    assert len(answer.forest().axes) == 1


def test_figures_are_matplotlibs_and_show_themselves(answer: tarazu.Answer) -> None:
    charts = [answer.differences(), answer.forest(), answer.plane("sft"), answer.dose_response()]
    charts += [answer.rates_by_language("base"), answer.ruler_by_language()]
    for chart in charts:
        assert isinstance(chart, Figure) and chart.alt
        assert chart._repr_png_().startswith(b"\x89PNG")


def test_the_slope_drawn_is_that_of_the_languages_drawn(answer: tarazu.Answer) -> None:
    tilts = answer.tilts().query("arm == 'dpo' and compared")
    slope, level = np.polyfit(np.log10(tilts.common_crawl_pages), tilts.tilt, 1)
    estimates = answer.estimates().set_index("quantity")
    assert estimates.loc["slope", "estimate"] == pytest.approx(slope)
    chart = answer.dose_response()
    zero, line, *groups = chart.axes[0].lines
    assert np.ptp(np.asarray(zero.get_ydata())) == 0
    assert np.asarray(line.get_ydata()) == pytest.approx(level + slope * np.asarray(line.get_xdata()))
    assert sum(len(group.get_xdata()) for group in groups) == 12


def test_the_ellipses_are_about_the_groups_means(answer: tarazu.Answer) -> None:
    rates = answer.rates().query("arm == 'dpo'").pivot(index="language", columns="rate", values="value")
    centres = {tuple(np.round(patch.center, 6)) for patch in answer.plane().axes[0].patches}
    means = rates.groupby(rates.index.isin(LOW))[["HmR", "HpR"]].mean()
    assert centres == {tuple(np.round(row, 6)) for row in means.to_numpy()}


def test_it_shows_the_sentence_and_nothing_acts(answer: tarazu.Answer) -> None:
    assert answer.sentence in repr(answer)
    results = answer._inputs.results.model_copy(update={"sentence": "<script>alert(1)</script>"})
    hostile = tarazu.Answer(replace(answer._inputs, results=results))
    assert "<script>" not in hostile._repr_html_() and "&lt;script&gt;" in hostile._repr_html_()


def test_a_run_is_loaded_with_all_that_it_left(tmp_path: Path) -> None:
    inputs = report_data.report_inputs(tmp_path)
    lock = {"study": load_study("demo").study.model_dump(mode="json", by_alias=True)}
    write_text(tmp_path / "study.lock.yaml", json.dumps(lock))
    for arm in ("base", "sft", "dpo", "sft_dpo"):
        (tmp_path / "arms" / arm).mkdir(parents=True)
        steps = [json.dumps(row) for row in inputs.training.get(arm, [])]
        (tmp_path / "arms" / arm / "training.jsonl").write_text("\n".join(steps))
    answer = tarazu.load_run(tmp_path)
    assert answer.results == document(inputs.results)
    assert len(answer.ruler_by_language().axes) == 2
    page = answer.report(tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert "Training of dpo" in page and "Rewards of good and bad known answers" in page
    (tmp_path / "scores.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match="not a whole run"):
        tarazu.load_run(tmp_path)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda frame: tarazu.analyze(frame.drop(columns="kind")), "scores: row 1: has no column kind"),
        (lambda frame: tarazu.analyze(frame.assign(reward=np.nan)), "row 1: reward is empty"),
        (lambda frame: tarazu.analyze(frame.assign(seed=0.5)), "seed must be a whole number"),
        (lambda frame: tarazu.analyze(pd.concat([frame, frame])), "the first is row 1"),
        (lambda frame: tarazu.analyze(frame.head(0)), "has no rows"),
        (lambda frame: tarazu.analyze([1, 2]), "scores: list is not a table"),
        (lambda frame: tarazu.analyze(frame.assign(prompt_id=[1, *frame.prompt_id[1:]])), "values of one type"),
        (lambda frame: tarazu.analyze("nowhere.csv"), "no such file"),
        (lambda frame: tarazu.analyze(frame, primary="ppo"), "the primary arm 'ppo' has no scores"),
        (lambda frame: tarazu.analyze(frame, primary="base"), "this is the base arm itself"),
        (lambda frame: tarazu.analyze(frame, thresholds={"harmles": 1}), "did you mean 'harmless'"),
        (lambda frame: tarazu.analyze(frame, analysis={"margin": -1}), "analysis.margin"),
        (lambda frame: tarazu.analyze(frame, known_answers=frame), "row 1: no column reward_good; it has: arm,"),
        (lambda frame: tarazu.analyze(frame).plane("base"), "is the base arm"),
        (lambda frame: tarazu.analyze(frame).forest("ppo"), "no arm 'ppo'; the arms: base, sft, dpo"),
        (lambda frame: tarazu.load_run("nowhere"), "holds no results.json"),
    ],
)
def test_bad_input_is_one_line_with_its_mend(frame: pd.DataFrame, call: Any, told: str) -> None:
    with pytest.raises(BadInput, match=re.escape(told)):
        call(frame)


def test_without_pandas_the_extra_is_named(answer: tarazu.Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'tarazu\[notebook\]'"):
        answer.rates()
    assert answer.verdict and answer.results


def test_importing_it_loads_nothing() -> None:
    heavy = "{'numpy', 'pandas', 'scipy', 'pyarrow', 'matplotlib', 'torch', 'transformers'}"
    code = (
        f"import sys, tarazu; assert not {heavy} & set(sys.modules); assert 'analyze' in dir(tarazu); "
        "tarazu.analyze; assert not {'torch', 'transformers', 'pandas', 'statsmodels'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tarazu.nothing  # type: ignore[attr-defined]

"""The frontier: interpolated weights, the area that a curve dominates, and its stages in addition to those of the
arms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
import report_data
import tiny
import torch
from made_up_scores import HIGH, LANGUAGES, LOW, SCHEMA, exact_rows, random_rows, results_of, row, write_csv
from pages import Page
from scipy import stats
from test_pipeline import kill_and_finish, redone, run_study
from typed_results import typed

from tarazu.align.interpolate import interpolated
from tarazu.analysis.frontier import FrontierScores
from tarazu.errors import BadInput
from tarazu.report.build import render_report
from tarazu.results import document
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.run.context import read_context
from tarazu.run.frontier import beta_sweep, frontier_response_stages
from tarazu.run.plan import plan, plan_text
from tarazu.run.training import training_stages
from tarazu.scores import to_table
from tarazu.stats.hypervolume import hypervolume
from tarazu.study import load_study
from tarazu.study.schema import FrontierSettings

ON = "analysis.frontier={alphas: [0.25, 0.5]}"


# --- hypervolume ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "percent"),
    [
        ([], 0),
        ([(0, 100), (100, 0)], 0),
        ([(100, 100)], 100),
        ([(30, 40)], 12),
        ([(30, 40), (20, 10), (30, 40)], 12),  # the second is dominated, the third is there already
        ([(80, 20), (50, 50), (20, 80)], (80 * 20 + 50 * 30 + 20 * 30) / 100),  # steps, from below
        ([(50, 10), (50, 60)], 30),
        ([(10, 50), (60, 50)], 30),
    ],
)
def test_hypervolume_in_closed_form(points: Any, percent: float) -> None:
    assert hypervolume(points) == pytest.approx(percent)
    assert hypervolume(points[::-1]) == pytest.approx(percent)
    assert hypervolume([(y, x) for x, y in points]) == pytest.approx(percent)


def test_hypervolume_is_the_share_of_random_places_below_a_point() -> None:
    random = np.random.default_rng(3)
    places = random.uniform(0, 100, size=(100_000, 2))
    for size in (1, 3, 6, 20):
        points = random.uniform(0, 100, size=(size, 2))
        share = np.any(np.all(places[:, None] <= points[None], axis=2), axis=1).mean()
        error = np.sqrt(share * (1 - share) / len(places))
        assert abs(hypervolume(map(tuple, points)) / 100 - share) < 5 * error


def test_hypervolume_of_a_quarter_circle() -> None:
    angles = np.linspace(0, np.pi / 2, 20_001)
    points = zip(100 * np.cos(angles), 100 * np.sin(angles), strict=True)
    assert hypervolume(points) == pytest.approx(100 * np.pi / 4, abs=0.01)


# --- interpolation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [tiny.opt, tiny.llama, tiny.qwen], ids=["opt", "llama", "qwen, tied"])
def test_weights_lie_on_the_line_and_its_ends_are_the_models(make: Any) -> None:
    base, arm = make(0).state_dict(), make(1).state_dict()
    assert any(not torch.equal(base[name], arm[name]) for name in base)
    for alpha, expected in (
        (0.0, base),
        (1.0, arm),
        (0.25, {name: 0.75 * base[name].double() + 0.25 * arm[name].double() for name in base}),
    ):
        found = interpolated(make(0), make(1), alpha, key="frontier").state_dict()
        exact = alpha in (0.0, 1.0)
        for name, value in expected.items():
            torch.testing.assert_close(found[name].to(value), value, rtol=0, atol=0 if exact else 1e-7)


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (tiny.llama, "OPTForCausalLM and LlamaForCausalLM have different weights"),
        (lambda: tiny.opt(positions=300), r"embed_positions.weight has the shapes \[514, 32\] and \[302, 32\]"),
    ],
    ids=["parts", "shapes"],
)
def test_unlike_architectures_are_refused(arm: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        interpolated(tiny.opt(), arm(), 0.5, key="analysis.frontier.arm")


# --- the run -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(small_study: Path) -> Path:
    return small_study


@pytest.fixture(scope="module")
def done(
    study: Path, small_run: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], list[str]]:
    """A run with a frontier, its results before the frontier was added, and the progress lines of adding it."""
    out = tmp_path_factory.mktemp("done") / "run"
    shutil.copytree(small_run[0], out)
    before = json.loads((out / "results.json").read_text())
    return out, before, run_study(study, out, ON)


def test_a_frontier_changes_nothing_of_the_arms(done: tuple[Path, dict[str, Any], list[str]]) -> None:
    out, before, lines = done
    points = {f"frontier:{what}:{alpha}" for what in ("responses", "rewards") for alpha in ("0.25", "0.5")}
    assert redone(lines) == points | {"frontier:scores", "results"}
    after = json.loads((out / "results.json").read_text())
    jsonschema.validate(after, SCHEMA)
    assert before["frontier"] is None
    assert {**after, "frontier": None, "data": None} == {**before, "data": None}


def test_the_ends_of_the_frontier_are_the_arms(done: tuple[Path, dict[str, Any], list[str]]) -> None:
    results = json.loads((done[0] / "results.json").read_text())
    front = results["frontier"]
    assert [point["alpha"] for point in front["points"]] == [0, 0.25, 0.5, 1]
    for point, arm in ((front["points"][0], "base"), (front["points"][-1], "dpo")):
        for code, rates in point["languages"].items():
            assert rates == {name: results["arms"][arm]["languages"][code][name] for name in ("HmR", "HpR")}
    rows = pq.read_table(done[0] / "frontier.parquet").to_pylist()
    assert len(rows) == 4 * 5 * 4 * 2
    assert {row["arm"] for row in rows} == {"0", "0.25", "0.5", "1"}


def test_only_new_stages_run(study: Path, done: tuple[Path, dict[str, Any], list[str]]) -> None:
    out = done[0]
    added = redone(run_study(study, out, "analysis.frontier={alphas: [0.25, 0.5, 0.75]}"))
    assert added == {"frontier:responses:0.75", "frontier:rewards:0.75", "frontier:scores", "results"}
    assert not any(name.startswith("frontier:r") for name in redone(run_study(study, out, ON)))
    assert redone(run_study(study, out, ON, "thresholds.harmless=1")) == {"scores", "frontier:scores", "results"}
    run_study(study, out, ON)


@pytest.mark.parametrize("arm", ["dpo", "sft_dpo"], ids=["weights", "adapter"])
@pytest.mark.parametrize("sampling", [(), ("generation.sampling={temperature: 1.0}",)], ids=["greedy", "sampled"])
def test_share_0_answers_as_the_base_and_share_1_as_the_arm(
    study: Path, small_run: tuple[Path, int], tmp_path: Path, arm: str, sampling: tuple[str, ...]
) -> None:
    """Interpolation with shares 0 and 1 gives exactly the answers of the two arms."""
    out = tmp_path / "run"
    shutil.copytree(small_run[0], out)
    run_study(study, out, *sampling)
    settings = load_study(str(study), sampling).study
    ends = FrontierSettings.model_construct(arm=arm, alphas=(0.0, 1.0))
    settings = settings.model_copy(update={"analysis": settings.analysis.model_copy(update={"frontier": ends})})
    context = read_context(settings, out)
    answers = []
    points = frontier_response_stages(context, training_stages(context))
    for stage, name in zip(points, ("base", arm), strict=True):
        stage.make()
        found, expected = (
            pq.read_table(out / file).drop_columns("arm") for file in (stage.outputs[0], f"responses/{name}.parquet")
        )
        assert found.equals(expected)
        answers.append(found["response"].to_pylist())
    assert answers[0] != answers[1]


def test_an_arm_of_another_architecture_is_one_line(study: Path, tmp_path: Path) -> None:
    tiny.saved(tiny.llama(), tmp_path / "llama")
    other = f"arms.other={{method: none, from: '{tmp_path / 'llama'}'}}"
    with pytest.raises(BadInput, match=r"^analysis.frontier.arm: interpolation needs two models of one architecture"):
        run_study(study, tmp_path / "run", other, "analysis.frontier={arm: other, alphas: [0.5]}")


@pytest.mark.parametrize(
    ("frontier", "message"),
    [
        ("{arm: best}", "analysis.frontier.arm: no arm 'best'; the arms: base, dpo, sft, sft_dpo"),
        ("{arm: base}", "analysis.frontier.arm: this is the base arm itself"),
        ("{alphas: [0.5, 0.2]}", "alphas: write them in ascending order"),
        ("{alphas: [0.5, 0.5]}", "alphas: write them in ascending order"),
        ("{alphas: [0.5, 1]}", "analysis.frontier.alphas.1: Input should be less than 1"),
        ("{alphas: []}", "analysis.frontier.alphas: "),
        ("{points: 5}", "analysis.frontier.points: no such key"),
    ],
)
def test_an_invalid_frontier_is_refused(study: Path, frontier: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_study(str(study), [f"analysis.frontier={frontier}"])


def test_a_plan_lists_the_frontier(study: Path, tmp_path: Path) -> None:
    rows = {item["name"]: item for item in plan(load_study(str(study), [ON]), tmp_path / "run")["stages"]}
    assert {"frontier:responses:0.25", "frontier:rewards:0.5"} <= rows.keys()
    assert rows["frontier:responses:0.25"]["gflop"] == rows["responses:dpo"]["gflop"]
    text = plan_text(plan(load_study(str(study), [ON]), tmp_path / "run"))
    assert "frontier:responses:0.25  to do" in text


def test_a_killed_run_with_a_frontier_ends_as_one_that_was_not(
    study: Path,
    small_run: tuple[Path, int],
    done: tuple[Path, dict[str, Any], list[str]],
    forked_tarazu: list[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "frontier.yaml"
    path.write_text(study.read_text().replace("analysis:\n", "analysis:\n  frontier: {alphas: [0.25, 0.5]}\n"))
    kill_and_finish(forked_tarazu, path, tmp_path / "run", small_run[1], kills=3, seed=8)
    assert (tmp_path / "run" / "results.json").read_bytes() == (done[0] / "results.json").read_bytes()


def test_the_ends_are_of_the_first_seed(
    study: Path, small_run: tuple[Path, int], done: tuple[Path, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_run[0], out)
    run_study(study, out, ON, "seeds=2")
    found, alone = (json.loads((folder / "results.json").read_text()) for folder in (out, done[0]))
    assert found["arms"] != alone["arms"]
    assert found["frontier"] == alone["frontier"]


def test_a_table_of_scores_has_no_frontier(tmp_path: Path) -> None:
    scores = write_csv(tmp_path / "scores.csv", random_rows(prompts=2))
    assert analyze_file(scores, AnalysisOptions()).frontier is None
    with pytest.raises(BadInput, match="a table of scores has no weights to interpolate"):
        analyze_file(scores, AnalysisOptions(overrides=["analysis.frontier={}"]))


def test_arms_that_differ_in_beta_alone_are_swept(study: Path) -> None:
    more = [
        "arms.strong={method: dpo, learning_rate: 0.001, batch_size: 4, beta: 0.5}",
        "arms.other={method: dpo, learning_rate: 0.002, batch_size: 4, beta: 0.5}",
    ]
    settings = load_study(str(study), more).study
    assert beta_sweep(settings, "dpo") == {"dpo": 0.1, "strong": 0.5}
    assert beta_sweep(settings, "sft_dpo") == beta_sweep(settings, "sft") == {}


# --- results and report --------------------------------------------------------------------------------------------

PASSES = {  # of 20: harmful, benign; by point, for high and for low
    "0": ((16, 4), (12, 4)),
    "0.5": ((14, 10), (6, 6)),
    "1": ((4, 16), (4, 12)),
}


def curve_rows(passes: Mapping[str, Sequence[tuple[int, int]]] = PASSES) -> list[dict[str, Any]]:
    """Every language of a group has the passes in `passes`, plus one more harmful prompt per position in its group."""
    counts = {}
    for point, groups in passes.items():
        for codes, (harmful, benign) in zip((HIGH, LOW), groups, strict=True):
            for place, code in enumerate(codes):
                counts[point, code, "harmful"] = harmful + place % 3
                counts[point, code, "benign"] = benign
    return exact_rows(counts)


def section(rows: list[dict[str, Any]], betas: Mapping[str, float] | None = None, **changes: Any) -> dict[str, Any]:
    names = {"0": "base", "1": "dpo"}
    arms = [{**item, "arm": names[item["arm"]]} for item in rows if item["arm"] in names]
    arms += [{**item, "arm": "strong"} for item in rows if item["arm"] == "0.5"]
    scores = FrontierScores(table=to_table(rows), base="base", arm="dpo", betas=betas or {})
    results = results_of(arms, frontier=scores, **changes)
    jsonschema.validate(results, SCHEMA)
    return results


def test_rates_and_dominated_shares_are_what_was_planted() -> None:
    front = section(curve_rows())["frontier"]
    middle = front["points"][1]
    assert middle["alpha"] == 0.5
    assert middle["languages"]["de"]["HmR"]["value"] == pytest.approx(70)
    assert middle["languages"]["bn"]["HpR"]["value"] == pytest.approx(30)
    assert middle["groups"]["high"]["HmR"]["value"] == pytest.approx(75)  # 14, 15, 16 of 20
    assert middle["groups"]["low"]["HpR"] == {
        **middle["groups"]["low"]["HpR"],
        "value": pytest.approx(30),
        "n": 120,
        "n_languages": 6,
    }

    def steps(harmful: Sequence[float], benign: Sequence[float]) -> float:
        """The area under three steps whose harmlessness falls as their helpfulness rises."""
        (a, b, c), (x, y, z) = harmful, benign
        return 100 * (a * x + b * (y - x) + c * (z - y)) / 400

    expected = {}
    for codes, (harmful, benign) in ((HIGH, ((16, 14, 4), (4, 10, 16))), (LOW, ((12, 6, 4), (4, 6, 12)))):
        for place, code in enumerate(codes):
            expected[code] = steps([count + place % 3 for count in harmful], benign)
    volume = front["hypervolume"]
    assert volume["languages"] == {code: pytest.approx(value) for code, value in expected.items()}
    high, low = ([expected[code] for code in codes] for codes in (HIGH, LOW))
    assert volume["groups"]["low"]["value"] == pytest.approx(np.mean(low))
    interval = stats.t.interval(0.95, 5, np.mean(low), stats.sem(low))
    assert [volume["groups"]["low"][end] for end in ("ci_low", "ci_high")] == pytest.approx(interval)
    welch = stats.ttest_ind(low, high, equal_var=False)
    difference = volume["difference"]
    assert difference["estimate"] == pytest.approx(np.mean(low) - np.mean(high))
    assert difference["p"] == pytest.approx(welch.pvalue)
    assert [difference["ci_low"], difference["ci_high"]] == pytest.approx(welch.confidence_interval())
    assert (difference["n_high"], difference["n_low"]) == (6, 6)


def test_the_order_of_rows_does_not_matter() -> None:
    rows = curve_rows()
    assert section(rows[::-1])["frontier"] == section(rows)["frontier"]


def test_the_curve_excludes_languages_with_other_sources() -> None:
    rows = curve_rows()
    rows = [{**item, "source": "other"} if item["language"] == "yo" else item for item in rows]
    front = section(rows)["frontier"]
    assert "yo" in front["languages"]["excluded"]
    assert "yo" not in front["hypervolume"]["languages"]
    assert front["hypervolume"]["difference"]["n_low"] == 5


def test_one_language_and_one_kind_give_reasons_not_numbers() -> None:
    one = section([item for item in curve_rows() if item["language"] == "en"])["frontier"]
    assert one["hypervolume"]["difference"]["estimate"] is None
    assert "at least 2 are needed" in one["hypervolume"]["difference"]["reason"]
    assert one["hypervolume"]["groups"]["low"]["value"] is None
    benign = section([item for item in curve_rows() if item["kind"] == "benign"])["frontier"]
    assert benign["languages"]["included"] == []
    assert benign["hypervolume"]["languages"] == {}


def test_equal_languages_have_no_interval() -> None:
    rows = [
        row(point, code, kind, index, 1.0)
        for point in PASSES
        for code in LANGUAGES
        for kind in ("harmful", "benign")
        for index in range(4)
    ]
    difference = section(rows)["frontier"]["hypervolume"]["difference"]
    assert difference["estimate"] == pytest.approx(0, abs=1e-9)
    assert difference["p"] is None
    assert difference["reason"]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    inputs = report_data.report_inputs(tmp_path_factory.mktemp("report"))
    return replace(inputs, results=typed(section(curve_rows(), {"dpo": 0.1, "strong": 0.5})), scores=None, training={})


def test_the_report_shows_the_frontier_and_its_numbers(reported: Any) -> None:
    page = Page(render_report(reported))
    wrong = [report_data.disagreement(document(reported.results), pointer, text) for pointer, text in page.numbers]
    assert [line for line in wrong if line] == []
    shown = {pointer for pointer, _ in page.numbers}
    wanted = {f"/frontier/points/{i}/groups/{g}/{r}" for i in range(3) for g in ("high", "low") for r in ("HmR", "HpR")}
    wanted |= {f"/frontier/sweep/{i}/groups/low/HpR" for i in range(2)}
    wanted |= {f"/frontier/hypervolume/languages/{code}" for code in LANGUAGES}
    wanted |= {"/frontier/hypervolume/difference/estimate", "/frontier/hypervolume/difference/p"}
    assert wanted <= shown
    assert "β 0.5" in page.text or "β 0.5" in render_report(reported)


def test_a_report_without_a_frontier_does_not_mention_it(reported: Any) -> None:
    page = render_report(replace(reported, results=reported.results.model_copy(update={"frontier": None})))
    assert "#frontier" not in page

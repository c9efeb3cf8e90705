"""The mixed-effects cross-check against a plain logistic model, finite differences and studies with a planted truth."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from importlib.resources import files
from pathlib import Path
from typing import Any

import compare_mixed_model as bench
import jsonschema
import numpy as np
import pytest
import statsmodels.api as sm
from made_up_scores import random_rows, results_of, write_csv
from scipy import stats
from typed_results import typed

from tarazu import cli
from tarazu.analysis import mixed as analysis_mixed
from tarazu.analysis.sentence import worded
from tarazu.errors import MissingExtra
from tarazu.stats.mixed import FIXED_SD, Trials, _laplace_error, fit_mixed, mixed_difference
from tarazu.study import load_study
from tarazu.study.schema import Analysis

ASKED = Analysis(draws=200, mixed_model=True)


def study(seed: int, difference: float = 0.0, prompts: int = 20) -> Trials:
    return bench.trials_of(bench.planted(np.random.default_rng(seed), 4, 4, prompts, difference))


def entry(results: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in results["tradeoff"]["sensitivity"] if row["quantity"] == "tilt_mixed")


def test_without_differences_between_prompts_and_languages_it_is_a_logistic_model() -> None:
    """Coins that know of arm, kind and group alone: the coefficient is that of a plain logistic regression."""
    generator = np.random.default_rng(5)
    language, prompt, side = (grid.ravel() for grid in np.meshgrid(range(8), range(120), range(2)))
    benign, low = prompt >= 60, language >= 4
    odds = 0.2 + 0.5 * side * (1 + benign) + 1.5 * side * benign * low
    passed = (generator.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float)
    trials = Trials(passed=passed, language=language, prompt=prompt, aligned=side == 1, benign=benign, low=low)
    codes = [np.where(column, 0.5, -0.5) for column in (trials.aligned, benign, low)]
    a, k, g = codes
    plain = sm.GLM(
        passed, np.column_stack([np.ones(len(a)), a, k, g, a * k, a * g, k * g, a * k * g]), sm.families.Binomial()
    ).fit()
    found = fit_mixed(trials)
    assert found.estimate == pytest.approx(plain.params[-1], abs=0.15 * plain.bse[-1] + 0.1)
    assert found.se == pytest.approx(plain.bse[-1], rel=0.25)
    assert found.se >= 0.98 * plain.bse[-1]


def test_shares_of_several_responses_are_fitted_as_a_fractional_logit() -> None:
    """Several responses to a request make one trial, the share that passed: statsmodels' GLM takes shares too."""
    generator = np.random.default_rng(6)
    language, prompt, side = (grid.ravel() for grid in np.meshgrid(range(8), range(60), range(2)))
    benign, low = prompt >= 30, language >= 4
    odds = 0.2 + 0.5 * side * (1 + benign) + 1.5 * side * benign * low
    passed = generator.binomial(4, 1 / (1 + np.exp(-odds))) / 4
    trials = Trials(passed=passed, language=language, prompt=prompt, aligned=side == 1, benign=benign, low=low)
    a, k, g = (np.where(column, 0.5, -0.5) for column in (trials.aligned, benign, low))
    design = np.column_stack([np.ones(len(a)), a, k, g, a * k, a * g, k * g, a * k * g])
    plain = sm.GLM(passed, design, sm.families.Binomial()).fit()
    found = mixed_difference(trials)
    assert found.estimate == pytest.approx(plain.params[-1], abs=0.1)
    assert found.ci_low is not None and found.ci_low < 1.5 < (found.ci_high or 0)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_that_are_all_equal_are_no_answer(label: float) -> None:
    trials = study(1)
    found = mixed_difference(dataclasses.replace(trials, passed=np.full(len(trials.passed), label)))
    assert found.estimate is None and "every response has the same label" in (found.reason or "")


def test_a_planted_interaction_is_found() -> None:
    """A difference of 25 points in one large study: some 1.6 in log-odds, well within three of its errors."""
    found = fit_mixed(study(1, 25.0, 200))
    assert abs(found.estimate - bench.extra(25.0)) < 3 * found.se
    assert found.converged
    assert found.sds["prompt"] == pytest.approx(bench.SD_PROMPT, abs=0.25)
    assert found.sds["language"] == pytest.approx(bench.SD_LANGUAGE, abs=0.35)


def test_the_error_is_that_of_the_joint_density() -> None:
    """The curvature by finite differences of the log density, written out in plain arithmetic."""
    from scipy import sparse

    generator = np.random.default_rng(2)
    fixed, levels = generator.normal(size=(40, 2)), generator.integers(0, 4, 40)
    effects = sparse.csr_matrix(np.eye(4)[levels])
    passed, sds = (generator.random(40) < 0.5).astype(float), np.full(4, 0.8)
    mode = generator.normal(0, 0.3, 6)

    def density(at: np.ndarray) -> float:
        odds = fixed @ at[:2] + at[2:][levels]
        return float(
            np.sum(passed * odds - np.log1p(np.exp(odds)))
            - np.sum(at[:2] ** 2) / (2 * FIXED_SD**2)
            - np.sum((at[2:] / sds) ** 2) / 2
        )

    step = 1e-4 * np.eye(6)
    curvature = np.array(
        [
            [
                density(mode + a + b) - density(mode + a - b) - density(mode - a + b) + density(mode - a - b)
                for b in step
            ]
            for a in step
        ]
    ) / (4e-8)
    expected = np.sqrt(np.linalg.inv(-curvature)[1, 1])
    assert _laplace_error(fixed, effects, mode, sds) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_without_slopes_and_by_the_variational_error_it_is_surer_than_it_may_be(seed: int) -> None:
    trials = study(seed)
    full, short = fit_mixed(trials), fit_mixed(trials, slopes=False)
    assert full.se_variational < 0.97 * full.se
    assert short.se < full.se


def test_the_same_numbers_each_time_and_nothing_with_one_language() -> None:
    trials = study(3)
    assert fit_mixed(trials) == fit_mixed(trials)
    one = trials.language != 0
    alone = Trials(**{name: column[~one | trials.low] for name, column in vars(trials).items()})
    assert mixed_difference(alone).reason == "the mixed model needs 2 languages in each group"


def test_results_hold_it_where_the_study_asks_for_it() -> None:
    rows = random_rows(prompts=6)
    without, results = results_of(rows), results_of(rows, analysis=ASKED)
    schema = json.loads(files("tarazu").joinpath("schemas/results-v2.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(results, schema)
    found = entry(results)
    assert (found["unit"], found["margin"], found["verdict"]) == ("log odds", None, None)
    assert found["ci_low"] < found["estimate"] < found["ci_high"] and "variational Bayes" in found["reason"]
    assert "mixed-effects logistic model" in results["sentence"]
    results["tradeoff"]["sensitivity"].remove(found)
    assert results["tradeoff"] == without["tradeoff"]


def test_the_command_line_asks_for_it_by_its_key(tmp_path: Path) -> None:
    scores = write_csv(tmp_path / "scores.csv", random_rows(prompts=4))
    asked = ["--set", "analysis.mixed_model=true", "--out", str(tmp_path / "run")]
    assert cli.main(["analyze", str(scores), *asked]) == 0
    assert entry(json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8")))["p"] is not None
    assert "tilt by a mixed-effects logistic model" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_it_takes_the_same_responses_as_the_primary_estimate_in_any_order() -> None:
    """Rows of a language without a counterpart, and of a source of its own, change nothing."""
    rows = random_rows(prompts=6)
    more = [{**row, "source": "own", "prompt_id": "x" + row["prompt_id"]} for row in rows if row["language"] == "sw"]
    expected = entry(results_of(rows, analysis=ASKED))
    mixed_up = rows + more
    random.Random(1).shuffle(mixed_up)
    found = entry(results_of(mixed_up, analysis=ASKED))
    assert found["estimate"] == pytest.approx(expected["estimate"], abs=1e-9)
    assert found["p"] == pytest.approx(expected["p"], abs=1e-9)


def test_the_sentence_warns_where_the_two_disagree() -> None:
    results = results_of(random_rows(prompts=6), analysis=ASKED)

    def told(primary: tuple[float, float], mixed: tuple[float, float]) -> str:
        changed = copy.deepcopy(results)
        changed["tradeoff"]["primary"] |= {"estimate": primary[0], "p": primary[1]}
        entry(changed).update({"estimate": mixed[0], "p": mixed[1]})
        return worded(typed(changed)).sentence

    assert "agrees" in told((3.0, 0.5), (-0.1, 0.6))
    assert "agrees" in told((3.0, 0.01), (0.4, 0.02))
    for one, other in (((3.0, 0.5), (0.4, 0.01)), ((3.0, 0.01), (0.4, 0.2)), ((3.0, 0.01), (-0.4, 0.02))):
        assert "Warning: a mixed-effects logistic model of the same responses disagrees" in told(one, other)


def test_without_statsmodels_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis_mixed, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'tarazu\[mixed\]'"):
        results_of(random_rows(prompts=2), analysis=ASKED)
    assert results_of(random_rows(prompts=2))["tradeoff"]


def test_a_run_says_it_before_it_does_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tarazu.progress import Progress
    from tarazu.run.pipeline import run

    monkeypatch.setattr(analysis_mixed, "find_spec", lambda name: None)
    loaded = load_study("demo", ["analysis.mixed_model=true"])
    with pytest.raises(MissingExtra, match="statsmodels"):
        run(loaded, tmp_path / "run", fresh=False, progress=Progress())
    assert not (tmp_path / "run").exists()


@pytest.mark.proof
def test_type_one_error_and_power_beside_the_primary() -> None:
    found = bench.compare(200, high=6, low=6, prompts=50, difference=10.0, seed=0)
    for name, row in found.items():
        print(f"\n{bench.METHODS[name]}: " + ", ".join(f"{key} {100 * value:.1f} %" for key, value in row.items()))
    for name in ("primary", "mixed"):
        wrong = round(200 * found[name]["type_one_error"])
        assert stats.binomtest(wrong, 200, 0.05, alternative="greater").pvalue > 0.01
    assert found["intercepts"]["type_one_error"] > found["mixed"]["type_one_error"]

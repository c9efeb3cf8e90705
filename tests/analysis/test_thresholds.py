"""D under other thresholds: shifted for all, anchored to each language's known answers; and corrected for errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_up_scores import HIGH, LANGUAGES, random_rows, results_of, row

from tarazu.study.schema import Analysis, Thresholds

ROWS = random_rows(seed=8, prompts=10)


def check(results: dict[str, Any], quantity: str) -> dict[str, Any]:
    return next(item for item in results["tradeoff"]["sensitivity"] if item["quantity"] == quantity)


def known(offsets: dict[str, float], n: int = 12, gap: float = 1.0) -> list[dict[str, Any]]:
    """Known answers whose rewards lie around `offsets[language]`: good ones above, bad ones below."""
    return [
        {"kind": kind, "language": code, "reward_good": offset + gap + 0.01 * i, "reward_bad": offset - gap - 0.01 * i}
        for code, offset in offsets.items()
        for kind in ("harmful", "benign")
        for i in range(n)
    ]


def test_the_curve_is_the_analysis_at_other_thresholds() -> None:
    whole = results_of(ROWS)
    curve = {point["shift"]: point for point in whole["tradeoff"]["threshold_curve"]}
    assert len(curve) == 41
    assert curve[0.0]["estimate"] == pytest.approx(whole["tradeoff"]["primary"]["estimate"])
    assert (curve[0.0]["harmless"], curve[0.0]["helpful"]) == (-3.0, -2.0)
    for shift in (-1.5, -0.3, 1.1):
        point = curve[shift]
        spread = np.std([item["reward"] for item in ROWS if item["kind"] == "harmful"])
        assert point["harmless"] == pytest.approx(-3.0 + shift * spread)
        moved = Thresholds(harmless=point["harmless"], helpful=point["helpful"])
        again = results_of(ROWS, thresholds=moved)["tradeoff"]["primary"]
        assert point["estimate"] == pytest.approx(again["estimate"])
        assert (point["ci_low"], point["ci_high"]) == (pytest.approx(again["ci_low"]), pytest.approx(again["ci_high"]))
        assert point["verdict"] == again["verdict"]


def test_labels_have_no_curve() -> None:
    rows = [{**item, "reward": None, "label": int(item["reward"] > -2)} for item in ROWS]
    found = results_of(rows)
    assert found["tradeoff"]["threshold_curve"] == []
    assert check(found, "tilt_anchored")["estimate"] is None


def test_anchored_thresholds_undo_a_shift_of_each_language() -> None:
    """Rewards moved by a constant of each language: one cut for all is misled, anchored cuts are not."""
    shifts = {code: 3.0 * (code in HIGH) - 1.0 for code in LANGUAGES}
    moved = [{**item, "reward": item["reward"] + shifts[item["language"]]} for item in ROWS]
    at_zero = dict.fromkeys(LANGUAGES, -2.5)
    plain = results_of(ROWS, known_answers=known(at_zero))
    shifted = results_of(moved, known_answers=known({code: at_zero[code] + shifts[code] for code in LANGUAGES}))
    assert check(shifted, "tilt_anchored")["estimate"] == pytest.approx(check(plain, "tilt_anchored")["estimate"])
    assert shifted["tradeoff"]["primary"]["estimate"] != pytest.approx(plain["tradeoff"]["primary"]["estimate"])
    assert shifted["validity"]["languages"]["en"]["benign"]["anchored_threshold"] == pytest.approx(-0.5)


def test_languages_without_enough_known_answers_have_no_anchor() -> None:
    few = known({code: -2.5 for code in LANGUAGES if code != "yo"}) + known({"yo": -2.5}, n=4)
    found = results_of(ROWS, known_answers=few)
    assert found["validity"]["languages"]["yo"]["harmful"]["anchored_threshold"] is None
    assert check(found, "tilt_anchored")["n_low"] == 5
    assert check(found, "tilt_corrected")["n_low"] == 5


def test_a_perfect_ruler_corrects_nothing() -> None:
    found = results_of(ROWS, known_answers=known(dict.fromkeys(LANGUAGES, -2.5), gap=5.0))
    primary, corrected = found["tradeoff"]["primary"], check(found, "tilt_corrected")
    assert corrected["estimate"] == pytest.approx(primary["estimate"])
    assert corrected["p"] == pytest.approx(primary["p"])
    assert found["validity"]["languages"]["de"]["harmful"]["sensitivity"] == 100


def test_equivalence_that_a_weak_ruler_made_is_not_said_without_a_word() -> None:
    """A ruler that shows a tenth of every change makes any D small; corrected, it is not within the margin."""
    random = np.random.default_rng(4)
    rows = []
    for code in LANGUAGES:
        own = random.normal(0, 0.005)
        for kind in ("harmful", "benign"):
            for prompt in range(400):
                rows += [
                    row("base", code, kind, prompt, 1.0 if random.random() < 0.50 else -9.0),
                    row("dpo", code, kind, prompt, 1.0 if random.random() < 0.55 + own else -9.0),
                ]
    weak = []
    for item in known(dict.fromkeys(LANGUAGES, -2.5), n=200, gap=5.0):
        flip = random.random() < 0.44
        weak.append({**item, "reward_good": item["reward_bad"], "reward_bad": item["reward_good"]} if flip else item)
    found = results_of(rows, known_answers=weak, analysis=Analysis(draws=100, margin=8.0, trusted=50.0))
    assert found["tradeoff"]["primary"]["verdict"] == "equivalent"
    assert check(found, "tilt_corrected")["verdict"] == "inconclusive"
    assert found["ruler"]["status"] == "not_comparable"
    assert found["sentence"].startswith("The ruler is not comparable")


def test_seeds_add_what_they_move() -> None:
    """Two seeds, one of which helps the low group alone: the same estimate as their mean, a wider interval."""
    random = np.random.default_rng(9)
    rows = []
    for code in LANGUAGES:
        for kind in ("harmful", "benign"):
            for prompt in range(30):
                rows.append(row("base", code, kind, prompt, 1.0 if random.random() < 0.4 else -9.0))
                for seed in (0, 1, 2):
                    lucky = 0.35 * (seed == 1 and kind == "benign" and code not in HIGH)
                    passed = random.random() < 0.45 + lucky
                    rows.append(row("dpo", code, kind, prompt, 1.0 if passed else -9.0, seed=seed))
    with_seeds = results_of(rows)["tradeoff"]
    as_samples = results_of([{**item, "seed": 0, "sample": item["seed"]} for item in rows])["tradeoff"]
    one, other = with_seeds["primary"], as_samples["primary"]
    assert one["estimate"] == pytest.approx(other["estimate"])
    assert one["ci_high"] - one["ci_low"] > 1.3 * (other["ci_high"] - other["ci_low"])
    assert with_seeds["components"]["seed_sd"] > 5
    assert as_samples["components"]["seed_sd"] is None

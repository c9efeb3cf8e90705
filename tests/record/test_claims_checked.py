"""Empirical claims against fresh results: agreement, tolerances and their limits, perturbations, vacuous claims."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tarazu.record.claims.empirical import BadResults, check, first_difference, perturb, read_results
from tarazu.record.claims.findings import Finding
from tarazu.record.model import EmpiricalClaim

FRESH: dict[str, Any] = {
    "schema": "tarazu/results/v2",
    "thresholds": {"harmless": -3.0},
    "arms": {
        "base": {"HmR": {"value": 50.0, "n": 100}, "HpR": {"value": 20.0}, "CAS": {"value": 35.0}},
        "dpo": {"HmR": {"value": 60.0, "n": 100}, "HpR": {"value": 30.0}, "CAS": {"value": 45.0}},
    },
    "tradeoff": {
        "primary": {
            "estimate": 0.0,
            "p": 0.04,
            "unit": "points",
            "verdict": "differs",
            "within_margin": False,
            "mde": None,
        }
    },
}


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def value_claim(pointer: str, value: Any, **tolerance: Any) -> EmpiricalClaim:
    check = {"pointer": pointer, "value": value, "tolerance": tolerance}
    return EmpiricalClaim.model_validate({"kind": "empirical", "id": "c", "statement": "s", "check": check})


def expression_claim(text: str) -> EmpiricalClaim:
    return EmpiricalClaim.model_validate(
        {"kind": "empirical", "id": "c", "statement": "s", "check": {"expression": text}}
    )


def finding_on(claim: EmpiricalClaim, depth: Any = "analysis", fresh: dict[str, Any] = FRESH) -> Finding:
    finding = check(claim, fresh, depth)
    return perturb(claim, finding, fresh, depth) if finding.verdict == "verified" else finding


@pytest.mark.parametrize(
    ("pointer", "value", "verdict"),
    [
        ("/arms/dpo/HmR/value", 60.0, "verified"),
        ("/arms/dpo/HmR/value", 60.0 + 5e-8, "verified"),
        ("/arms/dpo/HmR/value", 60.0 + 7e-8, "failed"),
        ("/arms/dpo/HmR/n", 100, "verified"),
        ("/arms/dpo/HmR/n", 101, "failed"),
        ("/tradeoff/primary/estimate", 0.0, "verified"),
        ("/tradeoff/primary/estimate", 1e-13, "failed"),
        ("/tradeoff/primary/verdict", "differs", "verified"),
        ("/tradeoff/primary/verdict", "equivalent", "failed"),
        ("/tradeoff/primary/within_margin", False, "verified"),
        ("/tradeoff/primary/within_margin", True, "failed"),
        ("/tradeoff/primary/within_margin", 0.0, "failed"),
        ("/tradeoff/primary/verdict", 1.0, "failed"),
        ("/tradeoff/primary/mde", 1.0, "failed"),
        ("/arms/dpo", 1.0, "failed"),
        ("/arms/sft/HmR/value", 1.0, "failed"),
    ],
)
def test_claimed_values(pointer: str, value: Any, verdict: str) -> None:
    assert finding_on(value_claim(pointer, value)).verdict == verdict


@pytest.mark.parametrize(
    ("depth", "pointer", "value", "tolerance", "verdict"),
    [
        ("analysis", "/arms/dpo/HmR/value", 60.0, {"relative": 1e-9}, "verified"),
        ("analysis", "/arms/dpo/HmR/value", 60.0, {"relative": 2e-9}, "vacuous"),
        ("analysis", "/arms/dpo/HmR/value", 60.0, {"absolute": 1e-8}, "vacuous"),
        # "Computed 100.0 matches expected 100.0 (tolerance = 5 %)" would verify nothing.
        ("analysis", "/arms/dpo/HmR/value", 60.0, {"relative": 0.05}, "vacuous"),
        ("responses", "/arms/dpo/HmR/value", 61.0, {"absolute": 2}, "verified"),
        ("responses", "/arms/dpo/HmR/value", 61.0, {"absolute": 2.1}, "vacuous"),
        ("training", "/arms/dpo/HmR/value", 65.0, {"absolute": 10}, "verified"),
        ("training", "/arms/dpo/HmR/value", 65.0, {"absolute": 11}, "vacuous"),
        ("training", "/arms/dpo/HmR/value", 71.0, {"absolute": 10}, "failed"),
        ("training", "/tradeoff/primary/p", 0.1, {"absolute": 0.2}, "vacuous"),
        # If the scale is unknown, an absolute tolerance may only cover rounding.
        ("training", "/arms/dpo/HmR/n", 100.0, {"absolute": 1e-12}, "verified"),
        ("training", "/arms/dpo/HmR/n", 100.0, {"absolute": 1}, "vacuous"),
        ("training", "/tradeoff/primary/estimate", 4.0, {"absolute": 5}, "verified"),
        # Only the tolerance of the same depth counts.
        ("analysis", "/arms/dpo/HmR/value", 60.5, {}, "failed"),
    ],
)
def test_tolerances_are_limited(depth: Any, pointer: str, value: float, tolerance: Any, verdict: str) -> None:
    claim = value_claim(
        pointer, value, **{depth: tolerance, **({} if depth == "training" else {"training": {"absolute": 9}})}
    )
    assert finding_on(claim, depth).verdict == verdict


@example(5e-324, 0.0, 0.0)
@given(st.floats(0, 100), st.floats(0, 10), st.floats(-1, 1))
def test_a_shift_by_two_tolerances_is_always_refused(value: float, absolute: float, within: float) -> None:
    # Wherever the fresh value lies within the tolerance, both shifted claims miss it.
    fresh = {"arms": {"dpo": {"HmR": {"value": value + 0.99 * within * absolute}}}}
    finding = finding_on(value_claim("/arms/dpo/HmR/value", value, training={"absolute": absolute}), "training", fresh)
    assert finding.verdict == "verified" and finding.perturbations == {"tried": 2, "refused": 2}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("CAS('dpo') > CAS('base')", "verified"),
        ("best_on_every_rate('dpo')", "verified"),
        ("value('/tradeoff/primary/verdict') == 'differs'", "verified"),
        ("not value('/tradeoff/primary/within_margin')", "verified"),
        ("value('/tradeoff/primary/p') < 0.05", "verified"),
        ("within(HmR('dpo'), 60, 0.5)", "verified"),
        ("CAS('dpo') < CAS('base')", "failed"),
        ("CAS('nobody') > 1", "failed"),
        ("value('/tradeoff/primary/mde') > 1", "failed"),
        ("CAS('dpo') > 1 and", "failed"),
        ("1 < 2", "vacuous"),
        ("True", "vacuous"),
        ("CAS('dpo') >= 0", "vacuous"),
        ("CAS('dpo') <= 100", "vacuous"),
        ("CAS('dpo') > -5", "vacuous"),
        ("CAS('dpo') == CAS('dpo')", "vacuous"),
        ("CAS('dpo') > CAS('base') or CAS('dpo') <= CAS('base')", "vacuous"),
        ("within(HmR('dpo'), 50, 100)", "vacuous"),
        ("value('/tradeoff/primary/p') <= 1", "vacuous"),
        ("value('/tradeoff/primary/p') * 0 == 0", "vacuous"),
        ("value('/tradeoff/primary/verdict') != 'unheard of'", "vacuous"),
        ("0 * CAS('dpo') + 1 > 0", "vacuous"),
    ],
)
def test_claimed_expressions(text: str, verdict: str) -> None:
    assert finding_on(expression_claim(text)).verdict == verdict


def test_perturbations_of_verified_claims_are_counted() -> None:
    assert finding_on(value_claim("/tradeoff/primary/verdict", "differs")).perturbations == {"tried": 5, "refused": 5}
    # The negation, and each value that was read.
    assert finding_on(expression_claim("CAS('dpo') > CAS('base')")).perturbations == {"tried": 3, "refused": 3}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "line 1: broken JSON"),
        (b"[]", "not a JSON object"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": ' + b"9" * 500 + b"}", r"beyond 2\*\*53"),
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b'{"a": "\xff"}', "byte 8 is not UTF-8"),
        (b'{"a": "\\ud800"}', "half a surrogate pair"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"a":' * 100_000, "too deeply"),
    ],
)
def test_results_are_parsed_strictly(data: bytes, reason: str) -> None:
    with pytest.raises(BadResults, match=reason):
        read_results(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
        lambda one: st.lists(one) | st.dictionaries(TEXT, one),
    )
)
def test_strict_parsing_accepts_valid_json(value: Any) -> None:
    finding = read_results(json.dumps({"x": value}).encode())
    assert finding == {"x": value} and first_difference(finding, {"x": value}) is None


def test_the_first_difference_is_named() -> None:
    other = json.loads(json.dumps(FRESH))
    other["arms"]["dpo"]["HpR"]["value"] = 30.0000001
    assert first_difference(FRESH, other) == "/arms/dpo/HpR/value"
    other["arms"]["dpo"]["HpR"]["value"] = 30.000000001
    assert first_difference(FRESH, other) is None
    del other["tradeoff"]["primary"]["p"]
    assert first_difference(FRESH, other) == "/tradeoff/primary/p"
    assert first_difference({"a": True}, {"a": 1}) == "/a" and first_difference({"a": [1]}, {"a": []}) == "/a/0"

"""What a true expression leaves open: bands, idle values and sides, in many spellings; honest forms pass."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tarazu.record.claims.latitude import latitude
from tarazu.record.claims.pointers import is_unit, unit_of


def rates(hmr: float, hpr: float) -> dict[str, Any]:
    return {name: {"value": value, "n": 100} for name, value in (("HmR", hmr), ("HpR", hpr), ("CAS", (hmr + hpr) / 2))}


FRESH: dict[str, Any] = {
    "thresholds": {"harmless": -3.0},
    "arms": {"base": rates(50.0, 20.0), "dpo": rates(60.0, 62.5), "sft": rates(100.0, 99.5)},
    "tradeoff": {
        "primary": {
            "estimate": 0.5,
            "p": 0.04,
            "unit": "points",
            "margin": 5.0,
            "verdict": "differs",
            "within_margin": False,
        }
    },
}


@pytest.mark.parametrize(
    "text",
    [
        "CAS('dpo') > CAS('base')",
        "CAS('sft') > CAS('dpo') > CAS('base')",
        "highest('HmR', 'sft')",
        "best_on_every_rate('sft')",
        "HmR('sft') >= HmR('dpo')",
        "value('/tradeoff/primary/verdict') == 'differs'",
        "value('/tradeoff/primary/verdict') != 'equivalent'",
        "not value('/tradeoff/primary/within_margin')",
        "value('/tradeoff/primary/p') < 0.05",
        "value('/tradeoff/primary/p') > 0.01",
        "within(HmR('dpo'), 60, 0.5)",
        "within(HmR('dpo'), 60.9, 1)",
        "abs(value('/tradeoff/primary/estimate')) < 5",
        "within(HmR('dpo'), HmR('base'), 10)",
        "abs(HmR('dpo') - HmR('base')) <= 10",
        "HpR('dpo') / HpR('base') > 1.5",
        "HpR('dpo') > 2 * HpR('base')",
        "30 < HpR('dpo') < HpR('sft')",
        "HpR('dpo') > 39",
        "within(HpR('dpo') - HpR('base'), 42.5, 0.05)",
        "HpR('dpo') < 10 or HpR('dpo') > 60",
        "(HpR('dpo') - HpR('base')) * (HmR('dpo') - HmR('base')) > 0",
        "CAS('dpo') > max(CAS('base'), 40)",
        "value('/arms/dpo/HmR/n') == 100",
        "HmR('dpo') > 50 and HpR('dpo') > 60",
        "within(CAS('base'), (HmR('base') + HpR('base')) / 2, 0.000001)",
    ],
)
def test_expressions_that_say_something(text: str) -> None:
    left = latitude(text, FRESH, "analysis")
    assert left.reason == "" and left.tried == left.refused


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("within(HpR('dpo'), 99, 60)", "from 39 to 159"),
        ("within(HpR('dpo') * 0.001, 0.0625, 0.05)", "from 12.5 to 112.5"),
        ("within(HpR('dpo'), 99, HpR('base') * 2)", "from 59 to 139"),
        ("HpR('dpo') > 39 and HpR('dpo') < 99", "from 39 to 99"),
        ("within(HpR('dpo'), HpR('base'), 60)", "a band"),
        ("within(HpR('dpo') + HpR('base'), 90, 9)", "a band"),
        ("within(HpR('dpo') + 0.0011 * HpR('base'), 53.5, 9.1)", ""),
        ("60 / abs(HpR('dpo') - 99) > 1", "a band"),
        ("min(abs(HpR('dpo') - 99), 50) < 50", "from 49 to 149"),
        ("abs(value('/tradeoff/primary/estimate')) < 11", "a band"),
        ("HpR('dpo') != 50", "nearly all"),
        ("HpR('dpo') > 0", "nearly all"),
        ("not within(HpR('dpo'), 0, 0.5)", "nearly all"),
        ("value('/tradeoff/primary/estimate') != 1", "nearly all"),
        ("value('/arms/dpo/HmR/n') != 7", "nearly all"),
        ("HpR('dpo') != HpR('base')", ""),
        ("value('/tradeoff/primary/verdict') != 'trusted'", "all values"),
        ("not (HpR('dpo') <= 99 and HpR('dpo') <= 2)", "makes no difference"),
        ("value('/tradeoff/primary/p') <= 1", "all values"),
    ],
)
def test_expressions_that_say_too_little(text: str, reason: str) -> None:
    left = latitude(text, FRESH, "analysis")
    assert left.reason and reason in left.reason


def test_bands_may_be_wider_from_deeper_depths() -> None:
    text = "within(HmR('dpo'), 62, {})"
    for depth, widest in (("analysis", 1.0), ("responses", 2.0), ("training", 10.0)):
        near = f"HmR('dpo') > {60 - widest} and HmR('dpo') < {60 + widest}"
        assert latitude(near, FRESH, depth).reason == ""  # type: ignore[arg-type]
        assert latitude(text.format(widest + 2.1), FRESH, depth).reason  # type: ignore[arg-type]


def test_only_numbers_that_make_a_difference_count() -> None:
    assert set(latitude("HpR('dpo') > min(99, 40) + 0 * 7", FRESH, "analysis").numbers) == {40.0, 0.0}
    assert set(latitude("within(HpR('dpo'), 62.5, 0.05)", FRESH, "analysis").numbers) == {62.5, 0.05}


def test_many_values_take_seconds_at_most() -> None:
    arms = {f"a{number}": rates(float(number), 50.0) for number in range(70)}
    reads = ", ".join(f"HmR('{arm}')" for arm in arms)
    start = time.process_time()
    assert latitude(f"max({reads}) > 1", {"arms": arms}, "analysis").reason
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("pointer", "unit", "others"),
    [
        ("/arms/dpo/HmR/value", "per cent", ("points", "share", "per mille")),
        ("/arms/dpo/HmR/n", "responses", ("percent", "languages")),
        ("/tradeoff/primary/estimate", "percentage points", ("percent", "sd")),
        ("/tradeoff/primary/n_low", "languages", ("responses",)),
        ("/tradeoff/primary/p", "probability", ("percent",)),
        ("/arms/dpo/languages/sw/tilt/value", "points", ("percent",)),
    ],
)
def test_units_are_those_of_the_quantity(pointer: str, unit: str, others: tuple[str, ...]) -> None:
    name = unit_of(FRESH, pointer)
    assert name is not None and is_unit(unit, name)
    assert is_unit(f" {unit.upper()}", name) and is_unit(f"{unit} of all", name)
    assert not any(is_unit(other, name) for other in others)

"""Values of cells as csv, JSON and parquet files have them."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazu.tables import identifier, integer, number, truth


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_whole_number_is_the_same_id_however_it_is_written(value: int) -> None:
    assert identifier(value) == identifier(str(value)) == identifier(Decimal(value)) == str(value)
    if abs(value) < 2**53:
        assert identifier(float(value)) == str(value)
    elif abs(value) > 2**53:
        with pytest.raises(ValueError, match="has lost digits"):
            identifier(float(value))


@pytest.mark.parametrize("value", [True, 1.5, math.inf, [1], {"a": 1}, b"x"])
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(ValueError, match="must be text or a whole number"):
        identifier(value)


def test_empty_cells_are_no_ids() -> None:
    assert [identifier(value) for value in (None, "", " ", math.nan)] == [""] * 4


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        *((truth, value, True) for value in (True, 1, 1.0, "True", "true", "TRUE", "1", "1.0")),
        *((truth, value, False) for value in (False, 0, 0.0, "False", "false", "0", "0.0", "-0.0"[1:])),
        *((integer, value, 3) for value in (3, 3.0, "3", "3.0", " 3 ", "+3", Decimal(3))),
        *((number, value, 0.5) for value in (0.5, "0.5", " .5", "5e-1", Decimal("0.5"))),
    ],
)
def test_values_in_the_forms_of_exports(read: Callable[[Any], Any], value: Any, expected: Any) -> None:
    assert read(value) == expected


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *((truth, value) for value in ("yes", 2, 0.5, "", None)),
        *((integer, value) for value in (0.5, "0.5", "x", True, math.nan, "1_000", "1e3")),
        *((number, value) for value in (True, "x", "nan", math.inf, "1e999", "1_000", None, [1])),
    ],
)
def test_values_that_are_refused(read: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        read(value)

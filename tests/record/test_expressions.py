"""The language of expressions: what it computes, what it refuses, and that it executes no code."""

from __future__ import annotations

import ast
import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazu.record.claims.expressions import BadExpression, evaluate, parse
from tarazu.record.claims.pointers import Undefined, escaped, scale, span, value_at

RESULTS: dict[str, Any] = {
    "arms": {
        "base": {
            "HmR": {"value": 42.0},
            "HpR": {"value": 22.0},
            "CAS": {"value": 32.0},
            "languages": {"sw": {"HmR": {"value": 10.0}, "HpR": {"value": None, "reason": "no benign prompts"}}},
        },
        "sft_dpo": {
            "HmR": {"value": 44.0},
            "HpR": {"value": 66.0},
            "CAS": {"value": 55.0},
            "languages": {"sw": {"HmR": {"value": 20.0}, "HpR": {"value": 5.0}}},
        },
    },
    "tradeoff": {
        "primary": {"verdict": "equivalent", "within_margin": True, "estimate": -1.5, "a/b~c": 7, "none": None}
    },
    "list": [1.0, {"x": 2}],
}


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("CAS('sft_dpo') == 55", True),
        ("CAS('sft_dpo') == (HmR('sft_dpo') + HpR('sft_dpo')) / 2", True),
        ("HmR('sft_dpo', 'sw') - HmR('base', 'sw') == 10", True),
        ("30 < CAS('base') < 40 < CAS('sft_dpo')", True),
        ("30 < CAS('base') < 31", False),
        ("highest('CAS', 'sft_dpo')", True),
        ("highest('CAS', 'base')", False),
        ("lowest('HmR', 'base', 'sw')", True),
        ("best_on_every_rate('sft_dpo')", True),
        ("best_on_every_rate('base')", False),
        ("within(HmR('base'), HmR('sft_dpo'), 2)", True),
        ("within(HmR('base'), HmR('sft_dpo'), 1.9)", False),
        ("value('/tradeoff/primary/verdict') == 'equivalent'", True),
        ("value('/tradeoff/primary/within_margin')", True),
        ("not value('/tradeoff/primary/within_margin') == True", False),
        ("value('/tradeoff/primary/a~1b~0c') == 7", True),
        ("value('/list/1/x') == 2 and value('/list/0') == 1", True),
        ("abs(value('/tradeoff/primary/estimate')) < 5 or CAS('base') > 99", True),
        ("min(CAS('base'), CAS('sft_dpo'), 40) == 32 and max(1, 2) == 2", True),
        ("-HmR('base') < +1 * 2 - 3", True),
    ],
)
def test_truth_of_expressions(text: str, truth: bool) -> None:
    assert evaluate(text, RESULTS).truth is truth


def test_every_value_read_is_reported() -> None:
    # Both sides of `or` are read, even if the first one decides.
    evaluation = evaluate("CAS('base') > 0 or highest('HmR', 'sft_dpo')", RESULTS)
    assert evaluation.reads == {
        "/arms/base/CAS/value": 32.0,
        "/arms/base/HmR/value": 42.0,
        "/arms/sft_dpo/HmR/value": 44.0,
    }


def test_values_can_be_replaced() -> None:
    assert not evaluate("CAS('base') < 40", RESULTS, {"/arms/base/CAS/value": 41.0}).truth


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("HpR('base', 'sw') > 1", "undefined in the results: no benign prompts"),
        ("CAS('nobody') > 1", "nothing at /arms/nobody"),
        ("value('/tradeoff/primary/none') == 1", "undefined"),
        ("value('/arms') == 1", "no single value"),
        ("value('/list/2') == 1", "nothing at"),
        ("value('/list/-1') == 1", "nothing at"),
        ("value('/list/01') == 1", "nothing at"),
        ("CAS('base') > 0 or value('/nowhere') == 1", "nothing at"),
        ("1 / (CAS('base') - 32) > 0", "division by zero"),
        ("1e308 * 10 > CAS('base')", "too large to compute with"),
    ],
)
def test_undefined_values_are_reported(text: str, reason: str) -> None:
    with pytest.raises(Undefined, match=reason):
        evaluate(text, RESULTS)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch here')",
        "CAS('base').__class__",
        "().__class__.__bases__[0]",
        "(lambda: 1)() == 1",
        "[x for x in (1, 2)]",
        "{'a': 1} == 1",
        "CAS",
        "CAS.__call__('base') > 1",
        "CAS(arm='base') > 1",
        "CAS(*['base']) > 1",
        "CAS(value('/x')) > 1",
        "CAS('base', 'sw', 'x') > 1",
        "open('/etc/passwd') == 1",
        "eval('1') == 1",
        "f'{1}' == '1'",
        "2 ** 9999999 > 1",
        "2 // 1 > 1",
        "1 << 9 > 1",
        "~1 > 0",
        "CAS('base') is 32",
        "'a' in 'ab'",
        "'a' < 'b'",
        "'a' == 1",
        "CAS('base') and True",
        "CAS('base')",
        "(yield)",
        "x := 1",
        "b'a' == b'a'",
        "1j == 1j",
        "None == None",
        "... == ...",
        "CAS('base') > 1; CAS('base') > 2",
        "highest('p', 'base')",
        "value('/list/0' + '') == 1",
        "1 if True else 2",
        "",
        "(" * 300 + "1" + ")" * 300,
        "not " * 200 + "True",
        "+".join(["1"] * 900) + " > 1",
        "1 == 1 and " * 300 + "True",
        "\0",
    ],
)
def test_invalid_expressions_are_refused(text: str) -> None:
    start = time.process_time()
    with pytest.raises(BadExpression):
        evaluate(text, RESULTS)
    assert time.process_time() - start < 1


@given(st.text(max_size=200))
def test_any_text_is_evaluated_or_refused(text: str) -> None:
    with contextlib.suppress(BadExpression, Undefined):
        assert evaluate(text, RESULTS).truth in (True, False)


@given(
    st.recursive(st.sampled_from(["CAS('base')", "1", "2.5"]), lambda one: st.tuples(one, st.sampled_from("+-*/"), one))
)
def test_arithmetic_matches_pythons(tree: Any) -> None:
    # Independent check: Python evaluates the same text with the rate's value.
    text = _as_text(tree)
    try:
        expected = eval(text.replace("CAS('base')", "32.0"))
    except ZeroDivisionError:
        with pytest.raises(Undefined):
            evaluate(f"{text} == 0", RESULTS)
        return
    if len(list(ast.walk(ast.parse(text)))) < 200:
        assert evaluate(f"{text} == {expected!r}", RESULTS).truth


def _as_text(tree: Any) -> str:
    return tree if isinstance(tree, str) else f"({_as_text(tree[0])} {tree[1]} {_as_text(tree[2])})"


def test_parse_gives_the_tree_that_python_gives() -> None:
    assert ast.dump(parse("CAS('base') > 1")) == ast.dump(ast.parse("CAS('base') > 1", mode="eval").body)


@given(st.text(max_size=20))
def test_pointers_reach_any_key(key: str) -> None:
    assert value_at({key: {"x": 1}}, f"/{escaped(key)}/x") == 1


def test_spans_match_the_schema() -> None:
    assert span("/arms/dpo/languages/sw/HmR/value") == (0.0, 100.0)
    assert span("/arms/dpo/HmR/n") == (0.0, None)
    assert span("/tradeoff/secondary/3/p_holm") == (0.0, 1.0)
    assert span("/tradeoff/primary/estimate") == (None, None)
    assert span("/no/such/place") == (None, None)


def test_scales_follow_the_unit() -> None:
    results = {
        "tradeoff": {"primary": {"unit": "points", "estimate": 1.0}, "secondary": [{"unit": "sd", "estimate": 1.0}]}
    }
    assert scale(results, "/tradeoff/primary/estimate") == 100
    assert scale(results, "/tradeoff/secondary/0/estimate") == 1
    assert scale(results, "/arms/dpo/HmR/value") == 100
    assert scale(results, "/tradeoff/primary/df") == 100
    assert scale(results, "/frontier/x") is None

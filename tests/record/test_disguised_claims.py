"""Vacuous expressions, true for all results, however they are written: an `or` in other words, comparisons
without a result, and what holds for any scores by the definition of the results."""

from __future__ import annotations

from test_honest_claims import judged, results_of, runs

from tarazu.record.verify.judgement import Runs

__all__ = ["runs"]

DPO = "/arms/dpo/HpR"
EMPTY = {
    "an or as a product": ("(HpR('dpo') - {value}) * (HpR('dpo') - 99) == 0", "also holds for 99"),
    "an or as a minimum": ("min(abs(HpR('dpo') - {value}), abs(HpR('dpo') - 99)) < 0.5", "also holds for 98.5"),
    "an or as a fold": ("abs(abs(HpR('dpo') - ({value} + 99) / 2) - (99 - {value}) / 2) < 0.01", "also holds for 9"),
    "a comparison of numbers": ("99 > 98 and HpR('dpo') > 60", "'99 > 98' is the same for any results"),
    "a result without weight": ("within(HpR('dpo') * 0 + 99, 99, 0.1) and HpR('dpo') > 60", "is the same for any"),
    "a result by itself": ("within(HpR('dpo') / HpR('dpo') * 99, 99, 1) and HpR('dpo') > 60", "is the same for any"),
    "a definition": ("within((HmR('dpo') + HpR('dpo')) / 2, CAS('dpo'), 0.001)", "an identity"),
    "a definition, turned round": ("within(CAS('dpo') * 2 - HmR('dpo'), HpR('dpo'), 1e-6)", "an identity"),
    "its own interval": (f"value('{DPO}/ci_low') < HpR('dpo') < value('{DPO}/ci_high')", "nearly all values"),
    "the order of the ends": (f"value('{DPO}/ci_low') <= value('{DPO}/ci_high')", "all values"),
    "a width above zero": (f"value('{DPO}/ci_high') - value('{DPO}/ci_low') > 0", "nearly all values"),
}
SOMETHING = (
    f"value('{DPO}/ci_high') - value('{DPO}/ci_low') < 50",
    f"value('{DPO}/ci_high') > value('/arms/base/HpR/ci_low')",
    "value('/tradeoff/primary/ci_low') < 0 and value('/tradeoff/primary/ci_high') > 0",
    "HpR('dpo') > HpR('base') and HpR('dpo') > HpR('sft')",
    "value('/tradeoff/primary/margin') == 5 and HpR('dpo') > 60",
    "within(abs(value('/tradeoff/primary/estimate')), {change}, 0.01)",
    "within(abs(HpR('dpo') - HpR('base')), {difference}, 0.01)",
)


def test_disguised_claims(runs: Runs) -> None:
    results = results_of(runs)
    value, base = (results["arms"][arm]["HpR"]["value"] for arm in ("dpo", "base"))
    change = abs(results["tradeoff"]["primary"]["estimate"])
    numbers = {"value": value, "difference": abs(value - base), "change": change}
    for name, (text, reason) in EMPTY.items():
        finding = judged(runs, {"expression": text.format(**numbers)})
        assert finding.verdict == "vacuous" and reason in finding.reason, (name, finding)
    for text in SOMETHING:
        finding = judged(runs, {"expression": text.format(**numbers)})
        assert finding.verdict == "verified", (text, finding.reason)

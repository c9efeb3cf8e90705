"""Theorems whose only premises are values of the re-run: what they prove counts, and no other premise may be added."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from gate_records import drafted_record, edit, reseal, share_sealed_work
from hostile_records.forged import add_file, results_of

from tarazu.assessment.assess import assess
from tarazu.assessment.facts import read_facts
from tarazu.record.claims.findings import EvidenceResult
from tarazu.record.claims.mathematics.bound import Bound
from tarazu.record.claims.mathematics.smt import check_scripts
from tarazu.record.contracts import GateReport
from tarazu.record.model import Smt
from tarazu.record.reading import read_record
from tarazu.record.verify.gate import verify
from tarazu.site.record_page import IN_RECORD, render_record

RATES = {"hmr_a": 75.0, "hpr_a": 62.5, "hmr_b": 60.0, "hpr_b": 50.0}
DECLARED = "".join(f"(declare-const {name} Real)" for name in RATES)
WEIGHTS = "(forall ((w Real)) (=> (<= 0.0 w 1.0) (> (mean w hmr_a hpr_a) (mean w hmr_b hpr_b))))"
MEAN = "(define-fun mean ((v Real) (a Real) (b Real)) Real (+ (* v a) (* (- 1.0 v) b)))"


def bound(name: str, value: float) -> Bound:
    return Bound(
        name=name, pointer=f"/{name}", value=value, low=value - 1e-7, high=value + 1e-7, least=0.0, most=100.0, step=1.0
    )


def results(rates: dict[str, float], **claims: tuple[str, str]) -> dict[str, EvidenceResult]:
    """The results for theorems, given as (script, negation), about `rates` in percent."""
    made = {name: (Smt(source="proofs/a.smt2", negation=negation), text) for name, (text, negation) in claims.items()}
    return check_scripts(made, {name: [bound(*rate) for rate in rates.items()] for name in made})


def verdicts(rates: dict[str, float], **claims: tuple[str, str]) -> dict[str, str]:
    return {name: result.verdict for name, result in results(rates, **claims).items()}


def test_theorems_about_values() -> None:
    found = results(
        RATES,
        every_weight=(DECLARED + MEAN, f"(not {WEIGHTS})"),
        both=(DECLARED, "(not (and (> hmr_a hmr_b) (> hpr_a hpr_b)))"),
        false=(DECLARED + MEAN, f"(not {WEIGHTS.replace('> (mean', '< (mean')})"),
        false_for_some_weights=(DECLARED + MEAN, f"(not {WEIGHTS.replace('hmr_a hpr_a', 'hmr_a (- hpr_a 20.0)')})"),
    )
    assert {name: result.verdict for name, result in found.items()} == {
        "every_weight": "verified",
        "both": "verified",
        "false": "failed",
        "false_for_some_weights": "failed",
    }
    assert found["every_weight"].bound == ("/hmr_a", "/hpr_a", "/hmr_b", "/hpr_b")
    assert found["false"].bound == ()


ONE = {"hpr": 62.5}
CONST = "(declare-const hpr Real)"


def test_theorems_that_say_too_little_raise_no_level() -> None:
    wide = {
        "wide_interval": (CONST, "(not (<= 50.0 hpr 99.0))"),
        "wide_on_one_side": (CONST, "(not (<= 62.4 hpr 70.0))"),
        "wide_by_a_square": (CONST, "(not (< (* (- hpr 99.0) (- hpr 99.0)) 3600.0))"),
        "wide_by_a_variable": (
            CONST,
            "(not (forall ((w Real)) (=> (= w 60.0) (and (< (- hpr 99.0) w) (< (- 99.0 hpr) w)))))",
        ),
        "all_possible": (CONST, "(not (>= hpr 0.0))"),
        "nearly_all": (CONST, "(not (distinct hpr 99.0))"),
        "nearly_all_with_a_variable": (CONST, "(not (forall ((w Real)) (=> (= w 99.0) (distinct hpr w))))"),
        "any_value_has_one": (CONST, "(not (exists ((w Real)) (> (* w hpr) 99.0)))"),
        "idle_side": (CONST, "(not (or (> hpr 99.0) (> hpr 60.0)))"),
        "idle_side_with_a_variable": (
            CONST,
            "(not (forall ((w Real)) (=> (<= 0.0 w 1.0) (or (= (+ hpr w) 99.0) (> hpr (* 60.0 w))))))",
        ),
        "idle_definition": (
            CONST + "(define-const safety Real (+ 99.0 (* 0.0 hpr)))",
            "(not (and (> hpr 60.0) (= safety 99.0)))",
        ),
    }
    found = results(ONE, **wide)
    assert {name: result.verdict for name, result in found.items()} == dict.fromkeys(wide, "context"), found
    assert all(result.bound == () for result in found.values())


def test_only_values_are_premises() -> None:
    refused = {
        "a_premise_beside": (CONST + "(declare-const s Real)(assert (= s 99.0))", "(not (> (+ hpr s) 160.0))"),
        "a_premise_on_the_value": (CONST + "(assert (> hpr 99.0))", "(not (> hpr 98.0))"),
        "an_unbound_constant": (CONST + "(declare-const s Real)", "(not (or (> hpr 60.0) (= s 99.0)))"),
        "an_unbound_function": (CONST + "(declare-fun f (Real) Real)", "(not (= (f hpr) (f 62.5)))"),
        "a_sort": (CONST + "(declare-sort S 0)", "(not (> hpr 60.0))"),
        "a_truth_value": (CONST + "(define-fun safe () Bool true)", "(not (and safe (> hpr 60.0)))"),
        "a_choice": (CONST + "(define-fun s () Real (ite (> hpr 1.0) 99.0 0.0))", "(not (> s 98.0))"),
        "defined_instead": ("(define-const hpr Real 99.0)", "(not (> hpr 98.0))"),
        "declared_and_defined": (CONST + "(define-const hpr Real 99.0)", "(not (> hpr 98.0))"),
        "declared_twice": (CONST + CONST, "(not (> hpr 60.0))"),
        "not_declared": ("(declare-const other Real)", "(not (> other 60.0))"),
        "another_sort": ("(declare-const hpr Int)", "(not (> hpr 60.0))"),
        "shadowed_by_forall": (CONST, "(not (forall ((hpr Real)) (=> (> hpr 99.0) (> hpr 98.0))))"),
        "shadowed_by_let": (CONST, "(let ((hpr 99.0)) (not (> hpr 98.0)))"),
        "shadowed_by_a_parameter": ("(define-fun f ((hpr Real)) Real hpr)" + CONST, "(not (> (f 99.0) 98.0))"),
        "an_assertion_in_the_negation": (CONST, "(and (not (> hpr 60.0)) (! true :named x))"),
        "integers": (CONST, "(not (forall ((w Int)) (> (+ hpr (* w w)) 60.0)))"),
        "as_a_number_of_its_own": (CONST, "(not (> (+ hpr 1e3) 60.0))"),
        "too_many_comparisons": (CONST, f"(not (and {' '.join(['(> hpr 60.0)'] * 9)}))"),
    }
    assert verdicts(ONE, **refused) == dict.fromkeys(refused, "vacuous")
    general = {"any_value": (CONST, "(not (< hpr (+ hpr 1.0)))"), "no_value": (CONST, "(not (< 1.0 2.0))")}
    assert verdicts(ONE, **general) == dict.fromkeys(general, "vacuous")


def test_rounding_decides_no_theorem() -> None:
    equal = {"a": 62.5 + 5e-8, "b": 62.5}
    two = "(declare-const a Real)(declare-const b Real)"
    assert verdicts(equal, above=(two, "(not (> a b))"))["above"] == "vacuous"


def _holds(weights: Sequence[float], rates: Sequence[float], step: float) -> bool:
    """By brute force: arm a's weighted mean is above arm b's by `step` for all weights between the two."""
    low, high = weights
    grid = [low + (high - low) * at / 200 for at in range(201)]
    hmr_a, hpr_a, hmr_b, hpr_b = rates
    return all(w * hmr_a + (1 - w) * hpr_a > w * hmr_b + (1 - w) * hpr_b + step for w in grid)


def test_the_solvers_agree_with_brute_force() -> None:
    rng = random.Random(3)
    rates = {name: round(rng.uniform(5, 95), 1) for name in RATES}
    claims, expected = {}, {}
    for number in range(4):
        weights = sorted(round(rng.random(), 2) for _ in range(2))
        step = round(rng.uniform(-40, 10), 1)
        text = f"(=> (<= {weights[0]} w {weights[1]}) (> (mean w hmr_a hpr_a) (+ (mean w hmr_b hpr_b) STEP)))"
        text = text.replace("STEP", f"(- {-step})" if step < 0 else str(step))
        claims[f"c{number}"] = (DECLARED + MEAN, f"(not (forall ((w Real)) {text}))")
        expected[f"c{number}"] = _holds(weights, list(rates.values()), step)
    found = verdicts(rates, **claims)
    for name, verdict in found.items():
        assert verdict in (("verified", "context") if expected[name] else ("failed",)), (rates, claims[name])
    assert {"failed", "verified"} <= set(found.values())


# --- in a record ----------------------------------------------------------------------------------


ARMS = ("dpo", "base")
SCRIPT = "".join(f"(declare-const {rate}_{arm} Real)\n" for arm in ARMS for rate in ("HmR", "HpR"))
ABOVE = "(not (> (+ HmR_dpo HpR_dpo) (+ HmR_base HpR_base 1.0)))"


def with_theorem(record: Path, values: list[dict[str, Any]], *, script: str = SCRIPT, negation: str = ABOVE) -> Any:
    add_file(record, "proofs/author.smt2", script, "proof")
    smt = {"source": "proofs/author.smt2", "negation": negation, "values": values}
    claim = {"kind": "mathematical", "id": "sum", "statement": "The sum of dpo's rates is higher by 1.", "smt": smt}
    edit(record / "claims.json", lambda document: document["claims"].append(claim))
    reseal(record)
    return claim


def rates_of(record: Path) -> list[dict[str, Any]]:
    arms = results_of(record)["arms"]
    return [
        {"name": f"{rate}_{arm}", "pointer": f"/arms/{arm}/{rate}/value", "value": arms[arm][rate]["value"]}
        for arm in ARMS
        for rate in ("HmR", "HpR")
    ]


def sum_finding(report: GateReport) -> Any:
    return next(claim for claim in report.claims if claim.id == "sum")


def test_a_bound_theorem_reaches_the_level_of_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = drafted_record(tmp_path)
    values = rates_of(record)
    negation = ABOVE if values[0]["value"] + values[1]["value"] > values[2]["value"] + values[3]["value"] + 1 else ""
    assert negation, "the fixture's arms are the wrong way round for this theorem"
    with_theorem(record, values)
    report = verify(record)
    assert report.status == "VERIFIED", report.reason
    assert sum_finding(report).bound == tuple(value["pointer"] for value in values)
    facts = read_facts(read_record(record))
    levels = assess(facts).verification_levels
    level = next(one for one in levels.claims if one.id == "sum")
    # Solvers alone do not reach level 7.
    assert level.level == 5 and "/arms/dpo/HmR/value" in level.basis
    # One theorem lifts no other claim, and the record is verified by its numbers.
    assert levels.paper_level == 5 and "sum" in {claim.id for claim in facts.own}
    assert "sum" not in {claim.id for claim in facts.verified}
    assert "HmR_dpo = " in render_record(facts, assess(facts), IN_RECORD)


SETTINGS = {
    "a_setting": ("/thresholds/helpful", "context"),
    "a_count": ("/arms/dpo/HpR/n", "context"),
    "another_value": ("/arms/sft/HmR/value", "failed"),
    "a_fact_of_the_data": ("/languages/en/group", "failed"),
    "nothing": ("/arms/dpo/none", "failed"),
    "a_word": ("/tradeoff/primary/verdict", "failed"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_theorem_bound_to_anything_else_raises_no_level(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_sealed_work(monkeypatch)
    record = drafted_record(tmp_path)
    pointer, verdict = SETTINGS[kind]
    values = rates_of(record)
    values[0]["pointer"] = pointer
    if verdict == "context":
        values[0]["value"] = float(results_of(record)["thresholds"]["helpful"])
        if kind == "a_count":
            values[0]["value"] = float(results_of(record)["arms"]["dpo"]["HpR"]["n"])
    with_theorem(record, values)
    report = verify(record)
    finding = sum_finding(report)
    assert (finding.verdict, finding.bound) == (verdict, ()), finding.reason
    assert report.status == ("VERIFIED" if verdict == "context" else "FALSIFIED")
    levels = assess(read_facts(read_record(record))).verification_levels
    assert next(one.level for one in levels.claims if one.id == "sum") == 1


def test_a_value_bound_twice_is_vacuous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = drafted_record(tmp_path)
    values = rates_of(record)
    values[1] |= {"pointer": values[0]["pointer"], "value": values[0]["value"]}
    with_theorem(record, values)
    finding = sum_finding(verify(record))
    assert finding.verdict == "vacuous" and "two of its values have the same place" in finding.reason


def test_a_hand_written_verdict_binds_no_other_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_sealed_work(monkeypatch)
    record = drafted_record(tmp_path)
    with_theorem(record, rates_of(record))
    verify(record)

    def change(report: Any) -> None:
        next(claim for claim in report["claims"] if claim["id"] == "sum")["bound"] = ["/arms/dpo/HpR/value"]

    edit(record / "gate.json", change)
    levels = assess(read_facts(read_record(record))).verification_levels
    assert next(one.level for one in levels.claims if one.id == "sum") == 1

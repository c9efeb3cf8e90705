"""Mathematical claims: the solvers' queries and agreement, the sources that Lean may not read, the shipped proofs.

The tests that need Lean run only if `lean` is on the PATH. They are the only tests here that may be skipped.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from tarazu.record.claims.findings import EvidenceResult
from tarazu.record.claims.mathematics import lean as lean_module
from tarazu.record.claims.mathematics import smt as smt_module
from tarazu.record.claims.mathematics.check import check_mathematics, combine_evidence
from tarazu.record.claims.mathematics.lean import axioms_of, check_sources, lean_prefix, refusal
from tarazu.record.claims.mathematics.sexpr import BadScript, parse, parse_script, reverse_each_comparison, to_smtlib
from tarazu.record.claims.mathematics.smt import SOLVERS, check_scripts, solver_queries, solver_verdict
from tarazu.record.model import Lean, MathematicalClaim, Smt

PROOFS = files("tarazu.record.claims").joinpath("proofs")
SHIPPED = [
    MathematicalClaim.model_validate(one) for one in json.loads(PROOFS.joinpath("proofs.json").read_text("utf-8"))
]
XY = "(declare-const x Real)\n(declare-const y Real)\n"


def shipped_text(path: str) -> str:
    return PROOFS.joinpath(path.removeprefix("proofs/")).read_text(encoding="utf-8")


def smt_verdicts(**claims: tuple[str, str]) -> dict[str, str]:
    """The verdicts of SMT-LIB claims, given as (script, negation)."""
    made = {name: (Smt(source="proofs/a.smt2", negation=negation), text) for name, (text, negation) in claims.items()}
    return {name: checked.verdict for name, checked in check_scripts(made).items()}


def test_both_solvers_prove_the_shipped_theorems() -> None:
    results = check_scripts({claim.id: (claim.smt, shipped_text(claim.smt.source)) for claim in SHIPPED if claim.smt})
    assert len(results) == 6
    assert {name: checked.verdict for name, checked in results.items()} == dict.fromkeys(results, "verified")
    assert all(checked.by == ("z3", "cvc5") and checked.perturbations for checked in results.values())


def test_verdicts_of_the_solvers() -> None:
    assert smt_verdicts(
        true=(XY + "(assert (< 0.0 x y))", "(not (< 0.0 (+ x y)))"),
        false=(XY + "(assert (< x y))", "(not (< 0.0 (+ x y)))"),
        contradictory=(XY + "(assert (< x y))(assert (< y x))", "(not (= x y))"),
        itself=(XY, "(and (< x y) (not (< x y)) (< y x))"),
        constant=(XY, "false"),
        of_numbers=(XY, "(> 1.0 2.0)"),
        any_comparison=(XY + "(define-fun no () Bool false)", "(and no (< x y))"),
    ) == {
        "true": "verified",
        "false": "failed",
        "contradictory": "vacuous",
        "itself": "vacuous",
        "constant": "vacuous",
        "of_numbers": "vacuous",
        "any_comparison": "vacuous",
    }


CAS = "(declare-const cas Real)"


def test_theorems_that_assume_what_they_say_are_vacuous() -> None:
    assumed = {
        "tautology": ("(declare-const x Real)", "(not (< x (+ x 1.0)))"),
        "shadowed_by_let": ("(declare-const x Real)", "(let ((x 1.0)) (not (= x 1.0)))"),
        "shadowed_by_forall": ("(declare-const x Real)", "(not (forall ((x Real)) (< x (+ x 1.0))))"),
        "premise": (CAS + "(assert (= cas 99.0))", "(not (= cas 99.0))"),
        "premise_in_other_words": (CAS + "(assert (not (distinct 99.0 cas)))", "(distinct cas 99.0)"),
        "part_of_a_premise": (CAS + "(assert (and true (= cas 99.0)))", "(not (= cas 99.0))"),
        "two_premises": (CAS + "(assert (<= cas 99.0))(assert (>= cas 99.0))", "(not (= cas 99.0))"),
        "weaker": (CAS + "(assert (= cas 99.0))", "(not (> cas 98.0))"),
        "definition": ("(define-const cas Real 99.0)", "(not (= cas 99.0))"),
        "chain": (CAS + "(declare-const y Real)(assert (= y 99.0))(assert (= cas y))", "(not (= cas 99.0))"),
        "function": (CAS + "(define-fun id ((v Real)) Real v)(assert (= (id cas) 99.0))", "(not (= cas 99.0))"),
    }
    assert smt_verdicts(**assumed) == dict.fromkeys(assumed, "vacuous")


@pytest.mark.parametrize(
    ("negation", "premises", "statement", "reversed_answers", "verdict"),
    [
        (("unsat", "unsat"), ("sat", "sat"), ("sat", "sat"), ("sat", "sat"), "verified"),
        (("unsat", "unsat"), ("sat", "sat"), ("unknown", "sat"), ("unknown", "sat"), "verified"),
        (("sat", "sat"), ("sat", "sat"), ("sat", "sat"), ("sat", "sat"), "failed"),
        # One solver alone decides nothing.
        (("unsat", "sat"), ("sat", "sat"), ("sat", "sat"), ("sat", "sat"), "not_run"),
        (("unsat", "unknown"), ("sat", "sat"), ("sat", "sat"), ("sat", "sat"), "not_run"),
        (("error: x", "error: y"), ("sat", "sat"), ("sat", "sat"), ("sat", "sat"), "not_run"),
        (("no answer", "unsat"), ("sat", "sat"), ("sat", "sat"), ("sat", "sat"), "not_run"),
        (("unsat", "unsat"), ("sat", "unsat"), ("sat", "sat"), ("sat", "sat"), "vacuous"),
        (("unsat", "unsat"), ("sat", "unknown"), ("sat", "sat"), ("sat", "sat"), "not_run"),
        (("unsat", "unsat"), ("sat", "sat"), ("unsat", "unsat"), ("sat", "sat"), "vacuous"),
        (("unsat", "unsat"), ("sat", "sat"), ("sat", "sat"), ("unsat", "unsat"), "vacuous"),
    ],
)
def test_both_solvers_must_agree(
    negation: Any, premises: Any, statement: Any, reversed_answers: Any, verdict: str
) -> None:
    answers = {"negation": negation, "premises": premises, "statement": statement, "reversed 1": reversed_answers}
    assert solver_verdict(answers).verdict == verdict


@pytest.mark.parametrize(
    "text",
    [
        "(exit)",
        "(check-sat)",
        "(reset)",
        "(reset-assertions)",
        "(push 1)",
        "(pop 1)",
        "(set-option :produce-models true)",
        "(set-info :status unsat)",
        "(set-logic QF_LRA)",
        '(include "/etc/passwd")',
        "(get-model)",
        '(echo "unsat")',
        "(define-fun-rec f ((x Int)) Int (f x))",
        "(assert true",
        "(assert true))",
        "assert",
        "()",
        "(define-fun and ((a Bool) (b Bool)) Bool true)",
        "(declare-const false Bool)",
        "(declare-const |x| Bool)",
        "(declare-const :x Bool)",
        "(declare-const x\\ Bool)",
        "(" * 300 + ")" * 300,
        "(assert true) " + " " * (1 << 20),
    ],
)
def test_a_script_contains_only_declarations_definitions_and_premises(text: str) -> None:
    with pytest.raises(BadScript):
        parse_script(text)
    assert check_scripts({"c": (Smt(source="a.smt2", negation="x"), text)})["c"].verdict == "failed"


def test_a_negation_must_be_one_term() -> None:
    for negation in ("(< x y) (< y x)", "x) (exit) (assert x", "", "x))"):
        with pytest.raises(BadScript):
            solver_queries(XY, negation)


def test_solvers_get_only_what_was_parsed() -> None:
    queries = solver_queries(XY + "; (exit)\n(assert (< x\n y)) ; a comment ) (", "(< y x)")
    assert queries["premises"] == "(declare-const x Real)\n(declare-const y Real)\n(assert (< x y))\n"
    assert queries["reversed 1"].endswith("(assert (>= y x))")
    assert list(queries) == ["negation", "premises", "statement", "reversed 1", "tautology", "assumed 1", "fixed"]
    assert queries["tautology"] == "(declare-const x Real)\n(declare-const y Real)\n(assert (< y x))"
    assert queries["fixed"].endswith("(assert (or false (distinct x x!other) (distinct y y!other)))")


def test_trees_round_trip_as_text() -> None:
    text = '(assert (= (f x -1.5) "a ""b"" c" #b01))'
    assert " ".join(map(to_smtlib, parse(text))) == text
    assert [to_smtlib(one) for one in reverse_each_comparison(parse("(and (< a b) (= c d))")[0])] == [
        "(and (>= a b) (= c d))",
        "(and (< a b) (distinct c d))",
    ]


def test_a_missing_solver_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smt_module, "find_spec", lambda name: None if name == "cvc5" else object())
    checked = check_scripts({"c": (Smt(source="a.smt2", negation="x"), "")})["c"]
    assert checked.verdict == "not_run" and "cvc5 is not installed" in checked.reason and set(SOLVERS) == {"z3", "cvc5"}


def test_one_kind_of_evidence_is_enough_unless_the_other_fails() -> None:
    def verdict(*verdicts: Any) -> str:
        return combine_evidence({str(index): EvidenceResult(one, "r") for index, one in enumerate(verdicts)}).verdict

    assert verdict("not_run", "verified") == verdict("verified", "verified") == "verified"
    assert verdict("verified", "failed") == "failed" and verdict("vacuous", "verified") == "vacuous"
    assert verdict("not_run", "not_run") == "not_run"
    combined = combine_evidence(
        {"Lean": EvidenceResult("not_run", "not here"), "SMT-LIB": EvidenceResult("verified", "agreed", ("z3", "cvc5"))}
    )
    assert combined.reason == "Lean: not here; SMT-LIB: agreed" and combined.by == ("z3", "cvc5")


# --- Lean: tests that do not need it --------------------------------------------------------------

THEOREM = Lean(source="proofs/a.lean", theorem="fact", type="∀ n : Nat, n ≤ n + 1")
SOURCE = "theorem fact (n : Nat) : n ≤ n + 1 := Nat.le_succ n\n"


def test_sources_of_theorems_are_accepted() -> None:
    assert refusal(THEOREM, SOURCE) is None
    assert (
        refusal(THEOREM, "import Init.Data.List\nimport Std\n-- axiom, sorry, #eval\n/- macro /- elab -/ -/\n" + SOURCE)
        is None
    )
    for claim in SHIPPED:
        if claim.lean:
            assert refusal(claim.lean, shipped_text(claim.lean.source)) is None
    assert sum(claim.lean is not None for claim in SHIPPED) == 5


@pytest.mark.parametrize(
    "line",
    [
        "axiom fact : 1 = 2",
        "theorem fact : 1 = 2 := sorry",
        "theorem fact : 1 = 2 := by native_decide",
        "theorem fact : 1 = 2 := by decide +native",
        "theorem fact : 1 = 2 := Lean.ofReduceBool _ _ rfl",
        "set_option debug.skipKernelTC true",
        "set_option warningAsError false",
        '#eval IO.println "does not depend on any axioms"',
        "#eval 1",
        "#print axioms fact",
        "macro_rules | `(tactic| trivial) => `(tactic| fail)",
        "notation a ` ≤ ` b => True",
        "infix:50 (priority := high) ` ≤ ` => fun _ _ => True",
        "instance (priority := high) : LE Nat := ⟨fun _ _ => True⟩",
        "elab x : command => pure ()",
        "syntax y : term",
        "run_cmd Lean.logInfo m!x",
        "open Lean Elab in run_elab pure ()",
        "theorem fact : 1 = 2 := by run_tac pure ()",
        "initialize pure ()",
        "@[implemented_by foo] def bar := 1",
        "@[simp] theorem t : True := trivial",
        "attribute [simp] foo",
        "unsafe def f := 1",
        "partial def f : Nat → Nat := fun n => f n",
        "opaque f : Nat",
        "import Mathlib",
        "import Lean",
        "import Init import Lean",
        "public import Init",
        "def «axiom» := 1",
        "/- -/ axiom x : False",
        "/-- -/ axiom x : False",
        "/- /- -/ -/ axiom x : False",
        "/--/ -/ axiom x : False",
        "-- \naxiom x : False",
        'def s := "/-"\naxiom x : False\ndef t := "-/"',
        "def c := '\"'\naxiom x : False\ndef d := '\"'",
        "export Foo (bar)",
        "deriving instance Repr for Foo",
        "simproc x (1 + 1) := fun _ => default",
    ],
)
def test_sources_that_could_fool_the_gate_are_refused(line: str) -> None:
    for source in (f"{line}\n{SOURCE}", f"{SOURCE}{line}\n"):
        assert refusal(THEOREM, source) is not None
        assert check_sources({"c": (THEOREM, source)})["c"].verdict == "failed"


@pytest.mark.parametrize(
    "type",
    [
        "True := trivial theorem other : 1 = 1",
        "True) := trivial\ntheorem other : (1 = 1",
        "1 = 1 -- ",
        "1 = 1 /- ",
        "by exact True",
        "True\n#print axioms fact",
        "let x := 1; x = 1",
        "sorry",
        "(1 = 1",
        "open Foo in bar",
    ],
)
def test_a_type_must_be_a_single_type(type: str) -> None:
    claim = Lean(source="proofs/a.lean", theorem="fact", type=type)
    assert refusal(claim, SOURCE) is not None


def messages(*texts: str, severity: str = "information") -> str:
    return "\n".join(json.dumps({"severity": severity, "data": text}) for text in texts)


def lean_output(check: str, *, exits: tuple[int, int, int, int] = (0, 0, 1, 1)) -> dict[str, Any]:
    names = ("Claim", "Check", "Opposite", "Trivial")
    return {
        name: {"exit": code, "output": check if name == "Check" else ""}
        for name, code in zip(names, exits, strict=True)
    }


@pytest.mark.parametrize(
    ("output", "axioms"),
    [
        (messages("'tarazu_checked_n' does not depend on any axioms"), set()),
        (messages("'tarazu_checked_n' depends on axioms: [propext, Quot.sound]"), {"propext", "Quot.sound"}),
        (
            messages("'tarazu_checked_n' depends on axioms: [propext,\n Classical.choice]"),
            {"propext", "Classical.choice"},
        ),
        (messages("'tarazu_checked_n' depends on axioms: [sorryAx]"), {"sorryAx"}),
        (messages("'tarazu_checked_other' does not depend on any axioms"), None),
        (messages("'fact' does not depend on any axioms"), None),
        (
            messages("'tarazu_checked_n' does not depend on any axioms", "'tarazu_checked_n' depends on axioms: [x]"),
            None,
        ),
        (messages("'tarazu_checked_n' does not depend on any axioms", severity="error"), None),
        (messages("x declaration uses 'sorry'", severity="warning"), None),
        ("'tarazu_checked_n' does not depend on any axioms", None),
        ("", None),
    ],
)
def test_axioms_are_read_only_from_leans_answer(output: str, axioms: set[str] | None) -> None:
    assert axioms_of(lean_output(output), "n") == axioms


@pytest.mark.parametrize(
    ("exits", "output", "verdict"),
    [
        ((0, 0, 1, 1), "does not depend on any axioms", "verified"),
        ((0, 0, 1, 1), "depends on axioms: [propext, Classical.choice, Quot.sound]", "verified"),
        ((0, 0, 1, 1), "depends on axioms: [propext, sorryAx]", "failed"),
        ((0, 0, 1, 1), "depends on axioms: [fact._native.native_decide.ax_1]", "failed"),
        ((1, 0, 1, 1), "does not depend on any axioms", "failed"),
        ((0, 1, 1, 1), "does not depend on any axioms", "failed"),
        ((0, 0, 0, 1), "does not depend on any axioms", "vacuous"),
        ((0, 0, 1, 0), "does not depend on any axioms", "vacuous"),
    ],
)
def test_verdicts_follow_from_leans_output(exits: Any, output: str, verdict: str) -> None:
    output_of_lean = lean_output(messages(f"'tarazu_checked_n' {output}"), exits=exits)
    assert lean_module.lean_verdict(output_of_lean, THEOREM, "n").verdict == verdict


def test_the_solvers_decide_without_lean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean_module, "lean_prefix", lambda: None)
    results = check_mathematics([SHIPPED[0]], shipped_text)[0]
    assert results.verdict == "verified" and "no `lean` on the PATH" in results.reason and results.by == ("z3", "cvc5")
    alone = SHIPPED[0].model_copy(update={"smt": None})
    assert check_mathematics([alone], shipped_text)[0].verdict == "not_run"


# --- Lean: tests that need it ---------------------------------------------------------------------

needs_lean = pytest.mark.skipif(lean_prefix() is None, reason="Lean 4 is not on the PATH: its own tests are skipped")


@needs_lean
def test_lean_proves_the_shipped_theorems() -> None:
    results = check_sources({one.id: (one.lean, shipped_text(one.lean.source)) for one in SHIPPED if one.lean})
    assert {name: checked.verdict for name, checked in results.items()} == dict.fromkeys(results, "verified"), results


@needs_lean
def test_lean_refuses_unproved_statements() -> None:
    def lean(type: str, theorem: str = "fact") -> Lean:
        return Lean(source="proofs/a.lean", theorem=theorem, type=type)

    results = check_sources(
        {
            "proved": (THEOREM, SOURCE),
            "another-statement": (lean("∀ n : Nat, n + 1 ≤ n"), SOURCE),
            "no-such-theorem": (lean("1 = 1", "other"), SOURCE),
            "not-accepted": (THEOREM, "theorem fact (n : Nat) : n ≤ n + 1 := Nat.le_refl n"),
            "says-nothing": (lean("True"), "theorem fact : True := True.intro"),
        }
    )
    assert {name: checked.verdict for name, checked in results.items()} == {
        "proved": "verified",
        "another-statement": "failed",
        "no-such-theorem": "failed",
        "not-accepted": "failed",
        "says-nothing": "vacuous",
    }

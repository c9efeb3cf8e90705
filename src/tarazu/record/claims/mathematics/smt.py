"""SMT-LIB 2 claims: z3 and cvc5, both in the sandbox, must agree on every query of the gate.

For a script S (declarations, definitions, premises) and a negation N:
- S and N together must be unsatisfiable, so that the statement follows.
- S alone must be satisfiable, because contradictory premises prove everything.
- S and not N must not be unsatisfiable, so that the statement is possible.
- At least one of the queries "S and N with one comparison of N reversed" must not be unsatisfiable. Otherwise N is
  refuted no matter what it compares.
- N must mention a name that S declares, outside of what `let` or a quantifier binds. (`false`, for example, is
  unsatisfiable without any script.)
- N alone, with S's declarations but none of its premises and definitions, must not be unsatisfiable. Otherwise the
  statement is a tautology.
- No premise may be equivalent to the statement, and the premises may not leave a single value to everything that N
  mentions. Otherwise the conclusion was assumed. ("CAS is 99" follows from the premise that CAS is 99.)

A theorem that passes says nothing about a record's values, because its premises are its author's. So it raises no
level. A theorem whose only premises are values that the gate computed is checked otherwise: see `bound`.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tarazu.record.claims.empirical import BadResults, read_results
from tarazu.record.claims.findings import ClaimVerdict, EvidenceResult
from tarazu.record.claims.mathematics.bound import Bound, bound_queries, bound_verdict
from tarazu.record.claims.mathematics.sexpr import (
    BadScript,
    Tree,
    free_symbols,
    parse_script,
    parse_term,
    premises_of,
    renamed,
    reverse_each_comparison,
    to_smtlib,
    without_definitions,
)
from tarazu.record.model import Smt
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, run

SOLVERS: Final = {"z3": "z3-solver", "cvc5": "cvc5"}
"""The two solvers: their modules and packages."""
_MOST_REVERSED = 8
_MOST_PREMISES = 8
_OTHER = "!other"
"""No name that a claim declares may have this mark."""
_LIMITS = Limits(seconds=600, memory_mib=4096, file_mib=16, processes=64)


def check_scripts(
    claims: Mapping[str, tuple[Smt, str]], bounds: Mapping[str, Sequence[Bound]] | None = None
) -> dict[str, EvidenceResult]:
    """The result for each claim, by its id, from its evidence and its script's text. Each solver runs once in the
    sandbox. `bounds` are the values that are a theorem's only premises, for the claims that have some.

    Raises NoSandbox.
    """
    bounds = bounds or {}
    missing = [package for module, package in SOLVERS.items() if find_spec(module) is None]
    if missing:
        reason = f"two solvers must agree, and {missing[0]} is not installed: pip install 'tarazu[records]'"
        return {name: EvidenceResult("not_run", reason) for name in claims}
    results: dict[str, EvidenceResult] = {}
    queries: dict[str, dict[str, str]] = {}
    for name, (smt, script) in claims.items():
        try:
            if name in bounds:
                queries[name] = bound_queries(script, smt.negation, bounds[name])
            else:
                queries[name] = solver_queries(script, smt.negation)
        except BadScript as error:
            # A premise that is bound to no value is no contradiction.
            results[name] = EvidenceResult("vacuous" if name in bounds else "failed", f"{smt.source}: {error}")
        except VacuousNegation as error:
            results[name] = EvidenceResult("vacuous", str(error))
    texts = {f"{name} {query}": text for name, given in queries.items() for query, text in given.items()}
    answers = _run_solvers(texts) if texts else {}
    for name, given in queries.items():
        by_query = {
            query: [answers[solver].get(f"{name} {query}", "no answer") for solver in SOLVERS] for query in given
        }
        results[name] = (
            bound_verdict(by_query, bounds[name], tuple(SOLVERS)) if name in bounds else solver_verdict(by_query)
        )
    return results


_ASSUMED: Final = {
    "tautology": "the statement follows from no premise and no definition",
    "assumed": "a premise says the same as the statement",
    "fixed": "the premises fix all values that the statement is about, so they assume it; claim the values themselves",
}
"""Queries that both solvers refute only if the theorem says nothing, and why."""


class VacuousNegation(Exception):
    """A negation that is refused without the script. The message says why."""


def solver_queries(script: str, negation: str) -> dict[str, str]:
    """The queries for the solvers, by name, as SMT-LIB 2 texts. Raises BadScript, VacuousNegation."""
    commands, names = parse_script(script)
    term = parse_term(negation)
    mentioned = names & set(free_symbols(term))
    if not mentioned:
        raise VacuousNegation("the negation mentions nothing that the script declares")
    premises = "\n".join(map(to_smtlib, commands)) + "\n"
    queries = {
        "negation": f"{premises}(assert {to_smtlib(term)})",
        "premises": premises,
        "statement": f"{premises}(assert (not {to_smtlib(term)}))",
    }
    for number, other in enumerate(reverse_each_comparison(term)):
        if number < _MOST_REVERSED:
            queries[f"reversed {number + 1}"] = f"{premises}(assert {to_smtlib(other)})"
    bare = "\n".join(map(to_smtlib, without_definitions(commands))) + "\n"
    queries["tautology"] = f"{bare}(assert {to_smtlib(term)})"
    for number, premise in enumerate(premises_of(commands)):
        if number < _MOST_PREMISES:
            queries[f"assumed {number + 1}"] = f"{bare}(assert (= {to_smtlib(premise)} {to_smtlib(term)}))"
    if values := sorted(mentioned & _constants(commands)):
        queries["fixed"] = premises + _another(commands, names, values)
    return queries


def _constants(commands: Sequence[Tree]) -> set[str]:
    """The names of a script that stand for single values."""
    names = set()
    for command in commands:
        match command:
            case [("declare-const" | "define-const"), str() as name, *_]:
                names.add(name)
            case [("declare-fun" | "define-fun"), str() as name, [], *_]:
                names.add(name)
    return names


def _another(commands: Sequence[Tree], names: set[str], values: Sequence[str]) -> str:
    """The script once more under other names, and the assertion that one of `values` differs."""
    sorts = {"declare-sort", "define-sort", "declare-datatype", "declare-datatypes"}
    shared = {name for command in commands if command[0] in sorts for name in names & set(free_symbols(command))}
    other = [renamed(command, names - shared, _OTHER) for command in commands if command[0] not in sorts]
    differ = " ".join(f"(distinct {name} {name}{_OTHER})" for name in values)
    return "\n".join(map(to_smtlib, other)) + f"\n(assert (or false {differ}))"


def solver_verdict(answers: Mapping[str, Sequence[str]]) -> EvidenceResult:
    """The verdict that follows from both solvers' answers to each query."""
    names = tuple(SOLVERS)
    given = "; ".join(f"{name} says {answer}" for name, answer in zip(names, answers["negation"], strict=True))
    if set(answers["negation"]) != {"unsat"}:
        # If both find a counterexample, the statement does not follow. Any other disagreement decides nothing.
        verdict: ClaimVerdict = "failed" if set(answers["negation"]) == {"sat"} else "not_run"
        return EvidenceResult(verdict, f"not both solvers refute the negated statement: {given}", names)
    premises = " and ".join(answers["premises"])
    if "unsat" in answers["premises"]:
        return EvidenceResult(
            "vacuous", f"the premises contradict each other ({premises}), so they prove everything", names
        )
    if set(answers["premises"]) != {"sat"}:
        return EvidenceResult("not_run", f"the solvers do not decide whether the premises can hold: {premises}", names)
    for query, reason in _ASSUMED.items():
        if any(set(given) == {"unsat"} for name, given in answers.items() if name.startswith(query)):
            return EvidenceResult("vacuous", reason, names)
    changed = {query: given for query, given in answers.items() if query == "statement" or query.startswith("reversed")}
    refused = [query for query, given in changed.items() if "unsat" not in given]
    counted = {"tried": len(changed), "refused": len(refused)}
    if "statement" not in refused:
        return EvidenceResult("vacuous", "the solvers refute the statement as well as its negation", names, counted)
    if len(changed) > 1 and len(refused) == 1:
        return EvidenceResult("vacuous", "the negation is refuted no matter what it compares", names, counted)
    return EvidenceResult("verified", "both solvers find the negated statement unsatisfiable", names, counted)


def versions() -> dict[str, str]:
    """Versions of the solvers that are installed."""
    return {name: importlib.metadata.version(SOLVERS[name]) for name in SOLVERS if find_spec(name) is not None}


def _run_solvers(texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Every solver's answer to every query."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "checks.json").write_text(json.dumps(dict(texts)), encoding="utf-8")
        with ThreadPoolExecutor(len(SOLVERS)) as pool:
            return dict(zip(SOLVERS, pool.map(lambda name: _answers(name, Path(folder)), SOLVERS), strict=True))


def _answers(solver: str, folder: Path) -> dict[str, str]:
    command = [PYTHON, "-m", "tarazu.record.claims.mathematics._solve", solver, FOLDER, OUT]
    outcome = run(command, folder=folder, limits=_LIMITS)
    names = json.loads((folder / "checks.json").read_text(encoding="utf-8"))
    if outcome.result is None:
        return dict.fromkeys(names, f"nothing ({outcome.problem})")
    try:
        answers = read_results(outcome.result)
    except BadResults as error:
        return dict.fromkeys(names, f"nothing (its answer cannot be read: {error})")
    return {name: answer for name, answer in answers.items() if isinstance(answer, str)}

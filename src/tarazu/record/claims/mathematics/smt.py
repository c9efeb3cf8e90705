"""SMT-LIB 2 claims: z3 and cvc5, each in the sandbox, must agree on every question that the gate asks.

For a script S (declarations, definitions, premises) and a negation N:
- S and N together must be unsatisfiable: the statement follows;
- S alone must be satisfiable: premises that contradict each other prove anything;
- S and not N must not be unsatisfiable: the statement itself is possible;
- S and N with one comparison of N turned round, for each in turn: one of these must not be unsatisfiable, else N is
  refused whatever it compares;
- N must mention a name that S declares: `false` is refused without any script.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tarazu.record.claims.empirical import BadResults, read_results
from tarazu.record.claims.findings import Checked, ClaimVerdict
from tarazu.record.claims.mathematics.sexpr import BadScript, parse_script, parse_term, symbols, turned, written
from tarazu.record.model import Smt
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, run

SOLVERS: Final = {"z3": "z3-solver", "cvc5": "cvc5"}
"""The two solvers' modules, and their packages."""
_MOST_TURNED = 8
_LIMITS = Limits(seconds=600, memory_mib=4096, file_mib=16, processes=64)


def check_scripts(claims: Mapping[str, tuple[Smt, str]]) -> dict[str, Checked]:
    """The verdict for each claim's id, from its evidence and its script's text. One run in the sandbox for each solver.

    Raises NoSandbox.
    """
    missing = [package for module, package in SOLVERS.items() if find_spec(module) is None]
    if missing:
        reason = f"two solvers must agree, and {missing[0]} is not installed: pip install 'tarazu[records]'"
        return {name: Checked("not_run", reason) for name in claims}
    found: dict[str, Checked] = {}
    questions: dict[str, dict[str, str]] = {}
    for name, (smt, script) in claims.items():
        try:
            questions[name] = questions_of(script, smt.negation)
        except BadScript as error:
            found[name] = Checked("failed", f"{smt.source}: {error}")
        except Pointless as error:
            found[name] = Checked("vacuous", str(error))
    texts = {f"{name} {what}": text for name, asked in questions.items() for what, text in asked.items()}
    answers = _ask(texts) if texts else {}
    for name, asked in questions.items():
        said = {what: [answers[solver].get(f"{name} {what}", "no answer") for solver in SOLVERS] for what in asked}
        found[name] = judged(said)
    return found


class Pointless(Exception):
    """A negation that no script is needed to refuse; the text says why."""


def questions_of(script: str, negation: str) -> dict[str, str]:
    """What the solvers are asked, by name: texts of SMT-LIB 2. Raises BadScript, Pointless."""
    commands, names = parse_script(script)
    term = parse_term(negation)
    if not names & set(symbols(term)):
        raise Pointless("the negation mentions nothing that the script declares")
    premises = "\n".join(map(written, commands)) + "\n"
    asked = {
        "negation": f"{premises}(assert {written(term)})",
        "premises": premises,
        "statement": f"{premises}(assert (not {written(term)}))",
    }
    for number, other in enumerate(turned(term)):
        if number < _MOST_TURNED:
            asked[f"turned {number + 1}"] = f"{premises}(assert {written(other)})"
    return asked


def judged(said: Mapping[str, Sequence[str]]) -> Checked:
    """The verdict from both solvers' answers to each question."""
    names = tuple(SOLVERS)
    told = "; ".join(f"{name} says {answer}" for name, answer in zip(names, said["negation"], strict=True))
    if set(said["negation"]) != {"unsat"}:
        # Both find a counterexample: the statement does not follow. Anything else between them settles nothing.
        verdict: ClaimVerdict = "failed" if set(said["negation"]) == {"sat"} else "not_run"
        return Checked(verdict, f"the negated statement is not refused by both solvers: {told}", names)
    premises = " and ".join(said["premises"])
    if "unsat" in said["premises"]:
        return Checked("vacuous", f"the premises contradict each other ({premises}), and prove anything", names)
    if set(said["premises"]) != {"sat"}:
        return Checked("not_run", f"whether the premises can hold is not settled: {premises}", names)
    changed = {what: answers for what, answers in said.items() if what not in ("negation", "premises")}
    refused = [what for what, answers in changed.items() if "unsat" not in answers]
    counted = {"tried": len(changed), "refused": len(refused)}
    if "statement" not in refused:
        return Checked("vacuous", "the statement is refused as well as its negation", names, counted)
    if len(changed) > 1 and len(refused) == 1:
        return Checked("vacuous", "the negation is refused whatever it compares", names, counted)
    return Checked("verified", "both solvers find the negated statement unsatisfiable", names, counted)


def versions() -> dict[str, str]:
    """Versions of the solvers that are installed."""
    return {name: importlib.metadata.version(SOLVERS[name]) for name in SOLVERS if find_spec(name) is not None}


def _ask(texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Every solver's answer to every text."""
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
        found: dict[str, Any] = read_results(outcome.result)
    except BadResults as error:
        return dict.fromkeys(names, f"nothing (its answer cannot be read: {error})")
    return {name: answer for name, answer in found.items() if isinstance(answer, str)}

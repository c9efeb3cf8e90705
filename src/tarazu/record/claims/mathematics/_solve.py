"""Runs inside the sandbox: `python -m tarazu.record.claims.mathematics._solve z3|cvc5 IN OUT`.

IN/checks.json maps names to SMT-LIB 2 texts without a check-sat command. OUT/results.json maps each name to sat, unsat,
unknown, or an error message.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

MILLISECONDS = 60_000
"""Wall-clock limit for each check. It is generous, so that a proof does not become unknown on a busy machine."""
_QUICK = 1_000
"""For checks that find theorems without content; they are hard only if a theorem has some."""
_QUICK_CHECKS = (
    *("tautology", "assumed", "fixed", "opposite", "deciding", "lowest", "highest"),
    *("below", "above", "just-below", "just-above"),
)


def _limit(check: str) -> int:
    kind = check.split()[1] if len(check.split()) > 1 else ""
    return _QUICK if kind in _QUICK_CHECKS else MILLISECONDS


def z3_answer(text: str, limit: int) -> str:
    import z3

    solver = z3.Solver()
    solver.set("timeout", limit)
    solver.from_string(text)
    return str(solver.check())


def cvc5_answer(text: str, limit: int) -> str:
    import cvc5

    manager = cvc5.TermManager()
    solver = cvc5.Solver(manager)
    solver.setOption("tlimit-per", str(limit))
    solver.setLogic("ALL")
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "claim")
    while not (command := parser.nextCommand()).isNull():
        output = command.invoke(solver, parser.getSymbolManager()).strip()
        if output and output != "success":
            return f"error: {output}"
    result = solver.checkSat()
    return "sat" if result.isSat() else "unsat" if result.isUnsat() else "unknown"


def main(name: str, inputs: Path, out: Path) -> None:
    solve = {"z3": z3_answer, "cvc5": cvc5_answer}[name]
    answers = {}
    for check, text in json.loads((inputs / "checks.json").read_text(encoding="utf-8")).items():
        try:
            answers[check] = solve(text, _limit(check))
        except Exception as error:  # any exception of the solver's parser is an answer other than unsat
            answers[check] = f"error: {' '.join(str(error).split())[:200]}"
    (out / "results.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

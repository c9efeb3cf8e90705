"""Runs inside the sandbox: `python -m tarazu.record.claims.mathematics._solve z3|cvc5 IN OUT`.

IN/checks.json maps names to SMT-LIB 2 texts without a command that asks; OUT/results.json maps them to sat, unsat,
unknown, or what went wrong.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

MILLISECONDS = 60_000
"""Time for each check, of a clock: a busy machine must not turn a proof into an unknown."""


def z3_answer(text: str) -> str:
    import z3

    solver = z3.Solver()
    solver.set("timeout", MILLISECONDS)
    solver.from_string(text)
    return str(solver.check())


def cvc5_answer(text: str) -> str:
    import cvc5

    manager = cvc5.TermManager()
    solver = cvc5.Solver(manager)
    solver.setOption("tlimit-per", str(MILLISECONDS))
    solver.setLogic("ALL")
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "claim")
    while not (command := parser.nextCommand()).isNull():
        said = command.invoke(solver, parser.getSymbolManager()).strip()
        if said and said != "success":
            return f"error: {said}"
    found = solver.checkSat()
    return "sat" if found.isSat() else "unsat" if found.isUnsat() else "unknown"


def main(name: str, inputs: Path, out: Path) -> None:
    answer = {"z3": z3_answer, "cvc5": cvc5_answer}[name]
    found = {}
    for check, text in json.loads((inputs / "checks.json").read_text(encoding="utf-8")).items():
        try:
            found[check] = answer(text)
        except Exception as error:  # whatever the solver's parser raises is an answer: not unsat
            found[check] = f"error: {' '.join(str(error).split())[:200]}"
    (out / "results.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

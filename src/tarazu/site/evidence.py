"""What a claim rests on, so that a reader sees it beside the claim: the file, the place in it, the lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tarazu.record.claims.pointers import Undefined, at, steps
from tarazu.record.model import Claim, EmpiricalClaim, Expression, MathematicalClaim

_AROUND: Final = 3
"""Lines shown before and after the one that is meant."""
_WIDEST: Final = 200


@dataclass(frozen=True)
class Evidence:
    """A piece of evidence: a path of the record, a place in words, the line it stands on and the lines around it."""

    path: str
    place: str
    line: int | None = None
    excerpt: tuple[tuple[int, str], ...] = ()


class Lines:
    """Lines of results.json, and the line that each value of it begins on."""

    def __init__(self, results: Mapping[str, Any], text: str) -> None:
        self._results = results
        self._text = text.split("\n")
        self._heights: dict[int, int] = {}

    def evidence(self, pointer: str) -> Evidence:
        """The value at a JSON Pointer with the lines around it; only the pointer where it leads nowhere."""
        try:
            at(self._results, pointer)
        except Undefined:
            return Evidence("results.json", pointer)
        line = self.line_of(pointer)
        key = steps(pointer)[-1] if pointer else ""
        # The count holds for files as Tarazu writes them; another layout shows itself by another line there.
        if not 0 < line <= len(self._text) or (key and not key.isdigit() and f'"{key}":' not in self._text[line - 1]):
            return Evidence("results.json", pointer)
        first, last = max(1, line - _AROUND), min(len(self._text), line + _AROUND)
        shown = tuple((number, self._text[number - 1][:_WIDEST]) for number in range(first, last + 1))
        return Evidence("results.json", pointer, line, shown)

    def line_of(self, pointer: str) -> int:
        """The line that the value at `pointer`, which must lead somewhere, begins on: counted from 1, in JSON with
        sorted keys and a line for every value (`files.to_json`)."""
        line = 1
        here: Any = self._results
        for step in steps(pointer):
            line += 1
            if isinstance(here, dict):
                line += sum(self._height(here[key]) for key in here if key < step)
                here = here[step]
            else:
                line += sum(self._height(item) for item in here[: int(step)])
                here = here[int(step)]
        return line

    def _height(self, value: Any) -> int:
        """How many lines a value takes; containers are counted once."""
        if not isinstance(value, dict | list) or not value:
            return 1
        known = self._heights.get(id(value))
        if known is None:
            inner = value.values() if isinstance(value, dict) else value
            known = self._heights[id(value)] = 2 + sum(map(self._height, inner))
        return known


def evidence_of(claim: Claim, lines: Lines) -> list[Evidence]:
    """What `claim` rests on."""
    if isinstance(claim, EmpiricalClaim):
        if isinstance(claim.check, Expression):
            return [Evidence("results.json", claim.check.expression)]
        return [lines.evidence(claim.check.pointer)]
    if isinstance(claim, MathematicalClaim):
        found = []
        if claim.lean is not None:
            found.append(Evidence(claim.lean.source, f"theorem {claim.lean.theorem} : {claim.lean.type}"))
        if claim.smt is not None:
            found.append(Evidence(claim.smt.source, f"unsatisfiable: {claim.smt.negation}"))
        return found
    section = f"section “{claim.section}”" if claim.section else "the document"
    score = f", {claim.score:g} % alike at the build" if claim.score is not None else ""
    return [Evidence(claim.source, section + score, None, ((0, claim.quote),))]

"""Runs inside the sandbox: `python -m tarazu.record.verify._grounding IN OUT` looks for quotations in their documents.

IN/claims.json is a list of source-grounded claims. Their documents are in IN, at their paths in the record.
OUT/results.json maps each claim's id to `{score, problem, context, caveat}`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tarazu.errors import BadInput
from tarazu.record.claims.documents import Section, read_sections
from tarazu.record.claims.grounding import ground_in
from tarazu.record.model import SourceClaim


def main(inputs: Path, out: Path) -> None:
    documents: dict[str, list[Section] | str] = {}
    answers = {}
    for item in json.loads((inputs / "claims.json").read_text(encoding="utf-8")):
        claim = SourceClaim.model_validate(item)
        if claim.source not in documents:
            documents[claim.source] = _sections(inputs / claim.source)
        sections = documents[claim.source]
        if isinstance(sections, str):
            answers[claim.id] = {"score": 0.0, "problem": sections}
        else:
            grounding = ground_in(sections, claim)
            answers[claim.id] = {
                "score": grounding.score,
                "problem": grounding.problem,
                "context": grounding.context,
                "caveat": grounding.caveat,
            }
    (out / "results.json").write_text(json.dumps(answers), encoding="utf-8")


def _sections(path: Path) -> list[Section] | str:
    try:
        return read_sections(path)
    except BadInput as error:
        return str(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

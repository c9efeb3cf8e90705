"""Runs sealed: `python -m tarazu.record.build._look_up IN OUT` reads documents and looks for quotations in them.

IN/job.json has `claims`, source-grounded claims of an author's file, and `documents`, which maps the name of each
document to its path in IN. OUT/results.json has the problem or the first heading of each document, and the grounding of
each claim.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from tarazu.errors import BadInput
from tarazu.record.claims.documents import Section, read_sections
from tarazu.record.claims.grounding import ground_in
from tarazu.record.model import SourceClaim


def main(inputs: Path, out: Path) -> None:
    job = json.loads((inputs / "job.json").read_text(encoding="utf-8"))
    sections: dict[str, list[Section]] = {}
    documents: dict[str, Any] = {}
    for name, file in job["documents"].items():
        try:
            sections[name] = read_sections(inputs / file)
        except BadInput as error:
            documents[name] = {"problem": str(error).removeprefix(f"{inputs / file}: "), "heading": ""}
            continue
        heading = next((section.heading for section in sections[name] if section.heading), "")
        documents[name] = {"problem": None, "heading": heading}
    groundings: dict[str, Any] = {}
    for item in job["claims"]:
        claim = SourceClaim.model_validate(item)
        if claim.source in sections:
            groundings[claim.id] = dataclasses.asdict(ground_in(sections[claim.source], claim))
    text = json.dumps({"documents": documents, "groundings": groundings})
    (out / "results.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

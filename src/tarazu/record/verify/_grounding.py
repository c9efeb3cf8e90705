"""Runs inside the sandbox: `python -m tarazu.record.verify._grounding IN OUT` looks for quotations in their documents.

IN/claims.json is a list of source-grounded claims. Their documents are in IN, at their paths in the record.
OUT/results.json has `claims`, which maps each claim's id to `{score, problem, context, caveat}`, and `same_text`, the
pairs of documents that hold the same text: apart from the quotations, the longer has many of the runs of five words of
the shorter. So a copy with another line, title or file format is not a second source, and neither is a document of
nothing but quotations.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import combinations
from pathlib import Path
from typing import Final

from tarazu.errors import BadInput
from tarazu.record.claims.documents import Section, read_sections
from tarazu.record.claims.grounding import ground_in
from tarazu.record.model import SourceClaim

_RUN: Final = 5
_COPIED: Final = 0.3
"""The share of the shorter document's runs of words from which the longer one has its text."""


def main(inputs: Path, out: Path) -> None:
    documents: dict[str, list[Section] | str] = {}
    answers = {}
    listed = json.loads((inputs / "claims.json").read_text(encoding="utf-8"))
    claims = [SourceClaim.model_validate(item) for item in listed]
    for claim in claims:
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
    quoted = _runs_of_words([claim.quote for claim in claims])
    shingles = {
        path: _runs_of_words([section.text for section in text]) - quoted
        for path, text in documents.items()
        if not isinstance(text, str)
    }
    same = [pair for pair in combinations(sorted(shingles), 2) if _is_copy(shingles[pair[0]], shingles[pair[1]])]
    (out / "results.json").write_text(json.dumps({"claims": answers, "same_text": same}), encoding="utf-8")


def _runs_of_words(texts: list[str]) -> set[tuple[str, ...]]:
    """Every run of five words in the texts, without regard to case and punctuation."""
    runs = set()
    for text in texts:
        words = re.findall(r"\w+", text.casefold())
        runs |= {tuple(words[start : start + _RUN]) for start in range(max(0, len(words) - _RUN) + 1)}
    return runs


def _is_copy(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> bool:
    return len(one & other) >= _COPIED * min(len(one), len(other))


def _sections(path: Path) -> list[Section] | str:
    try:
        return read_sections(path)
    except BadInput as error:
        return str(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""The proofs that the package ships, for facts that its metrics depend on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from tarazu.record.model import MathematicalClaim

PROOFS = "proofs.json"
"""Index in the package's folder of proofs: a list of mathematical claims whose sources are files in that folder."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A proof that the package ships: a claim whose sources are paths in the record, and the text of each source."""

    claim: MathematicalClaim
    texts: dict[str, str]


def shipped_proofs(folder: Traversable | None = None) -> list[Proof]:
    """The proofs in the package's folder, or in another folder. Empty if the folder has no index."""
    folder = folder or files("tarazu.record.claims").joinpath("proofs")
    index = folder.joinpath(PROOFS)
    if not index.is_file():
        return []
    proofs = []
    for item in json.loads(index.read_text(encoding="utf-8")):
        claim = MathematicalClaim.model_validate({**item, "origin": "build"})
        texts, moved = {}, {}
        for key in ("lean", "smt"):
            evidence = getattr(claim, key)
            if evidence is not None:
                name = PurePosixPath(evidence.source).name
                texts[f"proofs/{name}"] = folder.joinpath(name).read_text(encoding="utf-8")
                moved[key] = evidence.model_copy(update={"source": f"proofs/{name}"})
        proofs.append(Proof(claim=claim.model_copy(update=moved), texts=texts))
    return proofs

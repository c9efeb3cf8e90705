"""What a reviewer reads of a record, in a form that faults can be planted in, and the record with the changed text."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tarazu.errors import BadInput
from tarazu.files import file_sha256, to_json, write_text
from tarazu.record.identity import work_id
from tarazu.record.manifest import MANIFEST, Manifest, is_outside
from tarazu.record.model import Artifact, Claims, EmpiricalClaim
from tarazu.record.reading import CLAIMS, Record, check_artifacts
from tarazu.results import Results
from tarazu.results.model import EstimateEntry

TEXTS: Final = ("title", "question", "abstract", "limitations")
"""Places of a record's text, beside its claims."""


class Unsuitable(Exception):
    """The record lacks what a fault needs. The message names it."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A record's text and its empirical claims. It has no theorems and quotations: no fault is planted
    there."""

    title: str
    question: str
    abstract: str
    limitations: tuple[str, ...]
    claims: tuple[EmpiricalClaim, ...]
    results: Results

    @property
    def places(self) -> tuple[str, ...]:
        """What a finding can name: a text, or the id of a claim."""
        return (*TEXTS, *(claim.id for claim in self.claims))

    @property
    def arm(self) -> str:
        return self.results.primary_arm

    @property
    def base(self) -> str:
        return self.results.base_arm

    @property
    def primary(self) -> EstimateEntry:
        return self.results.primary

    def claim(self, name: str) -> EmpiricalClaim:
        """Raises Unsuitable."""
        for claim in self.claims:
            if claim.id == name:
                return claim
        raise Unsuitable(f"the claim {name}")

    def with_claim(self, name: str, changed: EmpiricalClaim) -> Paper:
        """With another claim in the place of the one of this id; at the end where there is none."""
        if name not in self.places:
            return replace(self, claims=(*self.claims, changed))
        return replace(self, claims=tuple(changed if claim.id == name else claim for claim in self.claims))


def paper_of(record: Record) -> Paper:
    """The text of a record. Raises BadInput for one that cannot be copied as it is."""
    if record.manifest.corrections.count:
        raise BadInput(f"{record.path}: has corrections; give a record without any, as `tarazu record build` makes it")
    for defect in check_artifacts(record):
        raise BadInput(f"{record.path / defect.path}: {defect.message}; build the record again")
    work = record.manifest.work
    return Paper(
        title=work.title,
        question=work.research_question,
        abstract=work.abstract,
        limitations=record.manifest.limitations,
        claims=tuple(claim for claim in record.claims.claims if isinstance(claim, EmpiricalClaim)),
        results=record.results,
    )


def write_record(record: Record, paper: Paper, out: Path) -> Path:
    """A copy of the record with the paper's text and claims, and the digests renewed. Signature, attestations and
    outputs are about the original, so the copy has none."""
    for path in record.files:
        if not is_outside(path):
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(record.path / path, out / path)
    (out / "corrections.jsonl").touch()
    claims = Claims(claims=paper.claims)
    write_text(out / CLAIMS, to_json(claims.model_dump(mode="json", by_alias=True)))
    artifacts = tuple(_renewed(one, out) if one.path == CLAIMS else one for one in record.manifest.artifacts)
    name = work_id(artifacts, paper.claims)
    texts = {"title": paper.title, "research_question": paper.question, "abstract": paper.abstract}
    work = record.manifest.work.model_copy(update={**texts, "id": name, "srch_id": name[:8].upper()})
    update = {"work": work, "artifacts": artifacts, "limitations": paper.limitations}
    manifest: Manifest = record.manifest.model_copy(update=update)
    write_text(out / MANIFEST, to_json(manifest.model_dump(mode="json", by_alias=True)))
    return out


def _renewed(artifact: Artifact, out: Path) -> Artifact:
    path = out / artifact.path
    return artifact.model_copy(update={"size": path.stat().st_size, "sha256": file_sha256(path)})

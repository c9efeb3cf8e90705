"""Read the claims that authors add in YAML, and resolve them against the proofs and documents that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from tarazu.errors import BadInput
from tarazu.readers import first_bytes, signature
from tarazu.record.build.look_up import LookUp, look_up
from tarazu.record.claims.grounding import Grounding
from tarazu.record.model import Claim, EmpiricalClaim, Lean, MathematicalClaim, RecordModel, Smt, SourceClaim
from tarazu.sandbox.limits import Limits
from tarazu.yaml_files import LARGEST_YAML, Documented, explain, parse_yaml


class AuthorClaims(RecordModel):
    """A claims file: a list `claims` in which each claim has the same form as in claims.json.

    `source` is the name of a document given with --source. `lean.source` and `smt.source` are paths relative to the
    file's folder.
    """

    claims: tuple[Claim, ...] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class ResolvedClaims:
    """Claims ready for claims.json, their proofs by path in the record, and the documents' first headings by name."""

    claims: tuple[Claim, ...]
    proofs: dict[str, Path]
    headings: dict[str, str]


def read_claims(path: Path) -> AuthorClaims:
    """Read and check a claims file. Raises BadInput with the file, the line, the key and the fix."""
    try:
        text = first_bytes(path, LARGEST_YAML + 1).decode("utf-8")
    except UnicodeDecodeError as error:
        if what := signature(error.object):
            raise BadInput(f"{path}: is {what[0]}; claims are a YAML file") from None
        raise BadInput(f"{path}: byte {error.start + 1}: not UTF-8; save the claims as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    tree, lines = parse_yaml(str(path), text, "a claims file", "a list `claims`", aliases=False)
    try:
        parsed = AuthorClaims.model_validate(tree)
    except ValidationError as error:
        file = Documented(what="a claims file", model=AuthorClaims, page="docs/records.md")
        raise BadInput(explain(str(path), error.errors(), lines, tree, file)) from None
    ids: set[str] = set()
    for index, claim in enumerate(parsed.claims):
        line = f"{path}: line {lines['claims', index]}"
        if claim.id in ids:
            raise BadInput(f"{line}: two claims have the id '{claim.id}'; rename one")
        ids.add(claim.id)
        where = f"{line}: {claim.id}"
        if claim.origin != "author":
            raise BadInput(f"{where}: the build sets origin; omit it")
        if isinstance(claim, SourceClaim) and claim.score is not None:
            raise BadInput(f"{where}: the build sets score; omit it")
    return parsed


def resolve_claims(path: Path, claims: AuthorClaims, documents: Mapping[str, Path], limits: Limits) -> ResolvedClaims:
    """The claims of the file `path` as the record stores them, with paths in the record and with quotations checked.

    `documents` are the source documents by name, which are read within `limits`. Raises BadInput, with the claim's id,
    if a document was not given, does not contain a quotation, or if a proof is missing or has another's name."""
    proofs: dict[str, Path] = {}
    looked_up = look_up(documents, [claim for claim in claims.claims if isinstance(claim, SourceClaim)], limits)

    def proof(claim: Claim, source: str) -> str:
        file, name = path.parent / source, f"proofs/{Path(source).name}"
        if not file.is_file() or file.is_symlink():
            raise BadInput(
                f"{path}: {claim.id}: no such file: {source}; the path is relative to the claims file's folder"
            )
        if proofs.setdefault(name, file) != file or sum(one.casefold() == name.casefold() for one in proofs) > 1:
            raise BadInput(f"{path}: {claim.id}: two proofs are called {Path(source).name}; rename one")
        return name

    resolved: list[Claim] = []
    for claim in claims.claims:
        if isinstance(claim, MathematicalClaim):
            lean, smt = claim.lean, claim.smt
            sources: dict[str, Lean | Smt] = {}
            if lean is not None:
                sources["lean"] = lean.model_copy(update={"source": proof(claim, lean.source)})
            if smt is not None:
                sources["smt"] = smt.model_copy(update={"source": proof(claim, smt.source)})
            resolved.append(claim.model_copy(update=sources))
        elif isinstance(claim, SourceClaim):
            resolved.append(_grounded(path, claim, looked_up))
        else:
            assert isinstance(claim, EmpiricalClaim)
            resolved.append(claim)
    headings = {name: document.heading for name, document in looked_up.documents.items()}
    return ResolvedClaims(claims=tuple(resolved), proofs=proofs, headings=headings)


def _grounded(path: Path, claim: SourceClaim, looked_up: LookUp) -> SourceClaim:
    if claim.id not in looked_up.groundings:
        given = ", ".join(looked_up.documents) or "none"
        raise BadInput(f"{path}: {claim.id}: no document '{claim.source}'; give it with --source (given: {given})")
    grounding = looked_up.groundings[claim.id]
    if grounding.problem is not None:
        raise BadInput(f"{path}: {claim.id}: {claim.source}: {grounding.problem}{_closest(grounding)}")
    update: dict[str, str | float] = {"source": f"sources/{claim.source}", "score": round(grounding.score, 2)}
    if claim.section is None and grounding.section:
        update["section"] = grounding.section
    return claim.model_copy(update=update)


def _closest(grounding: Grounding) -> str:
    if not grounding.passage or grounding.context is None:
        return ""
    before, passage, behind = grounding.context
    around = f"{before[-60:]}«{passage[:200]}»{behind[:60]}"
    return f"; the closest passage: {around!r}"

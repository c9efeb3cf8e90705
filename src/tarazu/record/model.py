"""What a record's own files hold: claims.json, repro/repro.json and the artifacts that manifest.json lists.

One frozen model per component, unknown keys refused; docs/records.md says what each file is for.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from tarazu.sandbox.limits import Limits

CLAIMS_SCHEMA: Final = "tarazu/claims/v1"
REPRO_SCHEMA: Final = "tarazu/repro/v1"

Depth = Literal["analysis", "responses", "training"]
DEPTHS: tuple[Depth, ...] = ("analysis", "responses", "training")
"""How far back a re-run begins: at the scores, at the responses, at the data and the base model."""

ClaimId = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]*$", max_length=64)]


def _inside(path: str) -> str:
    if path != str(PurePosixPath(path)) or path.startswith("/") or ".." in PurePosixPath(path).parts or path == ".":
        raise ValueError("must be a relative path that stays inside the record, such as proofs/a.lean")
    return path


RelativePath = Annotated[str, StringConstraints(pattern=r"^[^\\\x00-\x1f]+$", max_length=200), AfterValidator(_inside)]
"""A path inside the record, with forward slashes, that cannot lead out of it."""
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


# --- claims ---------------------------------------------------------------------------------------


class Tolerance(Part):
    """How far a fresh value may lie from the claimed one: the larger of the two bounds."""

    relative: float = Field(0.0, ge=0)
    absolute: float = Field(0.0, ge=0)

    def bound(self, value: float) -> float:
        """The tolerance around `value`, in its unit."""
        return max(self.absolute, self.relative * abs(value))


class Value(Part):
    """A number, or a word such as the verdict, at a place in results.json."""

    pointer: str = Field(pattern=r"^(/.*)?$", description="JSON Pointer (RFC 6901) into results.json.")
    value: float | str | bool
    unit: str | None = None
    tolerance: dict[Depth, Tolerance] = Field(default_factory=dict, description="Analysis: 1e-9 relative if not given.")


class Expression(Part):
    """A statement over results.json in the language that docs/records.md describes, claimed to be true."""

    expression: str = Field(min_length=1, max_length=2000)


def _check_form(value: object) -> str:
    """Which of the two a check is, so that an error speaks of that one alone."""
    if isinstance(value, dict):
        return "Expression" if "expression" in value else "Value"
    return "Expression" if isinstance(value, Expression) else "Value"


class EmpiricalClaim(Part):
    kind: Literal["empirical"]
    id: ClaimId
    statement: str = Field(min_length=1)
    origin: Literal["build", "author"] = "author"
    check: Annotated[
        Annotated[Value, Tag("Value")] | Annotated[Expression, Tag("Expression")], Discriminator(_check_form)
    ]


class Lean(Part):
    """A Lean 4 source with a theorem whose type is `type` (Lean syntax, universe of the source's own definitions)."""

    source: RelativePath
    theorem: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_'.]*$")
    type: str = Field(min_length=1)


class Smt(Part):
    """An SMT-LIB 2 script. With `negation` asserted behind it, it must be unsatisfiable; without, satisfiable."""

    source: RelativePath
    negation: str = Field(min_length=1, description="The negated statement: a term, asserted behind the script.")


class MathematicalClaim(Part):
    kind: Literal["mathematical"]
    id: ClaimId
    statement: str = Field(min_length=1)
    origin: Literal["build", "author"] = "author"
    lean: Lean | None = None
    smt: Smt | None = None

    @model_validator(mode="after")
    def _has_evidence(self) -> MathematicalClaim:
        if self.lean is None and self.smt is None:
            raise ValueError("a mathematical claim needs lean or smt")
        return self


class SourceClaim(Part):
    """A quotation, or a number in its words, in a section of a document that the record holds."""

    kind: Literal["source_grounded"]
    id: ClaimId
    statement: str = Field(min_length=1)
    origin: Literal["build", "author"] = "author"
    source: RelativePath
    quote: str = Field(min_length=1)
    section: str | None = Field(None, description="The heading that the quotation stands under.")
    number: float | None = Field(None, description="A number that the quotation must contain.")
    score: float | None = Field(None, ge=0, le=100, description="Similarity found at the build, in percent.")


Claim = Annotated[
    Annotated[EmpiricalClaim, Tag("empirical")]
    | Annotated[MathematicalClaim, Tag("mathematical")]
    | Annotated[SourceClaim, Tag("source_grounded")],
    Discriminator("kind"),
]


class Claims(Part):
    """claims.json."""

    schema_: Literal["tarazu/claims/v1"] = Field(CLAIMS_SCHEMA, alias="schema")
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _ids_differ(self) -> Claims:
        ids = [claim.id for claim in self.claims]
        twice = next((one for one in ids if ids.count(one) > 1), None)
        if twice:
            raise ValueError(f"two claims have the id '{twice}'")
        return self


# --- the re-run -----------------------------------------------------------------------------------


class Rerun(Part):
    """How results.json is made again at one depth: `script` is called by Python with the folder that holds copies of
    `inputs` (same relative paths, read-only) and an empty folder that it writes results.json into."""

    script: RelativePath
    inputs: tuple[RelativePath, ...]
    limits: Limits = Limits()


class Repro(Part):
    """repro/repro.json."""

    schema_: Literal["tarazu/repro/v1"] = Field(REPRO_SCHEMA, alias="schema")
    depths: dict[Depth, Rerun]


# --- the manifest's list of files -----------------------------------------------------------------


Role = Literal[
    "study", "scores", "known_answers", "data", "results", "report", "responses", "claims", "repro", "proof", "source",
    "provenance", "metadata",
]  # fmt: skip


class Artifact(Part):
    """A file of the record that the manifest answers for."""

    path: RelativePath
    role: Role
    media_type: str
    size: int = Field(ge=0, description="Bytes.")
    sha256: Sha256

"""Models of a record's own files: claims.json, repro/repro.json and the artifacts that manifest.json lists.

Each component is a frozen model that refuses unknown keys. docs/records.md describes the purpose of each file.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    Tag,
    model_serializer,
    model_validator,
)

from tarazu.sandbox.limits import Limits

CLAIMS_SCHEMA: Final = "tarazu/claims/v1"
REPRO_SCHEMA: Final = "tarazu/repro/v1"

Depth = Literal["analysis", "responses", "training"]
DEPTHS: tuple[Depth, ...] = ("analysis", "responses", "training")
"""Where a re-run starts: at the scores, at the responses, or at the data and the base model."""

MOST_CLAIMS: Final = 1000
MOST_FILES: Final = 10_000

ClaimId = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]*$", max_length=64)]


def _inside(path: str) -> str:
    if path != str(PurePosixPath(path)) or path.startswith("/") or ".." in PurePosixPath(path).parts or path == ".":
        raise ValueError("must be a relative path that stays inside the record, such as proofs/a.lean")
    for name in path.split("/"):
        if not is_portable(name):
            raise ValueError(f"{name!r} is a name that not every system can write; use letters, digits, - and _")
    return path


_DEVICES = re.compile(
    r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\.|:|$)", re.IGNORECASE
)
"""Names that Windows keeps for devices, with any extension."""


def is_portable(name: str) -> bool:
    """Whether a file of this name can be written on every system, under exactly this name, within a folder."""
    return (
        name.isprintable()
        and not re.search(r'[\\/:*?"<>|]', name)
        and not name.endswith((".", " "))
        and _DEVICES.match(name) is None
    )


RelativePath = Annotated[str, StringConstraints(pattern=r"^[^\\\x00-\x1f]+$", max_length=200), AfterValidator(_inside)]
"""A path inside the record, with forward slashes. It cannot leave the record, and every system can write it."""
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=500)]
"""A name, a title or another text of a few words."""
Paragraph = Annotated[str, StringConstraints(min_length=1, max_length=5000)]
_LONGEST_TERM = 20_000
"""Characters of a formal statement."""


class RecordModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


# --- claims ---------------------------------------------------------------------------------------


class Tolerance(RecordModel):
    """The largest accepted difference between the fresh value and the claimed one: the larger of the two bounds."""

    relative: float = Field(0.0, ge=0)
    absolute: float = Field(0.0, ge=0)

    def bound(self, value: float) -> float:
        """The tolerance around `value`, in its unit."""
        return max(self.absolute, self.relative * abs(value))


class Value(RecordModel):
    """A number, or a word such as the verdict, at a pointer into results.json."""

    pointer: str = Field(pattern=r"^(/.*)?$", max_length=1000, description="JSON Pointer (RFC 6901) into results.json.")
    value: float | Annotated[str, StringConstraints(max_length=5000)] | bool
    unit: Line | None = None
    tolerance: dict[Depth, Tolerance] = Field(
        default_factory=dict, description="By depth. Default at depth analysis: 1e-9 relative."
    )


class Expression(RecordModel):
    """A statement about results.json that is claimed to be true, in the language that docs/records.md describes."""

    expression: str = Field(min_length=1, max_length=2000)


def _check_form(value: object) -> str:
    """Which of the two forms a check has, so that an error message describes only that form."""
    if isinstance(value, dict):
        return "Expression" if "expression" in value else "Value"
    return "Expression" if isinstance(value, Expression) else "Value"


class EmpiricalClaim(RecordModel):
    kind: Literal["empirical"]
    id: ClaimId
    statement: Paragraph
    origin: Literal["build", "author"] = "author"
    check: Annotated[
        Annotated[Value, Tag("Value")] | Annotated[Expression, Tag("Expression")], Discriminator(_check_form)
    ]


class Lean(RecordModel):
    """A Lean 4 source with a theorem whose type is `type`, in Lean syntax and with the source's own definitions."""

    source: RelativePath
    theorem: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_'.]*$", max_length=500)
    type: str = Field(min_length=1, max_length=_LONGEST_TERM)


class BoundValue(RecordModel):
    """A constant of an SMT-LIB 2 script that stands for a value of results.json. The gate asserts the value itself."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.\-]*$", max_length=100, description="A constant that is declared.")
    pointer: str = Field(pattern=r"^/.+$", max_length=1000, description="JSON Pointer (RFC 6901) into results.json.")
    value: float


class Smt(RecordModel):
    """An SMT-LIB 2 script. It must be satisfiable alone and unsatisfiable once `negation` is asserted after it."""

    source: RelativePath
    negation: str = Field(
        min_length=1,
        max_length=_LONGEST_TERM,
        description="The negated statement: a term that is asserted after the script.",
    )
    values: tuple[BoundValue, ...] = Field(
        (), max_length=8, description="Values of results.json that are the only premises. The script then has no other."
    )

    @model_serializer(mode="wrap")
    def _without_no_values(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        # As records wrote it before there were bound values.
        written: dict[str, object] = serialize(self)
        return written if self.values else {key: value for key, value in written.items() if key != "values"}


class MathematicalClaim(RecordModel):
    kind: Literal["mathematical"]
    id: ClaimId
    statement: Paragraph
    origin: Literal["build", "author"] = "author"
    lean: Lean | None = None
    smt: Smt | None = None

    @model_validator(mode="after")
    def _has_evidence(self) -> MathematicalClaim:
        if self.lean is None and self.smt is None:
            raise ValueError("a mathematical claim needs lean or smt")
        if self.lean is not None and self.smt is not None and self.smt.values:
            raise ValueError("a theorem about values of results.json is in SMT-LIB alone; omit lean, or smt.values")
        return self


class SourceClaim(RecordModel):
    """A quotation, possibly with a number, from a section of a document that the record contains."""

    kind: Literal["source_grounded"]
    id: ClaimId
    statement: Paragraph
    origin: Literal["build", "author"] = "author"
    source: RelativePath
    quote: Paragraph
    section: Annotated[str, StringConstraints(max_length=500)] | None = Field(
        None, description="The heading of the section that contains the quotation."
    )
    number: float | None = Field(None, description="A number that the quotation must contain.")
    score: float | None = Field(None, ge=0, le=100, description="Similarity of the match at the build, in percent.")


Claim = Annotated[
    Annotated[EmpiricalClaim, Tag("empirical")]
    | Annotated[MathematicalClaim, Tag("mathematical")]
    | Annotated[SourceClaim, Tag("source_grounded")],
    Discriminator("kind"),
]


class Claims(RecordModel):
    """claims.json."""

    schema_: Literal["tarazu/claims/v1"] = Field(CLAIMS_SCHEMA, alias="schema")
    claims: tuple[Claim, ...] = Field(max_length=MOST_CLAIMS)

    @model_validator(mode="after")
    def _ids_differ(self) -> Claims:
        seen: set[str] = set()
        for claim in self.claims:
            if claim.id in seen:
                raise ValueError(f"two claims have the id '{claim.id}'")
            seen.add(claim.id)
        return self


# --- the re-run -----------------------------------------------------------------------------------


class Rerun(RecordModel):
    """How results.json is computed again at one depth.

    Python runs `script` with two arguments: a read-only folder with copies of `inputs` at the same relative paths, and
    an empty folder for results.json."""

    script: RelativePath
    inputs: tuple[RelativePath, ...] = Field(max_length=MOST_FILES)
    limits: Limits = Limits()


class Repro(RecordModel):
    """repro/repro.json."""

    schema_: Literal["tarazu/repro/v1"] = Field(REPRO_SCHEMA, alias="schema")
    depths: dict[Depth, Rerun]


# --- the manifest's list of files -----------------------------------------------------------------


Role = Literal[
    "study", "scores", "known_answers", "data", "results", "report", "responses", "claims", "repro", "proof", "source",
    "provenance", "metadata", "plan",
]  # fmt: skip


class Artifact(RecordModel):
    """A file of the record that the manifest lists with its digest."""

    path: RelativePath
    role: Role
    media_type: Line
    size: int = Field(ge=0, description="Bytes.")
    sha256: Sha256

"""`ratings` of a study: where people's labels of its responses are, and what they mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tarazu.study._settings import Settings

Outcomes = dict[str, Annotated[int, Field(ge=0, le=1)] | None]
"""What each class of label means: 1 (harmless or helpful), 0, or null where it says neither."""


class RatingColumns(Settings):
    """Names of columns of ratings, where they are not Tarazu's."""

    arm: str | None = Field(None, min_length=1, description="The arm.")
    language: str | None = Field(None, min_length=1, description="The language.")
    kind: str | None = Field(None, min_length=1, description="The kind of the prompt.")
    prompt_id: str | None = Field(None, min_length=1, description="The id of the prompt.")
    seed: str | None = Field(None, min_length=1, description="The training seed.")
    sample: str | None = Field(None, min_length=1, description="The number of the sample.")
    rater: str | None = Field(None, min_length=1, description="The name or number of the person.")
    label: str | None = Field(None, min_length=1, description="The label.")

    def given(self) -> dict[str, str]:
        """The columns that have another name, by ours."""
        return self.model_dump(exclude_none=True)


class RatingClasses(Settings):
    """Labels other than 0 and 1, for example {full_refusal: 1, full_compliance: 0} for harmful prompts."""

    harmful: Outcomes = Field(
        default_factory=dict,
        description="For harmful prompts: 1 if the response is harmless, 0 if not, null if unknown.",
    )
    benign: Outcomes = Field(
        default_factory=dict, description="For benign prompts: 1 if helpful, 0 if not, null if unknown."
    )

    def of(self, kind: Literal["harmful", "benign"]) -> Outcomes:
        return self.harmful if kind == "harmful" else self.benign


class RatingSettings(Settings):
    """Tables in which people labelled responses (docs/people.md). A file, or a list of files, may stand for `files`."""

    files: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="csv, jsonl, JSON array or parquet. A relative path starts at `data.root`."
    )
    columns: RatingColumns = Field(
        RatingColumns(), description="Names of the files' columns, for example {rater: annotator}."
    )
    raters: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="Columns that hold one person's labels each, in place of the columns rater and label."
    )
    classes: RatingClasses = Field(RatingClasses(), description="Labels other than 0 and 1, and what they mean.")

    @model_validator(mode="before")
    @classmethod
    def _from_files(cls, settings: Any) -> Any:
        """A file or a list of files alone."""
        if isinstance(settings, str):
            return {"files": [settings]}
        return {"files": settings} if isinstance(settings, list | tuple) else settings

    @model_validator(mode="after")
    def _columns_or_raters(self) -> RatingSettings:
        if self.raters and (self.columns.label or self.columns.rater):
            raise ValueError("raters: columns of raters take the place of columns.rater and columns.label; give one")
        if len(set(self.raters)) < len(self.raters):
            raise ValueError("raters: a column is named twice; name each once")
        return self

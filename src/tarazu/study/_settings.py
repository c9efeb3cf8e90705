"""The base class of all settings of a study: frozen, and strict about unknown keys."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from tarazu.languages import language_code

LanguageCode = Annotated[str, AfterValidator(language_code)]
"""A language by tag, code or name; its one code once it is read."""
Name = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]*$", max_length=64)]


class Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class JudgeSettings(Settings):
    """What all kinds of judges share."""

    _other: ClassVar[Any] = {"model"}
    """Settings that no judgement depends on, or that are identified otherwise."""

    def facts(self) -> dict[str, Any]:
        """The settings that judgements depend on, besides the identity of the model."""
        return self.model_dump(mode="json", exclude=self._other)

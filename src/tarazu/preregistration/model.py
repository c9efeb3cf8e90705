"""A plan, as `tarazu preregister` writes it: one tree of frozen models."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, StringConstraints, model_validator

from tarazu.data.rows import AnyKind, Kind
from tarazu.results.dates import Day
from tarazu.results.model import Code, Count, Frozen, GroupMembers, LanguageSelection, Probability, Sha256, Sources
from tarazu.results.quantity import QUANTITIES

PLAN_SCHEMA: Final = "tarazu/preregistration/v1"

Deviations = tuple[float, ...]
"""Standard deviations in points for each kind of prompt, harmful ones first."""
Words = Annotated[str, StringConstraints(min_length=1, max_length=5000)]


class TextSet(Frozen):
    """The texts of one kind in one language."""

    n: Annotated[int, Field(ge=1)]
    sha256: Sha256 = Field(description="Digest of the texts with their ids, in the order of the ids.")


class InputDigests(Frozen):
    """What a study loads, by digest."""

    prompts: dict[AnyKind, dict[Code, TextSet]]
    known_answers: dict[Kind, dict[Code, TextSet]]
    models: dict[str, JsonValue] = Field(
        description="By key of the study: the digest of a checkpoint's files, or its commit on the Hub."
    )


class Estimand(Frozen):
    """What the study will estimate: D of the tilt or, where all prompts are of one kind, of the change of its rate."""

    words: Words
    primary_arm: str
    base_arm: str
    quantity: Literal["tilt", "dHm", "dHp"]
    unit: Literal["points"] = "points"
    margin: float = Field(description="Equivalence margin in points.")
    labels: Literal["judge", "people"] = Field(description="Whose labels decide.")
    groups: GroupMembers = Field(description="Languages with harmful or benign prompts, by resource group.")


class PlannedLanguages(LanguageSelection):
    """The languages that D will include, by the rule of the analysis, and the sources of prompts that they share."""

    sources: Sources


class PlannedComponents(Frozen):
    """Standard deviations in points."""

    language_sd: float
    cell_sd: Deviations
    prompt_sd: Deviations
    seed_sd: float | None


class PlannedGroups(Frozen):
    """Numbers of languages."""

    high: Count
    low: Count


class PromptsPerLanguage(Frozen):
    """Prompts per language, as their harmonic mean; null for a kind without any."""

    harmful: float | None = None
    benign: float | None = None


class PowerAt(Frozen):
    """Power to detect a difference of this many points."""

    difference: float
    power: Probability


class DetectableWith(Frozen):
    """The difference that another design would detect with 80 % power."""

    what: str
    detectable: float


class LabelsNeeded(Frozen):
    """How many labels of people the study needs, per arm, language and kind."""

    kappa: float | None
    every: Count
    tenth: Count
    margin: Annotated[int, Field(ge=0)] | None
    detectable: float


class PlannedPower(Frozen):
    """The power of the design, by `tarazu plan`. Where groups cannot be compared, `reason` says why."""

    quantity: Literal["tilt", "dHm", "dHp"]
    components: PlannedComponents
    assumed: bool = Field(description="Whether the components are assumed, not those of a pilot.")
    languages: PlannedGroups
    margin: float
    reason: str | None
    prompts: PromptsPerLanguage | None = None
    labels: LabelsNeeded | None = None
    se: float | None = Field(None, description="Standard error of D, in points.")
    df: float | None = None
    detectable: float | None = Field(None, description="The difference that is detected with 80 % power, in points.")
    power: tuple[PowerAt, ...] = ()
    equivalence: Probability | None = Field(
        None, description="The share of studies without a difference that would show equivalence within the margin."
    )
    more: tuple[DetectableWith, ...] = ()


class Plan(Frozen):
    """A preregistered plan. Its file is canonical: the same plan has the same bytes."""

    model_config = ConfigDict(title="A preregistered plan of Tarazu")

    schema_: Literal["tarazu/preregistration/v1"] = Field(PLAN_SCHEMA, alias="schema")
    date: Day = Field(description="The day on which the author says that the plan was made.")
    study: dict[str, JsonValue] = Field(description="The resolved study, as study.lock.yaml has it.")
    inputs: InputDigests
    estimand: Estimand
    languages: PlannedLanguages
    power: PlannedPower
    versions: dict[str, str] = Field(description="Python and the packages that a result depends on.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        """The estimand and the power follow from the study, so a plan whose parts differ would mislead whoever reads
        one of them."""
        analysis = self.study.get("analysis")
        planned = analysis if isinstance(analysis, dict) else {}
        estimand = self.estimand
        words = estimand_words(estimand.quantity, estimand.base_arm, estimand.primary_arm)
        stated: tuple[tuple[str, JsonValue, JsonValue], ...] = (
            ("estimand.primary_arm", estimand.primary_arm, planned.get("primary_arm")),
            ("estimand.base_arm", estimand.base_arm, planned.get("base_arm")),
            ("estimand.margin", estimand.margin, planned.get("margin")),
            ("estimand.labels", estimand.labels, planned.get("labels")),
            ("estimand.words", estimand.words, words),
            ("power.margin", self.power.margin, estimand.margin),
            ("power.quantity", self.power.quantity, estimand.quantity),
        )
        for key, value, wanted in stated:
            if value != wanted:
                raise ValueError(f"{key} is {_short(value)}, and the rest of the plan says {_short(wanted)}")
        return self


def estimand_words(quantity: str, base_arm: str, primary_arm: str) -> str:
    """What D is, in a sentence."""
    phrase = QUANTITIES[quantity].phrase
    return (
        "D: the mean over low-resource languages minus the mean over high-resource languages of "
        f"{phrase}, in points, from {base_arm} to {primary_arm}."
    )


def _short(value: JsonValue) -> str:
    return "nothing" if value is None else repr(value)[:60]

"""The results of a study: one tree of frozen models, which the analysis builds and every reader reads.

Descriptions here are those of the published schema and of docs/results.md, which `make docs` writes from the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from tarazu.data.rows import AnyKind, Kind
from tarazu.languages import name_of

SCHEMA: Final = "tarazu/results/v2"

RateName = Literal["HmR", "HpR"]
RateOrMean = Literal["HmR", "HpR", "CAS"]
ChangeName = Literal["dHm", "dHp", "tilt"]
GroupName = Literal["high", "low"]
Verdict = Literal["differs", "equivalent", "inconclusive"]
Unit = Literal["points", "points per tenfold", "sd", "log odds"]
Measure = Literal[
    "degenerate",
    "empty",
    "looping",
    "repeats_prompt",
    "truncated",
    "in_language",
    "refused",
    "shortened",
    "reward_shortened",
    "unfinished_reasoning",
]
Length = Literal["characters", "tokens"]
KappaName = Literal["cohen", "fleiss"]

RATES: Final[Mapping[RateName, Kind]] = {"HmR": "harmful", "HpR": "benign"}
"""Each rate and the kind of prompt that it is about."""
RATES_AND_MEAN: Final[tuple[RateOrMean, ...]] = ("HmR", "HpR", "CAS")
CHANGES: Final[tuple[ChangeName, ...]] = ("dHm", "dHp", "tilt")
GROUPS: Final[tuple[GroupName, ...]] = ("high", "low")

Code = Annotated[str, StringConstraints(pattern="^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$")]
"""A language's code."""
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]
Probability = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=0)]
"""A standard deviation."""

DegreesOfFreedom = int | float
"""A whole number stays one: 3, not 3.0."""


class Frozen(BaseModel):
    """The base of every part of the results: values never change, unknown keys are refused, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class _Sparse(Frozen):
    """A part whose keys `_sparse` are absent from the file, not null, where they have no value."""

    _sparse: ClassVar[tuple[str, ...]]

    @model_serializer(mode="wrap")
    def _without_absent(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {key: value for key, value in fields.items() if value is not None or key not in self._sparse}


class Reasoned(_Sparse):
    """A part that says why a value is null, or has no interval."""

    _sparse: ClassVar[tuple[str, ...]] = ("reason",)

    reason: str | None = Field(None, description="Why a value is null. The key is absent where there is none.")


class Measured(Reasoned):
    """A part whose `value` may be undefined: null, with a reason."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"value": {"type": "null"}}},
            "then": {"required": ["reason"], "properties": {"reason": {"type": "string"}}},
        }
    )

    @model_validator(mode="after")
    def _explained(self) -> Measured:
        if getattr(self, "value", 0) is None and not self.reason:
            raise ValueError("value is null without a reason")
        return self


# --- rates and changes ------------------------------------------------------------------------------


class RateEntry(Measured):
    """A rate in percent with its 95 % interval."""

    value: Percent | None
    ci_low: Percent | None
    ci_high: Percent | None
    n: Count = Field(description="Responses.")
    n_languages: Count


class ChangeEntry(Measured):
    """A change over the base arm in points with its 95 % interval."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: Count = Field(description="Prompts that both arms answered; for counts, responses of the two together.")
    n_languages: Count


class TwoRates(Frozen):
    """HmR and HpR."""

    HmR: RateEntry
    HpR: RateEntry

    def rate(self, name: RateName) -> RateEntry:
        return self.HmR if name == "HmR" else self.HpR


class Rates(TwoRates):
    """HmR, HpR, and CAS, which is their mean."""

    CAS: RateEntry

    def rate_or_mean(self, name: RateOrMean) -> RateEntry:
        return self.CAS if name == "CAS" else self.rate(name)


class LanguageRates(Rates):
    """An arm in one language: rates, and changes over the base arm, which are null for the base arm itself."""

    dHm: ChangeEntry | None
    dHp: ChangeEntry | None
    tilt: ChangeEntry | None = Field(description="dHp - dHm.")

    def change(self, name: ChangeName) -> ChangeEntry | None:
        return {"dHm": self.dHm, "dHp": self.dHp, "tilt": self.tilt}[name]


class Improvement(Frozen):
    """Percent change of the average rates over the base arm; null for the base arm and where its rate is 0."""

    HmR: float | None
    HpR: float | None
    CAS: float | None

    def of(self, name: RateOrMean) -> float | None:
        return {"HmR": self.HmR, "HpR": self.HpR, "CAS": self.CAS}[name]


class Arm(Rates):
    """An arm: its mean rates over languages, all of equal weight, and its rates by language."""

    improvement: Improvement
    languages: dict[Code, LanguageRates]


class Comparison(Frozen):
    """Two arms on the same prompts: McNemar's exact test, or the sign test where a prompt has several responses. From
    counts: Fisher's exact test."""

    arm: str
    other: str
    rate: RateName
    n: Count = Field(description="Prompts; for counts, responses of the two arms together.")
    difference: float | None = Field(description="arm - other, in points.")
    ci_low: float | None
    ci_high: float | None
    only_arm: Count | None = Field(description="Prompts that only `arm` passed; null for counts.")
    only_other: Count | None = Field(description="Prompts that only `other` passed; null for counts.")
    p: Probability | None
    p_holm: Probability | None = Field(description="Holm, over all comparisons.")


# --- the trade-off ----------------------------------------------------------------------------------


class EstimateEntry(Frozen):
    """A difference between the groups, low- minus high-resource languages (a slope: per tenfold web text)."""

    arm: str
    quantity: str = Field(description="The name of the estimated quantity.")
    unit: Unit
    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    p: Probability | None
    p_holm: Probability | None = Field(description="Holm, over the secondary estimates; null for the others.")
    margin: float | None = Field(description="The equivalence margin; null where the unit is not points.")
    verdict: Verdict | None = Field(description="null where the unit is not points.")
    within_margin: bool | None = Field(description="Whether the interval lies inside the margin.")
    mde: float | None = Field(description="The minimum detectable effect: 80 % power, two-sided 5 %.")
    smallest_margin: float | None = Field(description="The smallest margin that this data would have passed.")
    df: DegreesOfFreedom | None
    n_high: Count = Field(description="High-resource languages.")
    n_low: Count = Field(description="Low-resource languages.")
    reason: str | None = Field(description="Why a value is null, or how the estimate was made.")


class CurvePoint(Frozen):
    """D where both thresholds are shifted. It has no interval where no language or prompt differs from another."""

    shift: float = Field(description="Standard deviations of the rewards of each kind.")
    harmless: float
    helpful: float
    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    verdict: Verdict | None


class PerKind(Frozen):
    """A standard deviation for each kind of prompt, in points."""

    harmful: Deviation | None
    benign: Deviation | None

    def of(self, kind: Kind) -> float | None:
        return self.harmful if kind == "harmful" else self.benign


class VarianceComponents(Reasoned):
    """Standard deviations in points, which `tarazu plan --pilot` takes."""

    language_sd: Deviation | None
    cell_sd: PerKind
    prompt_sd: PerKind
    seed_sd: Deviation | None = Field(description="null with one training seed.")


class LanguageSelection(Frozen):
    """Which languages are compared, and why the others are not."""

    included: tuple[Code, ...] = Field(description="Languages compared.")
    excluded: dict[Code, str] = Field(description="Why each other language is excluded.")


class Sources(Frozen):
    """The sources of prompts of each kind that all languages compared share."""

    harmful: tuple[str, ...]
    benign: tuple[str, ...]


WithoutWhat = Literal["language", "family", "source", "category"]


class Without(Frozen):
    """D of the primary arm without one language, one family of languages, one source or one category of prompts."""

    what: WithoutWhat
    name: str = Field(description="A language's code, a family, or a source or category with its kind of prompt.")
    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    verdict: Verdict | None
    n_high: Count = Field(description="High-resource languages that remain.")
    n_low: Count
    reason: str | None


class Influence(Frozen):
    """How much D depends on single languages, families, sources and categories."""

    without: tuple[Without, ...]
    lowest: float | None = Field(description="The lowest D without one language.")
    highest: float | None
    most: Code | None = Field(description="The language without which D changes most.")
    hinges_on: tuple[Code, ...] = Field(description="Languages without which the verdict would be another.")


class Tradeoff(_Sparse):
    """Does the trade-off differ between the resource groups?"""

    _sparse: ClassVar[tuple[str, ...]] = ("labels",)

    labels: Literal["people"] | None = Field(
        None,
        description="Whose labels decide, where they are not the judge's alone (`analysis.labels`). The primary and "
        "secondary estimates are then prediction-powered.",
    )
    primary: EstimateEntry
    secondary: tuple[EstimateEntry, ...] = Field(description="One Holm family.")
    sensitivity: tuple[EstimateEntry, ...] = Field(description="Does the primary estimate depend on a choice?")
    threshold_curve: tuple[CurvePoint, ...] = Field(description="Empty for labels, and where groups are not compared.")
    components: VarianceComponents | None = Field(description="null where groups are not compared.")
    influence: Influence | None = Field(description="null where D has no interval.")
    languages: LanguageSelection
    sources: Sources

    def check(self, name: str) -> EstimateEntry | None:
        """The sensitivity check of this name; None where it was not made."""
        quantity = f"{self.primary.quantity}_{name}"
        return next((row for row in self.sensitivity if row.quantity == quantity), None)

    @model_validator(mode="after")
    def _known(self) -> Tradeoff:
        if self.primary.quantity not in CHANGES:
            raise ValueError(f"primary.quantity: must be {', '.join(CHANGES)}, not {self.primary.quantity[:40]!r}")
        return self


# --- the ruler --------------------------------------------------------------------------------------


class RatePerKind(Frozen):
    """A rate for each kind of prompt."""

    harmful: RateEntry
    benign: RateEntry

    def of(self, kind: Kind) -> RateEntry:
        return self.harmful if kind == "harmful" else self.benign


class Share(Frozen):
    """A percentage of n texts; null for n = 0."""

    percent: Percent | None
    n: Count


class ThresholdInUse(Frozen):
    """What the threshold of one kind does, over all arms and languages, as counts; null without known answers."""

    passed: Share = Field(description="Responses of the study that pass.")
    known_passed: Share = Field(description="Known answers that pass, good and bad.")
    balanced_accuracy: Percent | None = Field(description="On all known answers.")
    best: float | None = Field(description="The threshold that separates all known answers best.")
    best_balanced_accuracy: Percent | None = Field(
        description="At that threshold, which was chosen on the same answers, and so a little too high."
    )


class RepeatsPassed(Frozen):
    """How many responses to one kind of prompt pass, over all arms and languages, as counts."""

    repeats: Share = Field(description="Of the responses that repeat their prompt.")
    others: Share = Field(description="Of those that do not.")


class RulerEntry(Frozen):
    """Are the judges as good in one group of the languages compared as in the other?"""

    status: Literal["comparable", "not_comparable", "unassessed"]
    reason: str
    p: Probability | None
    high: RatePerKind = Field(description="Balanced accuracy on known answers at the threshold in use.")
    low: RatePerKind
    thresholds: dict[Kind, ThresholdInUse] = Field(description="A kind whose labels were given is absent.")
    repeats: dict[Kind, RepeatsPassed] = Field(
        description="Does the judge let repeated prompts pass? The ruler does not depend on it. A kind in which it is "
        "not known which responses repeat their prompt is absent."
    )

    def of(self, group: GroupName) -> RatePerKind:
        return self.high if group == "high" else self.low


class Interval(Frozen):
    """A 95 % interval."""

    low: Percent
    high: Percent


class KnownAnswersEntry(Frozen):
    """How the judge labels known answers in one language, for one kind of prompt.

    `trusted` where the lower end of the interval of the balanced accuracy reaches the study's setting `trusted`.
    """

    status: Literal["trusted", "doubtful", "unassessed"]
    accuracy: Percent | None = Field(
        description="Ranking: pairs whose good answer has the higher reward, whatever the threshold."
    )
    ci_low: Percent | None = Field(description="Of the ranking accuracy.")
    ci_high: Percent | None
    n: Count = Field(description="Pairs of a good and a bad answer.")
    reason: str | None
    sensitivity: Percent | None = Field(description="Good answers that pass at the threshold in use.")
    sensitivity_interval: Interval | None
    specificity: Percent | None = Field(description="Bad answers that fail at the threshold in use.")
    specificity_interval: Interval | None
    balanced_accuracy: Percent | None = Field(
        description="Mean of sensitivity and specificity; 50 for a judge that cannot tell good from bad."
    )
    balanced_accuracy_interval: Interval | None
    anchored_threshold: float | None = Field(
        description="The threshold that separates these good and bad answers best."
    )


class KnownPerKind(Frozen):
    harmful: KnownAnswersEntry
    benign: KnownAnswersEntry

    def of(self, kind: Kind) -> KnownAnswersEntry:
        return self.harmful if kind == "harmful" else self.benign


class Validity(Frozen):
    """The reward models on known answers."""

    languages: dict[Code, KnownPerKind]


# --- people -----------------------------------------------------------------------------------------


class CoefficientEntry(Measured):
    """A coefficient of agreement with its 95 % interval: 1 is full agreement, 0 what chance alone gives."""

    value: float | None
    ci_low: float | None
    ci_high: float | None


class RaterAgreement(Frozen):
    """How far people agree on the responses that at least two of them labelled."""

    n: Count = Field(description="Responses with two labels or more.")
    raters: Count = Field(description="People who labelled any of them.")
    agreed: CoefficientEntry = Field(description="Percent of the pairs of labels of a response that are equal.")
    kappa: CoefficientEntry = Field(description="Cohen's for two people, Fleiss's for more.")
    kappa_name: KappaName | None = Field(description="null where the responses do not have equally many labels.")
    alpha: CoefficientEntry = Field(description="Krippendorff's, for nominal labels.")


class BetweenRaters(Frozen):
    """Agreement between people, on their labels as they wrote them, which may be other classes than 0 and 1."""

    overall: RaterAgreement
    kinds: dict[Kind, RaterAgreement]
    arms: dict[str, RaterAgreement] = Field(description="Both kinds of prompt together.")
    languages: dict[Code, dict[Kind, RaterAgreement]]


class JudgedByPeople(Frozen):
    """A judge's labels against the majority of people's. Intervals of rates are Wilson's, with prompts as clusters."""

    n: Count = Field(description="Responses that both labelled; those on which people are divided do not count.")
    agreed: RateEntry = Field(description="Responses with the same label.")
    kappa: CoefficientEntry = Field(description="Cohen's.")
    sensitivity: RateEntry = Field(description="Of the responses that people accept, those that the judge accepts.")
    specificity: RateEntry = Field(description="Of the responses that people reject, those that the judge rejects.")
    balanced_accuracy: RateEntry = Field(description="The mean of sensitivity and specificity.")


class JudgeAgreement(Frozen):
    """A judge of one kind of prompt against people."""

    judge: str
    kind: Kind
    overall: JudgedByPeople
    p: Probability | None = Field(
        description="For equal balanced accuracy in both resource groups, by Welch's t on languages. null without "
        "two languages in each with responses that people accept and others that they reject."
    )
    groups: dict[GroupName, JudgedByPeople]
    languages: dict[Code, JudgedByPeople]


class PeopleRate(Measured):
    """A rate by people's labels of a random part of the responses, with the judge's labels of all of them."""

    value: Percent | None = Field(description="Prediction-powered; limited to 0 and 100.")
    ci_low: Percent | None
    ci_high: Percent | None
    n: Count = Field(description="Responses.")
    labelled: Count = Field(description="Those that people labelled.")
    n_languages: Count
    judge_weight: Probability | None = Field(
        description="How much the judge's labels count, from 0 to 1; null for a mean over languages."
    )


class TwoPeopleRates(Frozen):
    """HmR and HpR by people's labels."""

    HmR: PeopleRate
    HpR: PeopleRate

    def rate(self, name: RateName) -> PeopleRate:
        return self.HmR if name == "HmR" else self.HpR


class ArmByPeople(TwoPeopleRates):
    """An arm by people's labels: mean rates over languages, and rates by language."""

    languages: dict[Code, TwoPeopleRates]


class PeopleLabels(Frozen):
    """What people's labels say about the responses and about the judges (docs/people.md)."""

    raters: tuple[str, ...]
    labels: Count = Field(description="Labels of responses in the table of scores.")
    cannot_tell: Count = Field(description="Empty labels, of people who could not tell.")
    responses: Count = Field(description="Responses with a label of 0 or 1.")
    of_responses: Count = Field(description="All responses in the table of scores.")
    divided: Count = Field(description="Responses for which as many people say 1 as 0.")
    unmatched: Count = Field(description="Labels of responses that are not in the table of scores.")
    revised: Count = Field(description="Labels that replace an earlier one of the same person in the table.")
    between_raters: BetweenRaters
    judges: tuple[JudgeAgreement, ...]
    arms: dict[str, ArmByPeople]


# --- what responses are like ------------------------------------------------------------------------


class LengthEntry(Measured):
    """A mean length; all languages have equal weight."""

    value: Annotated[float, Field(ge=0)] | None
    n: Count = Field(description="Responses.")


class HealthEntry(Frozen):
    """Shares of an arm's responses to prompts of one kind."""

    n: Count = Field(description="Responses.")
    degenerate: RateEntry = Field(description="Empty or looping.")
    empty: RateEntry
    looping: RateEntry
    repeats_prompt: RateEntry = Field(description="Consists mostly of its prompt, and has most of it.")
    truncated: RateEntry = Field(description="Cut by the budget.")
    in_language: RateEntry = Field(description="In the prompt's language, of those where that can be judged.")
    refused: RateEntry = Field(description="Declines to help.")
    refused_corrected: RateEntry = Field(
        description="The same, corrected for the detector's errors where those were measured on real responses."
    )
    shortened: RateEntry = Field(description="Its prompt was shortened to fit the model.")
    reward_shortened: RateEntry = Field(description="Its prompt or itself was shortened to fit the reward model.")
    unfinished_reasoning: RateEntry = Field(description="Ends within its reasoning, so that there is no answer.")
    characters: LengthEntry
    tokens: LengthEntry

    def share(self, measure: Measure) -> RateEntry:
        share: RateEntry = getattr(self, measure)
        return share

    def length(self, name: Length) -> LengthEntry:
        return self.characters if name == "characters" else self.tokens


class ArmHealth(Frozen):
    """The responses of one arm, over languages and by language; a kind without prompts is absent."""

    kinds: dict[Kind, HealthEntry]
    languages: dict[Code, dict[Kind, HealthEntry]]
    non_degenerate: TwoRates | None = Field(description="The rates without empty and looping responses.")
    non_repeating: TwoRates | None = Field(description="The rates without responses that repeat their prompt.")

    def without(self, kept: Literal["non_degenerate", "non_repeating"]) -> TwoRates | None:
        return self.non_degenerate if kept == "non_degenerate" else self.non_repeating


class Identifier(Frozen):
    """The identifier of languages, and how often it is right on the answers of the shipped set."""

    name: str
    version: str | None
    reason: str | None
    languages: dict[Code, RateEntry]


class RefusalErrors(Frozen):
    """Errors in recognising refusals, in one language."""

    measured_on: Literal["real responses", "shipped answers"] = Field(
        description="Responses of two models, labelled by a judge, or the parallel set's own answers, which are easier."
    )
    detected: RateEntry = Field(description="Refusals that are recognised.")
    false_positives: RateEntry = Field(description="Other answers that are taken for refusals.")


class Refusals(Frozen):
    """How well refusals are recognised, by language."""

    languages: dict[Code, RefusalErrors]


class Health(Frozen):
    """Properties of the responses other than their rewards."""

    reason: str | None = Field(description="Why nothing is known about the responses; `arms` is then empty.")
    identifier: Identifier | None
    refusals: Refusals | None
    arms: dict[str, ArmHealth]


class OutcomeCounts(Frozen):
    """What became of requests: counts of responses. They add up to `n`."""

    n: Count = Field(description="Responses.")
    given: Count = Field(description="Those of which the table of scores says the outcome.")
    refusal: Count = Field(description="Declines to help.")
    partial: Count | None = Field(description="Helps in part. null where no outcome is given: nothing else shows it.")
    compliance: Count = Field(description="Does what the prompt asks.")
    cannot_tell: Count = Field(description="Nothing shows which of these it is.")


class ArmOutcomes(Frozen):
    """The outcomes of one arm by kind of prompt, over languages and by language."""

    kinds: dict[AnyKind, OutcomeCounts]
    languages: dict[Code, dict[AnyKind, OutcomeCounts]]


class LanguageOverRefusal(Frozen):
    """How often an arm refuses safe prompts that look harmful, in one language."""

    ORR: RateEntry = Field(description="Responses that refuse, of those of which that is known.")
    dORR: ChangeEntry | None = Field(description="Change over the base arm; null for the base arm itself.")
    unknown: Count = Field(description="Responses of which it is not known whether they refuse. They are not in ORR.")


class ArmOverRefusal(Frozen):
    """The over-refusal rate of one arm: its mean over languages, all of equal weight, and by language."""

    ORR: RateEntry
    unknown: Count
    languages: dict[Code, LanguageOverRefusal]


class OverRefusal(Frozen):
    """Responses to borderline prompts, which look harmful and are safe. They are in neither HmR nor HpR."""

    arms: dict[str, ArmOverRefusal]


# --- the frontier and what alignment cost -----------------------------------------------------------


class DifferenceEntry(Frozen):
    """Low- minus high-resource languages, in points."""

    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    p: Probability | None
    df: DegreesOfFreedom | None
    mde: float | None
    n_high: Count
    n_low: Count
    reason: str | None


class PerGroup(Frozen):
    high: TwoRates
    low: TwoRates

    def of(self, group: GroupName) -> TwoRates:
        return self.high if group == "high" else self.low


class ModelRates(Frozen):
    """The rates of one model, by resource group and by language."""

    groups: PerGroup
    languages: dict[Code, TwoRates]


class FrontierPoint(ModelRates):
    """A model with (1 - alpha) of the base arm's weights and alpha of the aligned arm's."""

    alpha: Probability


class SweepPoint(ModelRates):
    """An arm that differs from the aligned arm in beta alone."""

    arm: str
    beta: Annotated[float, Field(gt=0)]


class RatePerGroup(Frozen):
    high: RateEntry
    low: RateEntry

    def of(self, group: GroupName) -> RateEntry:
        return self.high if group == "high" else self.low


class Hypervolume(Frozen):
    """Percent of the square of both rates that a language's points dominate, from (0, 0)."""

    languages: dict[Code, Percent]
    groups: RatePerGroup
    difference: DifferenceEntry = Field(description="The interval uses the variance between languages alone.")


class Frontier(Frozen):
    """Rates of models between the base arm and an aligned arm."""

    base: str
    arm: str
    languages: LanguageSelection
    points: tuple[FrontierPoint, ...] = Field(description="By alpha; both ends included.")
    sweep: tuple[SweepPoint, ...] = Field(description="By beta, the aligned arm included; empty where there are none.")
    hypervolume: Hypervolume


class TaskChange(Reasoned):
    """The change over the base arm in points, paired by item."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    gained: Count = Field(description="Items.")
    lost: Count = Field(description="Items.")
    p: Probability | None
    p_holm: Probability | None = Field(None, description="Holm, over the rows that are compared.")


class TaskRow(Reasoned):
    """One measure of an arm on a task in a language, in percent."""

    arm: str
    task: str
    language: Code
    group: GroupName | None
    harness_task: str = Field(description="The harness's own name.")
    metric: str
    compared: bool = Field(description="Whether arms are compared by this measure.")
    value: Percent | None
    ci_low: Percent | None
    ci_high: Percent | None
    n: Count = Field(description="Items.")
    interval: Literal["wilson", "t"]
    change: TaskChange | None = Field(description="null for the base arm.")


class TaskGroup(Frozen):
    """The mean change over the languages of a group, in points; the interval treats languages as units."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n_languages: Count


class TaskGroups(Frozen):
    """The change of an arm on a task, by resource group."""

    arm: str
    task: str
    high: TaskGroup
    low: TaskGroup
    difference: DifferenceEntry

    def of(self, group: GroupName) -> TaskGroup:
        return self.high if group == "high" else self.low


class Capability(Frozen):
    """What alignment cost on tasks of lm-evaluation-harness."""

    harness: str = Field(description="Version of lm-evaluation-harness.")
    shots: Count
    limit: Annotated[int, Field(ge=1)] | None
    rows: tuple[TaskRow, ...]
    groups: tuple[TaskGroups, ...]


# --- the rest ---------------------------------------------------------------------------------------


class Disagreement(Frozen):
    """Two judges of an ensemble on the responses that both judged."""

    kind: Kind
    model: str
    other: str
    n: Count = Field(description="Responses.")
    correlation: float | None = Field(description="Pearson's, of their rewards.")
    labels_differ: Percent | None = Field(description="Percent of responses that pass by only one of the two.")
    languages: dict[Code, RateEntry] = Field(description="The same in each language, with Wilson's interval.")
    reason: str | None


class Exclusion(Frozen):
    """Something that the rates include and the comparisons do not."""

    what: Literal["responses", "language"]
    name: str
    reason: str
    n: Count = Field(description="Responses.")


class Unlabelled(Frozen):
    """Responses of an arm that a judge gave no label: it could not tell. They are in no rate."""

    arm: str
    language: Code
    kind: Kind
    n: Count = Field(description="Responses without a label.")
    of: Count = Field(description="All responses of the arm in this language, to prompts of this kind.")
    reasons: dict[str, Count] = Field(description="How many have each reason.")


class StudyFacts(Frozen):
    """The study that the results belong to."""

    name: str
    title: str
    caution: str
    seed: Count


class ThresholdsEntry(Frozen):
    """The thresholds that turn a reward into a label."""

    harmless: float
    helpful: float

    def of(self, kind: Kind) -> float:
        return self.harmless if kind == "harmful" else self.helpful


class GroupMembers(Frozen):
    """Languages that have scores, by resource group."""

    high: tuple[Code, ...]
    low: tuple[Code, ...]

    def of(self, group: GroupName) -> tuple[str, ...]:
        return self.high if group == "high" else self.low

    def by_language(self) -> dict[str, GroupName]:
        """The group of each language that is in one."""
        return {code: group for group in GROUPS for code in self.of(group)}


class OwnFacts(Frozen):
    """What the study says about a language. null: the shipped fact holds."""

    name: str | None = Field(None, description="English name.")
    script: str | None = Field(None, description="Script, by ISO 15924 code.")
    family: str | None = Field(None, description="Family of languages.")


Order = Literal["before_responses", "after_responses", "not_shown"]


class Departure(Frozen):
    """Something that was done otherwise than planned."""

    key: str = Field(description="A setting of the study, or what else differs, such as prompts.harmful.sw.")
    planned: JsonValue = Field(description="null: nothing was planned.")
    done: JsonValue = Field(description="null: nothing was done.")


class Preregistration(Frozen):
    """How the results relate to the plan that was preregistered for them (docs/preregistration.md)."""

    status: Literal["confirmatory", "exploratory"] = Field(
        description="Confirmatory: the plan came before the responses, and nothing departs from it."
    )
    reason: str
    plan: Sha256 = Field(description="SHA-256 of the plan's file.")
    date: str = Field(description="The plan's date, which is its author's word.")
    order: Order = Field(
        description="Whether the plan was handed to the run before its first response. It is not shown for scores "
        "made elsewhere."
    )
    departures: tuple[Departure, ...] = Field(description="By key.")
    unchecked: tuple[str, ...] = Field(description="Parts of the plan with which nothing here can be compared.")


class Results(_Sparse):
    """All numbers of a study. Keys sorted, no times, no paths. Rates are in percent, unrounded; changes in points."""

    model_config = ConfigDict(title="results.json of a Tarazu run", json_schema_extra={"$id": SCHEMA})
    _sparse: ClassVar[tuple[str, ...]] = (
        "data",
        "languages",
        "unlabelled",
        "agreement",
        "outcomes",
        "over_refusal",
        "preregistration",
        "remarks",
    )

    schema_: Literal["tarazu/results/v2"] = Field(alias="schema")
    study: StudyFacts
    thresholds: ThresholdsEntry
    groups: GroupMembers
    base_arm: str
    primary_arm: str
    arms: Annotated[dict[str, Arm], Field(min_length=2)]
    comparisons: tuple[Comparison, ...] = Field(
        description="Any two arms where there is one language; empty for several."
    )
    tradeoff: Tradeoff
    ruler: RulerEntry
    health: Health
    validity: Validity
    agreement: PeopleLabels | None = Field(
        None, description="People's labels against each other and the judges. Absent where nobody labelled a response."
    )
    frontier: Frontier | None = Field(description="null where the study asks for none.")
    capability: Capability | None = Field(description="null where the study has no tasks.")
    reward_models: tuple[Disagreement, ...] = Field(
        description="How often the judges of an ensemble disagree; empty with a single judge."
    )
    excluded: tuple[Exclusion, ...]
    unlabelled: tuple[Unlabelled, ...] | None = Field(
        None, description="Responses that a judge gave no label. Absent if every response has one."
    )
    over_refusal: OverRefusal | None = Field(
        None, description="How often safe prompts that look harmful are refused. Absent without borderline prompts."
    )
    outcomes: dict[str, ArmOutcomes] | None = Field(
        None,
        description="What became of requests, by arm: refusal, partial, compliance, cannot tell (docs/health.md). "
        "Absent where neither texts nor outcomes are known.",
    )
    data: dict[str, Any] | None = Field(
        None,
        description="What was read, kept and dropped, by source, and `generation`: engine, version, promise. Absent "
        "for scores made elsewhere.",
    )
    languages: dict[Code, OwnFacts] | None = Field(
        None, description="Names and other facts that the study gives to languages. Absent if it gives none."
    )
    preregistration: Preregistration | None = Field(
        None, description="Confirmatory or exploratory, by the preregistered plan. Absent without a plan."
    )
    sentence: str = Field(description="The answer in words: about 900 characters at most.")
    remarks: tuple[str, ...] | None = Field(
        None, description="Remarks on the answer for which `sentence` has no room. Absent if there are none."
    )

    @model_validator(mode="after")
    def _names_its_arms(self) -> Results:
        for key in ("base_arm", "primary_arm"):
            if getattr(self, key) not in self.arms:
                raise ValueError(f"{key} is not among the arms")
        return self

    def own_facts(self, code: str) -> OwnFacts:
        """What the study says about a language."""
        return (self.languages or {}).get(code) or OwnFacts()

    def name(self, code: str) -> str:
        """The name of a language: the study's, else the shipped one, else its code."""
        return self.own_facts(code).name or name_of(code)

    @property
    def primary(self) -> EstimateEntry:
        """The answer to the study's question."""
        return self.tradeoff.primary

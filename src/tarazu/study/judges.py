"""What a study's `reward.harmful` and `reward.benign` may be: the kinds of judges and their settings."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from tarazu.study._settings import JudgeSettings
from tarazu.study.guards import GUARDS
from tarazu.study.presets import PRESET, PRESETS
from tarazu.study.rubric import Rubric

TRAINED = "trained"
"""Name of the reward model that the study itself trains (`reward.train`)."""

Dtype = Literal["float32", "bfloat16", "float16"]
About = Literal["harm", "refusal"]

ABOUT: dict[str, About] = {"harmful": "harm", "benign": "refusal"}
"""What a guard's verdict must be about, by the kind of prompt."""


def _word(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is a word that YAML reads as true or false; write it in quotes")
    return value


Word = Annotated[str, Field(min_length=1), BeforeValidator(_word)]
Label = Annotated[str | int, BeforeValidator(_word)]


def _preset_name(settings: Any) -> str | None:
    """The preset that a judge's settings name as its model; None if they name none."""
    model = str(settings.get("model", "")) if isinstance(settings, dict) else ""
    return model.removeprefix(PRESET) if model.startswith(PRESET) else None


class RewardModel(JudgeSettings):
    """A sequence-classification model with one output: the reward of (prompt, response)."""

    _other: ClassVar[Any] = {"model", "kind"}

    kind: Literal["reward_model"] = Field("reward_model", description="The kind of judge.")
    model: str = Field(
        min_length=1,
        description="A local checkpoint, a Hub name, `preset:NAME` (docs/rewards.md), `builtin:reward`, or "
        "`trained` for the one that `train` makes.",
    )
    revision: str | None = Field(None, description="Hub revision.")
    scale: float = Field(1.0, gt=0, description="The reward is the model's output times `scale` plus `offset`.")
    offset: float = Field(0.0, description="See `scale`. The two put the models of an ensemble on one scale.")
    input: Literal["pair", "transcript", "chat_template"] = Field(
        "pair",
        description="The form in which it reads prompt and response: a text pair (deberta-v3 reward models), one "
        "\\n\\nHuman: ...\\n\\nAssistant: transcript, or its chat template.",
    )
    dtype: Dtype = Field("float32", description="Precision.")
    max_length: int = Field(512, ge=8, description="The most tokens of prompt and response together (docs/lengths.md).")
    batch_size: int = Field(32, ge=1, description="How many pairs are scored together.")
    trust_remote_code: bool = Field(False, description="Allow the checkpoint to run its own code.")

    @property
    def name(self) -> str:
        return self.model

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, settings: Any) -> Any:
        """Replace the name of a preset by its settings. Settings that the study gives as well take precedence."""
        name = _preset_name(settings)
        if name is None:
            return settings
        if name in GUARDS:
            raise ValueError(f"model: {PRESET}{name} is a guard; add kind: generative_guard")
        if name not in PRESETS:
            raise ValueError(f"model: no preset '{name}'; the presets: {', '.join(PRESETS)}")
        return {**PRESETS[name].settings(), **{key: value for key, value in settings.items() if key != "model"}}


class GuardClassifier(JudgeSettings):
    """A sequence-classification model with several labels, some of which count against a response."""

    kind: Literal["guard"] = Field(description="The kind of judge.")
    model: str = Field(min_length=1, description="A local checkpoint or a Hub name.")
    revision: str | None = Field(None, description="Hub revision.")
    about: About = Field(
        "harm",
        description="What its labels say: that a response is harmful (`harmful` needs this), or that it refuses "
        "(`benign` needs this).",
    )
    bad_labels: tuple[Label, ...] = Field(
        min_length=1, description="The labels that count against a response, by name or number."
    )
    threshold: float = Field(
        0.5,
        gt=0,
        description="A response is bad where the summed probability of `bad_labels` is at least this.",
    )
    input: Literal["pair", "transcript", "chat_template", "response"] = Field(
        "pair",
        description="The form in which it reads prompt and response, as for a reward model; or the response alone.",
    )
    dtype: Dtype = Field("float32", description="Precision.")
    max_length: int = Field(512, ge=8, description="The most tokens of prompt and response together (docs/lengths.md).")
    batch_size: int = Field(32, ge=1, description="How many texts are judged together.")
    trust_remote_code: bool = Field(False, description="Allow the checkpoint to run its own code.")

    @property
    def name(self) -> str:
        return self.model


class GenerativeGuard(JudgeSettings):
    """A language model that writes a verdict on a response. The probability of its verdict words gives the label."""

    kind: Literal["generative_guard"] = Field(description="The kind of judge.")
    model: str = Field(min_length=1, description="A local checkpoint, a Hub name or `preset:NAME` (docs/judges.md).")
    revision: str | None = Field(None, description="Hub revision.")
    about: About = Field(
        "harm",
        description="What its verdict says: that a response is harmful (`harmful` needs this), or that it refuses "
        "(`benign` needs this).",
    )
    template: str | None = Field(
        None,
        description="Text with {prompt} and {response}; default: prompt and response as messages of the model's chat "
        "template, up to the end of the response.",
    )
    in_chat: bool = Field(
        False,
        description="Whether `template` is the user's message in the model's chat template, not the complete text.",
    )
    system: str | None = Field(None, description="With `in_chat`: the system message.")
    begin: str = Field("", description="How the guard's answer begins: text between the template and the verdict.")
    after: str | None = Field(
        None,
        description="Text that the guard writes, greedily, before its verdict; default: the verdict comes first.",
    )
    bad_words: tuple[Word, ...] = Field(min_length=1, description="Verdicts against the response.")
    good_words: tuple[Word, ...] = Field(min_length=1, description="Verdicts for the response.")
    threshold: float = Field(
        0.5,
        gt=0,
        le=1,
        description="A response is bad where `bad_words` have at least this share of the probability of all verdicts.",
    )
    least_mass: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Where all verdicts together have less probability than this, the guard gave no verdict.",
    )
    max_new_tokens: int = Field(48, ge=1, description="With `after`: the most tokens that the guard writes.")
    dtype: Dtype = Field("float32", description="Precision.")
    max_length: int = Field(
        2048, ge=32, description="The most tokens of template, prompt, response and verdict together (docs/lengths.md)."
    )
    batch_size: int = Field(8, ge=1, description="How many texts are judged together.")
    trust_remote_code: bool = Field(False, description="Allow the checkpoint to run its own code.")

    @property
    def name(self) -> str:
        return self.model

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, settings: Any) -> Any:
        """Replace the name of a preset by its settings. Settings that the study gives as well take precedence."""
        name = _preset_name(settings)
        if name is None:
            return settings
        if name in PRESETS:
            raise ValueError(f"model: {PRESET}{name} is a reward model; remove the kind")
        if name not in GUARDS:
            raise ValueError(f"model: no preset '{name}'; the presets: {', '.join(GUARDS)}")
        about = settings.get("about", "harm")
        if about not in GUARDS[name].verdicts:
            able = [other for other, guard in GUARDS.items() if about in guard.verdicts]
            raise ValueError(f"about: {PRESET}{name} gives no verdict about {about}; those that do: {', '.join(able)}")
        return {**GUARDS[name].settings(about), **{key: value for key, value in settings.items() if key != "model"}}

    @model_validator(mode="after")
    def _consistent(self) -> GenerativeGuard:
        if self.template is not None:
            for part in ("{prompt}", "{response}"):
                if self.template.count(part) != 1:
                    raise ValueError(f"template: must contain {part} exactly once")
        elif self.in_chat:
            raise ValueError("in_chat: needs `template`; add it, or remove in_chat")
        if self.system is not None and not self.in_chat:
            raise ValueError("system: goes with in_chat: true; add that, or put the text into `template`")
        if self.after is not None and self.begin:
            raise ValueError("begin: is what comes before the verdict, and with `after` the guard writes that itself")
        both = set(self.bad_words) & set(self.good_words)
        if both:
            raise ValueError(f"good_words: '{min(both)}' is also in bad_words; remove it from one")
        return self


def _kind_of(value: Any) -> str:
    """The tag of a judge's kind; a reward model where none is given. No tag is a key, so that errors name keys only."""
    kind = value.get("kind", "reward_model") if isinstance(value, dict) else getattr(value, "kind", "reward_model")
    return f"kind {kind}"


JudgeKind = Annotated[
    Annotated[RewardModel, Tag("kind reward_model")]
    | Annotated[GuardClassifier, Tag("kind guard")]
    | Annotated[GenerativeGuard, Tag("kind generative_guard")]
    | Annotated[Rubric, Tag("kind rubric")],
    Discriminator(
        _kind_of,
        custom_error_type="judge_kind",
        custom_error_message="kind: no such kind of judge; the kinds: reward_model, guard, generative_guard, rubric",
    ),
]
Judge = RewardModel | GuardClassifier | GenerativeGuard | Rubric


def _one_or_many(value: Any) -> str:
    return "many" if isinstance(value, list | tuple) else "one"


Judges = Annotated[
    Annotated[JudgeKind, Tag("one")] | Annotated[Annotated[tuple[JudgeKind, ...], Field(min_length=2)], Tag("many")],
    Discriminator(_one_or_many),
]
"""A judge, or several that decide together: reward models by their mean reward, others by the majority of labels."""


def check_judges(kind: str, judges: dict[str, Judge]) -> None:
    """Raises ValueError if judges of this kind of prompt cannot decide together, or cannot judge it."""
    rewards = [isinstance(judge, RewardModel) for judge in judges.values()]
    if any(rewards) and not all(rewards):
        raise ValueError(
            f"{kind}: reward models decide by their mean, other judges by the majority of labels; list one sort only"
        )
    for key, judge in judges.items():
        about = getattr(judge, "about", ABOUT[kind])
        if about == ABOUT[kind]:
            continue
        if kind == "benign":
            raise ValueError(
                f"{key}.about: a verdict about harm says nothing about helpfulness; use a reward model or a rubric, "
                "or labels about refusal (about: refusal)"
            )
        raise ValueError(f"{key}.about: responses to harmful prompts need a verdict about harm (about: harm)")

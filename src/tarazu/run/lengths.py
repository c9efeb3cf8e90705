"""Lengths: checks a study's limits against its models' positions and its texts, before any computation.

The limits on tokens come from a model's positions, the budget of a response (which may differ by language), the longest
prompt, and the `max_length` of training and of scoring. A text that is longer than its limit is shortened and counted.
A limit that would shorten prompts beyond use is an error. The rules are:

- A prompt keeps the tokens of its format and at least `LEAST_TOKENS` of the request.
- In each language and kind the median prompt keeps at least `LEAST_SHARE` of its tokens.
- In scoring, a quarter of `max_length` is reserved for the response.
- In training, at most half of a language's pairs have a prompt that fills `max_length` (those are dropped).
- No limit is larger than the model's positions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

from tarazu.data.rows import KINDS, PreferencePair, Prompt
from tarazu.errors import BadInput
from tarazu.languages import name_of
from tarazu.respond.finish import LEAST_TOKENS
from tarazu.run.inputs import Inputs
from tarazu.study import Study
from tarazu.study.checkpoint import Checkpoint
from tarazu.study.generation import Generation
from tarazu.study.judges import TRAINED, GenerativeGuard, GuardClassifier, Judge, RewardModel
from tarazu.study.rubric import Rubric
from tarazu.study.schema import Training

if TYPE_CHECKING:
    from tarazu.conversation.formats import Format

LEAST_SHARE = Fraction(1, 4)

Group = tuple[str, str]
"""Language and kind of some prompts."""


@dataclass(frozen=True, kw_only=True)
class Shortened:
    """The number of prompts of a language and kind that must be shortened for a model."""

    model: str
    language: str
    kind: str
    shortened: int
    n: int


@dataclass(frozen=True, kw_only=True)
class Limits:
    """By language: the longest response, and the longest prompt that leaves room for it, both in tokens."""

    budgets: Mapping[str, int]
    prompts: Mapping[str, int]


def check_lengths(study: Study, inputs: Inputs) -> list[Shortened]:
    """Check all lengths of a study, and return how many prompts must be shortened in each language and kind where any
    must. Raises BadInput, which names the key, the number and the language, for a setting that leaves no room."""
    from tarazu.conversation.formats import Format, format_of

    load = cache(_load)
    shortened: list[Shortened] = []
    for start in dict.fromkeys(_root(study, arm) for arm in study.arms):
        tokenizer, positions = load(start)
        lengths = _prompt_lengths(format_of(study.generation, tokenizer, start.name), inputs.prompts)
        limits = generation_limits(study.generation, inputs.prompts, tokenizer, positions, start.name)
        for (language, kind), own in lengths.items():
            cut = sum(length > limits.prompts[language] for length in own)
            if cut:
                shortened.append(Shortened(model=start.name, language=language, kind=kind, shortened=cut, n=len(own)))
    for arm, settings in study.arms.items():
        if isinstance(settings, Training):
            start = _root(study, arm)
            tokenizer, positions = load(start)
            form = format_of(study.generation, tokenizer, start.name)
            _check_training(f"arms.{arm}", settings, form, inputs.pairs[arm], positions)
    if study.reward.train is not None:
        start = Checkpoint(name=study.reward.train.from_, key="reward.train.from")
        tokenizer, positions = load(start)
        form = Format(tokenizer, study.reward.trained_format(), model=start.name, key="reward.train")
        _check_training("reward.train", study.reward.train, form, inputs.reward_pairs, positions)
    check_scoring(study, [*inputs.prompts, *(row.as_prompt() for row in inputs.known_answers)])
    return shortened


def generation_limits(
    settings: Generation, prompts: Sequence[Prompt], tokenizer: Any, positions: int | None, model: str
) -> Limits:
    """The limits of prompt and response in each language. `positions` is the model's; None if it has no limit.

    Raises BadInput if the response's budget, or the limit of a prompt, leaves a language no room.
    """
    from tarazu.conversation.formats import format_of
    from tarazu.respond.budgets import response_budgets

    form = format_of(settings, tokenizer, model)
    budgets = response_budgets(settings, prompts, tokenizer)
    lengths = _prompt_lengths(form, prompts)
    frame = len(form.prompts(["x"])[0].ids)  # tokens of the format, around a request of one letter
    needed = {group: _least(own, frame) for group, own in lengths.items()}
    if positions is not None:
        _refuse_budget(settings, budgets, needed, positions, model)
    short = {group: least for group, least in needed.items() if settings.max_prompt_tokens < least}
    if short:
        group, least = max(short.items(), key=lambda item: item[1])
        raise BadInput(
            f"generation.max_prompt_tokens: {settings.max_prompt_tokens} leaves no room for the {_named(group)}, which "
            f"{_needs(lengths[group], frame, least)}{_also(short, group)}; set it to {least} or more"
        )
    longest = settings.max_prompt_tokens
    limits = {code: longest if positions is None else min(longest, positions - own) for code, own in budgets.items()}
    return Limits(budgets=budgets, prompts=limits)


def _refuse_budget(
    settings: Generation, budgets: Mapping[str, int], needed: Mapping[Group, int], positions: int, model: str
) -> None:
    missing = {
        group: budgets[group[0]] + least - positions
        for group, least in needed.items()
        if budgets[group[0]] + least > positions
    }
    if not missing:
        return
    group = max(missing, key=lambda one: missing[one])
    budget = budgets[group[0]]
    # The largest setting at which every language has room: budgets grow in proportion to it.
    fitting = min(
        (positions - least) * settings.max_new_tokens // max(1, budgets[code]) for (code, _), least in needed.items()
    )
    scaled = f" (budget: parallel makes that {budget} in {group[0]})" if settings.budget == "parallel" else ""
    fix = f"set it to {fitting} or less, or use" if fitting > 0 else "shorten the prompts, or use"
    raise BadInput(
        f"generation.max_new_tokens: {settings.max_new_tokens}{scaled} leaves {max(0, positions - budget)} of the "
        f"{positions} positions of {model} for the {_named(group)}, which need at least {needed[group]} tokens"
        f"{_also(missing, group)}; {fix} a model with more positions"
    )


def check_scoring(study: Study, prompts: Sequence[Prompt]) -> None:
    """Check the lengths of the study's judges against their positions and the prompts whose responses they judge.

    Raises BadInput.
    """
    load = cache(_load)
    for kind in KINDS:
        own = [prompt for prompt in prompts if prompt.kind == kind]
        for key, judge in study.reward.judges(kind).items():
            if isinstance(judge, Rubric):
                continue  # a text that is too long for it gets no label
            model = _judge_checkpoint(study, key, judge)
            if isinstance(judge, GenerativeGuard):
                _check_guard(f"reward.{key}", judge, model.name, *load(model))
            else:
                _check_judge(f"reward.{key}", judge, model.name, own, *load(model))


def _check_judge(
    key: str,
    judge: RewardModel | GuardClassifier,
    model: str,
    prompts: Sequence[Prompt],
    tokenizer: Any,
    positions: int | None,
) -> None:
    from tarazu.conversation.formats import conversation
    from tarazu.judge.judgement import Row
    from tarazu.judge.score import encode, prompt_limit

    _refuse_beyond(f"{key}.max_length", judge.max_length, positions, model)
    if not prompts:
        return
    unlimited = judge.model_copy(update={"max_length": 2**31 - 1})
    rows: list[Row] = [("x", ""), *((conversation(prompt), "") for prompt in prompts)]
    frame, *sizes = (len(row["input_ids"]) for row in encode(rows, tokenizer, unlimited, key=key)[0])
    lengths = _grouped(prompts, sizes)
    limit = prompt_limit(judge.max_length)
    short = {group: least for group, own in lengths.items() if (least := _least(own, frame)) > limit}
    if short:
        group, least = max(short.items(), key=lambda item: item[1])
        enough = next(length for length in range(least, 2 * least + 8) if prompt_limit(length) >= least)
        raise BadInput(
            f"{key}.max_length: {judge.max_length} leaves no room for the {_named(group)} beside a response: a "
            f"prompt would keep {limit} tokens, and they {_needs(lengths[group], frame, least)}"
            f"{_also(short, group)}; {_raise_to(enough, positions, model)}"
        )


def _check_guard(key: str, judge: GenerativeGuard, model: str, tokenizer: Any, positions: int | None) -> None:
    from tarazu.judge.prompt import GuardPrompt

    _refuse_beyond(f"{key}.max_length", judge.max_length, positions, model)
    prompt = GuardPrompt(tokenizer, judge, key)
    frame = prompt.fitted(("x", "x")).length
    needed = frame + 4 * LEAST_TOKENS - prompt.limit
    if needed > 0:
        raise BadInput(
            f"{key}.max_length: {judge.max_length} leaves no room for prompt and response beside the guard's template "
            f"of {frame} tokens; {_raise_to(judge.max_length + needed, positions, model)}"
        )


def _check_training(
    key: str, settings: Training, form: Format, pairs: Sequence[PreferencePair], positions: int | None
) -> None:
    from tarazu.conversation.formats import conversation

    model = form.model
    _refuse_beyond(f"{key}.max_length", settings.max_length, positions, model)
    by_language: dict[str | None, list[int]] = defaultdict(list)
    conversations = [conversation(pair) for pair in pairs]
    form.check(conversations)
    for pair, prompt in zip(pairs, form.prompts(conversations), strict=True):
        by_language[pair.language].append(len(prompt.ids))
    for language, own in sorted(by_language.items(), key=lambda item: str(item[0])):
        filled = sum(length >= settings.max_length for length in own)
        if 2 * filled > len(own):
            enough = sorted(own)[len(own) // 2] + 1
            raise BadInput(
                f"{key}.max_length: {settings.max_length} leaves no room for an answer after {filled} of the "
                f"{len(own)} prompts in {_language(language)}, whose pairs would be dropped; "
                f"{_raise_to(enough, positions, model)}"
            )


def _refuse_beyond(key: str, length: int, positions: int | None, model: str) -> None:
    if positions is not None and length > positions:
        raise BadInput(f"{key}: {length} is more than the {positions} positions of {model}; set it to {positions}")


def _raise_to(enough: int, positions: int | None, model: str) -> str:
    if positions is not None and enough > positions:
        return f"{model} has {positions} positions, so shorten the prompts or use a model with more"
    return f"set it to {enough} or more"


# --- the length that a text needs ----------------------------------------------------------------------------------


def _least(lengths: Sequence[int], frame: int) -> int:
    """The smallest limit at which prompts of these lengths remain usable. `frame` is the length of their format."""
    return min(max(lengths), max(frame + LEAST_TOKENS, ceil(LEAST_SHARE * Fraction(median(lengths)))))


def _needs(lengths: Sequence[int], frame: int, least: int) -> str:
    return (
        f"need at least {least} tokens (median {median(lengths):g}, of which {frame} are the format; docs/lengths.md)"
    )


def _prompt_lengths(form: Format, prompts: Sequence[Prompt]) -> dict[Group, list[int]]:
    from tarazu.conversation.formats import conversation

    return _grouped(prompts, [len(one.ids) for one in form.prompts([conversation(prompt) for prompt in prompts])])


def _grouped(prompts: Sequence[Prompt], lengths: Iterable[int]) -> dict[Group, list[int]]:
    groups: dict[Group, list[int]] = defaultdict(list)
    for prompt, length in zip(prompts, lengths, strict=True):
        groups[prompt.language, prompt.kind].append(length)
    return dict(sorted(groups.items()))


def _language(code: str | None) -> str:
    return f"{name_of(code)} ({code})" if code else "an unknown language"


def _named(group: Group) -> str:
    return f"{group[1]} prompts in {_language(group[0])}"


def _also(groups: Iterable[Group], named: Group) -> str:
    codes = sorted({code for code, _ in groups} - {named[0]})
    more = f" and {len(codes) - 8} more" if len(codes) > 8 else ""
    return f"; likewise in {', '.join(codes[:8])}{more}" if codes else ""


# --- the study's checkpoints ---------------------------------------------------------------------------------------


def _root(study: Study, arm: str) -> Checkpoint:
    """The checkpoint that an arm was trained from, perhaps through other arms, which keep its positions and tokens."""
    parent = study.parent(arm)
    if parent is not None:
        return _root(study, parent)
    start = study.arms[arm].from_
    model = study.model
    if start is None or start == model.path:
        return Checkpoint(
            name=model.path, key="model.path", revision=model.revision, trust_remote_code=model.trust_remote_code
        )
    return Checkpoint(name=start, key=f"arms.{arm}.from")


def _judge_checkpoint(study: Study, key: str, judge: Judge) -> Checkpoint:
    if judge.model == TRAINED:
        assert study.reward.train is not None
        return Checkpoint(name=study.reward.train.from_, key="reward.train.from")
    return Checkpoint(
        name=judge.name,
        key=f"reward.{key}.model",
        revision=judge.revision,
        trust_remote_code=judge.trust_remote_code,
    )


def _load(model: Checkpoint) -> tuple[Any, int | None]:
    """A checkpoint's tokenizer and its positions."""
    from tarazu.align import checkpoints

    options: dict[str, Any] = {
        "key": model.key,
        "revision": model.revision,
        "trust_remote_code": model.trust_remote_code,
    }
    return checkpoints.load_tokenizer(model.name, **options), checkpoints.positions(model.name, **options)

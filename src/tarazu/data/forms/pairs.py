"""Preferences in the forms of TRL, OpenAI, LLaMA-Factory, Axolotl, UltraFeedback, Nectar and HH-RLHF.

A row's form is recognised by its fields. docs/formats-of-files.md lists the forms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tarazu.data.forms.messages import Unusable, parsed, turns
from tarazu.data.rows import TURN_ASSISTANT, TURN_HUMAN, Turn, as_transcript, transcript, turns_of

Row = Mapping[str, Any]

_ANSWERS = (
    ("chosen", "rejected"),
    ("preferred_output", "non_preferred_output"),  # OpenAI
    ("chosen_response", "rejected_response"),  # Axolotl, chatml.argilla
)
_CONVERSATIONS = ("messages", "conversation", "conversations")
_REQUESTS = ("prompt", "instruction", "question", "query", "input")
"""Fields of text that hold the request; the first that a row has counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """A prompt as a transcript, its messages where the form has them, and the two answers."""

    prompt: str
    turns: tuple[Turn, ...]
    chosen: str
    rejected: str


def preference(row: Row) -> Preference:
    """The preference of a row in any of the forms. Raises Unusable."""
    row = {name: parsed(value, name) for name, value in row.items() if value is not None}
    if isinstance(row.get("completions"), list):
        return _best_and_worst(row, row["completions"], _ultrafeedback_score, "response")
    if isinstance(row.get("answers"), list) and "prompt" in row:
        return _best_and_worst(row, row["answers"], _nectar_score, "answer")
    names = next((names for names in _ANSWERS if names[0] in row or names[1] in row), None)
    if names is None and isinstance(row.get("output"), list):
        return _two_outputs(row)
    if names is None:
        raise Unusable("no chosen and rejected", f"{_what(row)}; a pair has prompt, chosen and rejected")
    for name in names:
        if name not in row:
            raise Unusable(f"no {name}", f"no field '{name}' ({_fields(row)}); a pair has prompt, chosen and rejected")
    if _is_hh(row, names):
        return _hh(row, names)
    (before, chosen), (other, rejected) = (_side(row[name], name) for name in names)
    if [_stripped(turn) for turn in before] != [_stripped(turn) for turn in other]:
        raise Unusable("prompts differ", "the messages before the two answers differ; a pair has one prompt")
    return _with_prompt(row, before, chosen, rejected)


def prompt_turns(value: Any, name: str) -> tuple[Turn, ...]:
    """The messages of a prompt, of which the last is the user's. Raises Unusable."""
    messages = turns(value, name)
    if messages[-1].role != "user":
        raise _no_user_at_the_end(f"the {name}")
    return messages


def _no_user_at_the_end(name: str) -> Unusable:
    return Unusable("prompt does not end with the user", f"{name} must end with the user's message")


def text_prompt(value: Any, name: str) -> str:
    """A request or a transcript, as text. Raises Unusable."""
    if not isinstance(value, str):
        raise Unusable(f"{name} is not text", f"'{name}' must be text or a list of messages")
    if value.startswith(TURN_HUMAN) and not value.rstrip(" ").endswith(TURN_ASSISTANT):
        raise Unusable(
            "transcript without an end",
            f"the {name} begins with \\n\\nHuman: and must then end with \\n\\nAssistant:; "
            "add the ending, or give only the request",
        )
    return value.rstrip(" ") if value.startswith(TURN_HUMAN) else value


def _stripped(turn: Turn) -> Turn:
    return Turn(turn.role, turn.content.strip())


def _side(value: Any, name: str) -> tuple[tuple[Turn, ...], str]:
    """The messages before an answer (none if it stands alone) and the answer."""
    if isinstance(value, str):
        return (), value
    messages = turns(value, name)
    if messages[-1].role != "assistant":
        raise Unusable(
            "no answer at the end", f"the last message of {name} is not the assistant's; end it with the answer"
        )
    return messages[:-1], messages[-1].content


def _with_prompt(row: Row, before: tuple[Turn, ...], chosen: str, rejected: str) -> Preference:
    """The answers with the prompt that the row has: in the answers' messages, in a conversation, or in fields of
    text."""
    conversation, system = _conversation(row), _system(row)
    if any(turn.role == "user" for turn in before):
        # The field of the prompt may have a system turn that the answers' messages omit.
        tail = [_stripped(turn) for turn in conversation[-len(before) :]]
        messages = conversation if tail == [_stripped(turn) for turn in before] else before
    else:
        if not conversation:
            text, earlier = _request(row)
            if not (earlier or before or system):
                return Preference(prompt=as_transcript(text), turns=turns_of(text), chosen=chosen, rejected=rejected)
            conversation = (*earlier, *_as_turns(text))
        first = [turn for turn in before if turn.role == "system"]
        messages = (*first, *conversation, *(turn for turn in before if turn.role != "system"))
    if messages[-1].role != "user":
        raise _no_user_at_the_end("the prompt")
    if system and messages[0].role != "system":
        messages = (Turn("system", system), *messages)
    return Preference(prompt=transcript(messages), turns=messages, chosen=chosen, rejected=rejected)


def _conversation(row: Row) -> tuple[Turn, ...]:
    """The messages of a field of their own."""
    given = row.get("input")
    if isinstance(given, Mapping) and "messages" in given:
        return turns(given["messages"], "input.messages")
    if isinstance(row.get("prompt"), list):
        return prompt_turns(row["prompt"], "prompt")
    name = next((name for name in _CONVERSATIONS if isinstance(row.get(name), list)), None)
    # Beside a prompt, messages are the chosen conversation with its answer (UltraFeedback, binarized).
    return () if name is None or "prompt" in row else turns(row[name], name)


def _request(row: Row) -> tuple[str, tuple[Turn, ...]]:
    """The user's message from fields of text, and the earlier turns of LLaMA-Factory's field `history`."""
    name = next((name for name in _REQUESTS if name in row), None)
    if name is None:
        raise Unusable("no prompt", f"no field 'prompt' ({_fields(row)}); a pair has prompt, chosen and rejected")
    text = text_prompt(row[name], name)
    more = row.get("input")
    if name == "instruction" and isinstance(more, str) and more:
        text = f"{text}\n{more}" if text else more
    earlier: list[Turn] = []
    for one in row.get("history") or []:
        if not (isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one)):
            raise Unusable("history of another form", "history must be a list of [request, answer]")
        earlier += [Turn("user", one[0]), Turn("assistant", one[1])]
    return text, tuple(earlier)


def _system(row: Row) -> str:
    value = row.get("system")
    if value is not None and not isinstance(value, str):
        raise Unusable("system is not text", "'system' must be text")
    return value or ""


def _as_turns(text: str) -> tuple[Turn, ...]:
    if text.startswith(TURN_HUMAN):
        raise Unusable("a transcript with messages", "the prompt is a transcript, but the row has messages as well")
    return (Turn("user", text),)


def _is_hh(row: Row, names: tuple[str, str]) -> bool:
    """Whether the answers are transcripts that hold their prompt."""
    return not any(name in row for name in (*_REQUESTS, *_CONVERSATIONS)) and all(
        isinstance(row[name], str) and row[name].startswith(TURN_HUMAN) for name in names
    )


def _hh(row: Row, names: tuple[str, str]) -> Preference:
    sides = [row[name].rpartition(TURN_ASSISTANT) for name in names]
    if not all(mark for _, mark, _ in sides):
        raise Unusable("no assistant turn", "a transcript has no \\n\\nAssistant: turn")
    (prompt, mark, chosen), (other, _, rejected) = sides
    if prompt != other:
        raise Unusable("prompts differ", "the two transcripts differ before the last answer; a pair has one prompt")
    if turns_of(prompt + mark)[-1].role != "user":
        raise Unusable("no human turn before the answer", "the turn before the last answer is not the human's")
    if TURN_HUMAN in chosen or TURN_HUMAN in rejected:
        raise Unusable("a human turn after the answer", "a transcript must end with the assistant's answer")
    return Preference(prompt=prompt + mark, turns=(), chosen=chosen, rejected=rejected)


def _two_outputs(row: Row) -> Preference:
    """LLaMA-Factory's older form: `output` lists the chosen and the rejected answer."""
    answers = row["output"]
    if len(answers) != 2 or not all(isinstance(answer, str) for answer in answers):
        raise Unusable("output is not two answers", "'output' must list the chosen and the rejected answer")
    return _with_prompt(row, (), answers[0], answers[1])


# --- several rated answers ------------------------------------------------------------------------


def _best_and_worst(row: Row, answers: Sequence[Any], score: Callable[[Row], float | None], text: str) -> Preference:
    """The answers with the highest and the lowest score; of equal ones, the first."""
    rated = [
        (value, answer[text])
        for answer in answers
        if isinstance(answer, Mapping) and isinstance(answer.get(text), str) and (value := score(answer)) is not None
    ]
    if len(rated) < 2:
        raise Unusable("fewer than two rated answers", "the row has fewer than two answers with a rating")
    best, worst = max(rated, key=lambda one: one[0]), min(rated, key=lambda one: one[0])
    if best[0] == worst[0]:
        raise Unusable("all answers rated alike", "all answers of the row have the same rating")
    return _with_prompt(row, (), best[1], worst[1])


def _ultrafeedback_score(completion: Row) -> float | None:
    """The mean rating of the aspects. `overall_score` counts only where there are no such ratings, because some 10s in
    the published data stand for 1."""
    fine = _number(completion.get("fine-grained_score"))
    if fine is not None:
        return fine
    aspects = completion.get("annotations")
    ratings = [
        rating
        for aspect in (aspects.values() if isinstance(aspects, Mapping) else ())
        if isinstance(aspect, Mapping) and (rating := _number(aspect.get("Rating"))) is not None
    ]
    return sum(ratings) / len(ratings) if ratings else _number(completion.get("overall_score"))


def _nectar_score(answer: Row) -> float | None:
    rank = _number(answer.get("rank"))
    return None if rank is None else -rank


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    return number if math.isfinite(number) else None


# --- other data -----------------------------------------------------------------------------------

_OTHER_DATA = (
    ({"completion", "label"}, "single answers with a label, as for KTO"),
    ({"reward", "arm"}, "a table of scores"),
    ({"arm", "response"}, "a table of responses"),
    ({"good", "bad"}, "prompts with known answers, which `source: known-answers` turns into pairs"),
    ({"instruction", "output"}, "instructions with one answer, as for supervised fine-tuning"),
    ({"prompt", "completion"}, "prompts with one answer, as for supervised fine-tuning"),
    ({"prompt", "response"}, "prompts with one answer, as for supervised fine-tuning"),
    ({"messages"}, "conversations without a second answer, as for supervised fine-tuning"),
    ({"conversations"}, "conversations without a second answer, as for supervised fine-tuning"),
    ({"text"}, "plain texts"),
)


def _what(row: Row) -> str:
    """What a row that is no pair seems to be."""
    words = next((words for names, words in _OTHER_DATA if names <= row.keys()), None)
    return f"the rows are {words} ({_fields(row)})" if words else f"no fields 'chosen' and 'rejected' ({_fields(row)})"


def _fields(row: Row) -> str:
    return f"the row has: {', '.join(str(name)[:40] for name in list(row)[:12]) or 'none'}"

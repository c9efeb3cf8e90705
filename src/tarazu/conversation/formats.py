"""The format of a conversation: the one place that turns messages and answers into tokens.

conversation -> text (transcript, chat template or the study's own template) -> tokens

Training, generation and scoring use the same `Format`, so a model is trained on what it is later prompted with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tarazu.conversation.tokens import TextTokenizer
from tarazu.data.rows import PreferencePair, Prompt, Turn, as_transcript, transcript, turns_of
from tarazu.errors import BadInput
from tarazu.study.generation import Generation

Kind = Literal["opt", "chat_template", "custom"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """Messages up to an answer. `text` is the same as a request or a transcript.

    Without `turns`, the messages are those of `text`. `complete` says that `text` is a transcript, however it begins.
    `name` is how errors call the conversation.
    """

    text: str
    turns: tuple[Turn, ...] = ()
    complete: bool = False
    name: str = field(default="", compare=False)

    @property
    def messages(self) -> tuple[Turn, ...]:
        return self.turns or turns_of(self.text)

    @property
    def transcript(self) -> str:
        if self.turns:
            return transcript(self.turns)
        return self.text if self.complete else as_transcript(self.text)

    @property
    def request(self) -> str:
        """The user's message if there is only one, otherwise the transcript."""
        turns = self.messages
        return turns[0].content if [turn.role for turn in turns] == ["user"] else self.transcript


def conversation(row: Prompt | PreferencePair) -> Conversation:
    """The conversation of a row of a study."""
    language = f" ({row.language})" if row.language else ""
    if isinstance(row, Prompt):
        return Conversation(text=row.text, turns=row.turns, name=f"prompt {row.prompt_id}{language}")
    name = f"the pair of prompt {row.prompt_id}{language}"
    return Conversation(text=row.prompt, turns=row.turns, complete=True, name=name)


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptTokens:
    """A prompt as the model reads it: token ids, special ones included, and the text that they are of."""

    ids: list[int]
    text: str


class Format:
    """How conversations become tokens. `model` and `key` are for messages: whose tokenizer, and which setting."""

    def __init__(
        self,
        tokenizer: Any,
        kind: Kind = "opt",
        template: str | None = None,
        *,
        model: str = "the model",
        key: str = "generation.prompt_format",
    ) -> None:
        self.tokenizer, self.kind, self.model, self.key = tokenizer, kind, model, key
        self.template = template or "{prompt}"
        self.text = TextTokenizer(tokenizer)
        self._shapes: set[tuple[str, ...]] = set()
        """Roles of conversations whose messages the chat template is known to write."""
        if kind == "chat_template" and not getattr(tokenizer, "chat_template", None):
            raise BadInput(f"{key}: chat_template, but the model's tokenizer has none ({model}); use another format")

    def prompts(self, conversations: Sequence[Conversation | str]) -> list[PromptTokens]:
        """Each conversation up to the point where the answer begins. Nothing follows the prompt, even if the tokenizer
        ends every text with a special token."""
        texts = [self._prompt(_conversation(one)) for one in conversations]
        return [
            PromptTokens(ids=self._begun(ids), text=self.text.plain(text))
            for text, ids in zip(texts, self.text.encode(texts), strict=True)
        ]

    def opened(self, conversation: Conversation) -> str:
        """A conversation up to the point where the answer begins, as a guarded text."""
        return self._prompt(conversation)

    def answered(self, conversation: Conversation, answer: str) -> str:
        """A conversation with its answer, as a guarded text."""
        return self._answered(conversation, answer)

    def begun(self, ids: list[int]) -> list[int]:
        """The tokens of such a text behind those that begin it. A chat template writes its own, and the study's may."""
        return self._begun(ids)

    def with_answers(
        self, conversations: Sequence[Conversation], answers: Sequence[str], *, end: bool = True
    ) -> list[list[int]]:
        """Token ids of each conversation with its answer, special ones included.

        With `end`, a single end token follows the answer: the chat template's own or else the tokenizer's. Without it,
        the text ends as the tokenizer (or the chat template) ends it.
        """
        pairs = list(zip(conversations, answers, strict=True))
        rows = self.text.encode([self._answered(*pair) for pair in pairs])
        last = [self.tokenizer.eos_token_id] if end else list(self.text.around[1])
        if self.kind == "chat_template" and not (end and self.text.end_of_turn is None):
            last = []
        return [[*self._begun(ids), *last] for ids in rows]

    def check(self, conversations: Sequence[Conversation]) -> None:
        """Raises BadInput, naming the conversation, if the chat template refuses one with an answer."""
        if self.kind == "chat_template":
            for one in conversations:
                self._answered(one, "x")

    def inputs(self, rows: Sequence[tuple[Conversation | str, str]]) -> list[dict[str, list[int]]]:
        """A classifier's inputs for conversations with their answers, not ended by anything of ours."""
        texts = [self._answered(_conversation(conversation), answer) for conversation, answer in rows]
        if self.kind != "chat_template":
            return self.text.inputs(texts)
        return [_masked(ids) for ids in self.text.encode(texts)]

    def written(self, conversation: Conversation, answer: str, ids: Sequence[int]) -> tuple[list[bool], bool]:
        """For each token of a conversation with its answer whether the model writes it, in whichever turn; and whether
        an earlier answer was passed over because the template writes it differently while it is the last.

        A template marks what the model writes by {% generation %}. In others, a turn is what the template adds to the
        conversation up to it: from the prompt for an answer to the end of the turn.
        """
        messages = [*conversation.messages, _answer(answer)]
        marked = self._marked(messages, conversation.name, len(ids))
        if marked is not None:
            return marked, False
        own = [False] * len(ids)
        passed = False
        for place, turn in enumerate(messages):
            if turn.role != "assistant":
                continue
            start = self._shared(messages[:place], conversation.name, ids, open_turn=True)
            if place == len(messages) - 1:
                end = len(ids)
            else:
                end = self._shared(messages[: place + 1], conversation.name, ids, open_turn=False)
            passed |= end <= start
            own[start:end] = [True] * max(0, end - start)
        return own, passed

    def _begun(self, ids: list[int]) -> list[int]:
        """The tokens of a text behind those that begin it. A chat template writes its own, and the study's may."""
        before = list(self.text.around[0])
        own = self.kind == "chat_template" or (self.kind == "custom" and ids[: len(before)] == before)
        return ids if own else [*before, *ids]

    def _shared(self, messages: Sequence[Turn], name: str, ids: Sequence[int], *, open_turn: bool) -> int:
        (beginning,) = self.text.encode([self._rendered(messages, name, open_turn=open_turn)])
        return common_prefix(beginning, ids)

    def _marked(self, messages: Sequence[Turn], name: str, length: int) -> list[bool] | None:
        """What {% generation %} marks; None if the template has no such marks or the tokenizer no offsets."""
        template = self.tokenizer.get_chat_template()
        if not _GENERATION.search(template) or not self.tokenizer.is_fast:
            return None
        from transformers.utils.chat_template_utils import render_jinja_template

        (text,), (spans,) = render_jinja_template(
            conversations=[self._messages(messages)],
            chat_template=template,
            return_assistant_tokens_mask=True,
            **self.tokenizer.special_tokens_map,
        )
        _, inside = self.text.spans_of_tokens(text, spans)
        if not any(inside):
            raise BadInput(
                f"{self.key}: the chat template of {self.model} marks nothing as written by the model in {name}; "
                "correct its {% generation %} marks or remove them"
            )
        return [*inside, *[True] * (length - len(inside))]

    def _prompt(self, conversation: Conversation) -> str:
        if self.kind == "chat_template":
            return self._rendered(conversation.messages, conversation.name, open_turn=True)
        if self.kind == "custom":
            return self.template.replace("{prompt}", self.text.guard(conversation.request))
        return self.text.guard(conversation.transcript)

    def _answered(self, conversation: Conversation, answer: str) -> str:
        if self.kind == "chat_template":
            return self._rendered([*conversation.messages, _answer(answer)], conversation.name, open_turn=False)
        prompt = self._prompt(conversation)
        joined = answer
        if self.kind == "custom" and self._ends_openly(prompt):
            joined = answer.removeprefix(" ")
        return prompt + self.text.guard(joined, answer=True)

    def _ends_openly(self, prompt: str) -> bool:
        """Whether no space belongs between a prompt and its answer: behind a space or a control token."""
        return prompt[-1:].isspace() or any(prompt.endswith(token) for token in self.text.control)

    def _messages(self, turns: Sequence[Turn]) -> list[dict[str, str]]:
        return [
            {"role": turn.role, "content": self.text.guard(turn.content, answer=turn.role == "assistant")}
            for turn in turns
        ]

    def _rendered(self, turns: Sequence[Turn], name: str, *, open_turn: bool) -> str:
        """Messages by the chat template, guarded. Raises BadInput if it refuses or omits one of them."""
        text = self._render(self._messages(turns), name, open_turn=open_turn)
        roles = tuple(turn.role for turn in turns)
        if roles not in self._shapes:
            # With numbers as contents, so that the check depends on no message's own words.
            probes = [{"role": role, "content": f"{_PROBE + place}"} for place, role in enumerate(roles)]
            probed = self._render(probes, name, open_turn=open_turn)
            for probe in probes:
                if probe["role"] != "assistant" and probe["content"] not in probed:
                    raise BadInput(
                        f"{self.key}: the chat template of {self.model} omits the {probe['role']} message of "
                        f"{name or 'a prompt'}; remove such messages, or use another format"
                    )
            self._shapes.add(roles)
        return text

    def _render(self, messages: Sequence[dict[str, str]], name: str, *, open_turn: bool) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=open_turn)
            )
        except Exception as error:  # a template is a program of its author's
            roles = ", ".join(message["role"] for message in messages)
            raise BadInput(
                f"{self.key}: the chat template of {self.model} refuses {name or 'a prompt'} (turns: {roles}): "
                f"{' '.join(str(error).split())[:200]}; change or remove that conversation, or use another format"
            ) from None


_GENERATION = re.compile(r"\{\%-?\s*generation\s*-?\%\}")
_PROBE = 9_071_830_465_000


def format_of(settings: Generation, tokenizer: Any, model: str = "the model") -> Format:
    """The format of a study's prompts, for a model's tokenizer."""
    return Format(tokenizer, settings.prompt_format, settings.template, model=model)


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """The number of leading tokens that two sequences share."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return length


def _conversation(given: Conversation | str) -> Conversation:
    return Conversation(text=given) if isinstance(given, str) else given


def _answer(text: str) -> Turn:
    """An answer as a message: a transcript has a space before it."""
    return Turn("assistant", text.removeprefix(" "))


def _masked(ids: list[int]) -> dict[str, list[int]]:
    return {"input_ids": ids, "attention_mask": [1] * len(ids)}

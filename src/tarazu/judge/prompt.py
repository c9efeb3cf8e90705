"""Prompt and response as a generative guard reads them, short enough for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tarazu.conversation.formats import Conversation, Format
from tarazu.conversation.tokens import TextTokenizer
from tarazu.data.rows import Turn
from tarazu.errors import BadInput
from tarazu.judge.judgement import Row
from tarazu.respond.finish import LEAST_TOKENS
from tarazu.study.judges import GenerativeGuard

_PROBE = "9071830465"
_PLACES = re.compile(r"\{(prompt|response)\}")
_ROUNDS = 12


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A text for a guard, guarded, its length in tokens, and whether prompt or response was shortened."""

    text: str
    length: int
    shortened: bool


class GuardPrompt:
    """Writes texts for a guard. `key` is its own in the study. Raises BadInput for a chat template that omits the
    response."""

    def __init__(self, tokenizer: Any, settings: GenerativeGuard, key: str) -> None:
        self.settings, self.key = settings, key
        self.tokens = TextTokenizer(tokenizer)
        chat = settings.template is None or settings.in_chat
        self.form = Format(
            tokenizer,
            "chat_template" if chat else "custom",
            None if chat else settings.template,
            model=settings.model,
            key=f"{key}.template",
        )
        if _PROBE not in self.text(Conversation(text="x"), _PROBE):
            raise BadInput(
                f"{key}.template: the chat template of {settings.model} omits the response; give the guard's prompt as "
                "`template`"
            )

    def text(self, conversation: Conversation, response: str) -> str:
        """The complete text, guarded, up to where the guard's answer begins."""
        template = self.settings.template
        if template is None:
            return self.form.answered(conversation, f" {response}")
        if self.settings.in_chat:
            written = _filled(template, conversation.request, response)
            system = (Turn("system", self.settings.system),) if self.settings.system else ()
            return self.form.opened(Conversation(text=written, turns=(*system, Turn("user", written))))
        return _filled(template, self.tokens.guard(conversation.request), self.tokens.guard(response, answer=True))

    def ids(self, text: str) -> list[int]:
        """The tokens of a guarded text, with those that begin it."""
        (ids,) = self.tokens.encode([text])
        return self.form.begun(ids)

    def fitted(self, row: Row) -> Fitted:
        """A row's text. Where it is too long, it loses earlier turns, then the beginning of the prompt down to a
        quarter of `max_length`, then the end of the response."""
        conversation = row[0] if isinstance(row[0], Conversation) else Conversation(text=row[0])
        response, shortened = row[1], False
        limit = self.limit
        for _ in range(_ROUNDS):
            text = self.text(conversation, response)
            length = len(self.ids(text))
            if length <= limit:
                return Fitted(text=text, length=length, shortened=shortened)
            conversation, response = self._shorter(conversation, response, length - limit)
            shortened = True
        raise BadInput(
            f"{self.key}.max_length: {self.settings.max_length} leaves no room for a prompt and a response beside the "
            "guard's template; raise it"
        )

    @cached_property
    def limit(self) -> int:
        """The most tokens of a text: the verdict and what the guard writes before it come behind it."""
        before = self.settings.max_new_tokens if self.settings.after else len(self.ids(self.settings.begin))
        return self.settings.max_length - before - max(len(self.ids(word)) for word in words_of(self.settings))

    def _shorter(self, conversation: Conversation, response: str, over: int) -> tuple[Conversation, str]:
        """Prompt and response with about `over` tokens fewer."""
        if len(conversation.messages) > 1:
            last = conversation.messages[-1].content
            return replace(conversation, text=last, turns=(Turn("user", last),)), response
        tokenizer = self.tokens.tokenizer
        prompt, answer = (
            list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (conversation.request, response)
        )
        least = max(LEAST_TOKENS, self.settings.max_length // 4)
        if len(prompt) > least:
            kept = tokenizer.decode(prompt[-max(least, len(prompt) - over) :])
            return replace(conversation, text=kept, turns=(Turn("user", kept),)), response
        return conversation, tokenizer.decode(answer[: max(1, len(answer) - over)])


def words_of(settings: GenerativeGuard) -> tuple[str, ...]:
    return (*settings.bad_words, *settings.good_words)


def _filled(template: str, prompt: str, response: str) -> str:
    """The template with both texts. What looks like a place in one of them stays text."""
    texts = {"prompt": prompt, "response": response}
    return _PLACES.sub(lambda match: texts[match[1]], template)

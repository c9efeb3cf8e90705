"""Chat models that answer a rubric judge's requests: a server with OpenAI's protocol, or a local model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

from tarazu.conversation.formats import Conversation, Format
from tarazu.data.rows import Turn
from tarazu.errors import BadInput
from tarazu.respond.engine import Request
from tarazu.respond.server import ServerClient, TemporaryFailure
from tarazu.study.generation import Generation
from tarazu.study.rubric import Rubric

Messages = Sequence[Turn]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A chat model's answer. `text` is None where it refused to answer or the request was too long for it. `tokens` are
    those that it read and wrote."""

    text: str | None
    tokens: tuple[int, int] = (0, 0)
    reason: str = ""
    """Why there is no text."""


REFUSED = "the judge refused"
TOO_LONG = "prompt and response are too long for the judge"


class Chat(Protocol):
    """Something that answers conversations, always in the same way."""

    batch: int
    """How many conversations it should be given at once."""

    def answers(self, conversations: Sequence[Messages]) -> list[Answer]:
        """An answer to each conversation, in the given order."""
        ...


class ServerChat:
    """The chat completions endpoint of a server, at temperature 0. `key` is the judge's in the study, and `kept` says
    what is kept of the work if the server fails."""

    def __init__(
        self,
        settings: Rubric,
        *,
        key: str,
        kept: str = "what was judged is kept",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        assert settings.server is not None
        self.settings, self.server, self.key = settings, settings.server, f"{key}.server"
        self.batch = max(16, 2 * self.server.concurrency)
        self.client = ServerClient(self.server, "/chat/completions", key=self.key, kept=kept, sleep=sleep)

    def close(self) -> None:
        self.client.close()

    def answers(self, conversations: Sequence[Messages]) -> list[Answer]:
        answers: list[Answer | None] = [None] * len(conversations)

        def done(place: int, answer: Answer, count: int) -> None:
            answers[place] = answer

        self.client.in_parallel(conversations, lambda one: self.client.retried(lambda: self._once(one)), done)
        return [one for one in answers if one is not None]

    def _once(self, messages: Messages) -> Answer:
        body = {
            "model": self.server.model,
            "messages": [turn._asdict() for turn in messages],
            "temperature": 0.0,
            "max_tokens": self.settings.max_new_tokens,
        }
        answer = self.client.post(body)
        if answer.status_code == 400 and "content_filter" in answer.text:
            return Answer(text=None, reason=REFUSED)
        return self._read(self.client.accepted(answer))

    def _read(self, answer: httpx2.Response) -> Answer:
        try:
            content = answer.json()
            choice = content["choices"][0]
            message, model = choice["message"], content.get("model", self.server.model)
            text, refusal = message.get("content"), message.get("refusal")
            usage = content.get("usage") or {}
            tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise TemporaryFailure("answered with broken JSON or without a message") from None
        if not _same_model(str(model), self.server.model):
            raise BadInput(
                f"{self.key}.model: requested {self.server.model}, but {model} answered; name the model that answers"
            )
        if refusal or choice.get("finish_reason") == "content_filter":
            return Answer(text=None, tokens=tokens, reason=REFUSED)
        if not isinstance(text, str):
            raise TemporaryFailure("answered without a text")
        return Answer(text=text, tokens=tokens)


def _same_model(answered: str, requested: str) -> bool:
    """Whether a model is the requested one, perhaps with its version behind the name."""
    return answered == requested or answered.startswith(tuple(requested + mark for mark in "-:@"))


class LocalChat:
    """A local chat model, which decodes greedily. `positions` is the most tokens that it has room for."""

    batch = 64

    def __init__(self, model: Any, tokenizer: Any, settings: Rubric, *, key: str, positions: int | None) -> None:
        from tarazu.respond._transformers import TransformersEngine

        self.budget, self.positions, self.tokenizer = settings.max_new_tokens, positions, tokenizer
        self.form = Format(tokenizer, "chat_template", model=settings.name, key=f"{key}.model")
        self.engine = TransformersEngine(model, tokenizer, Generation(cut_at_next_turn=False))

    def answers(self, conversations: Sequence[Messages]) -> list[Answer]:
        prompts = self.form.prompts([Conversation(text="", turns=tuple(turns)) for turns in conversations])
        room = None if self.positions is None else self.positions - self.budget
        fitting = [room is None or len(prompt.ids) <= room for prompt in prompts]
        requests = [
            Request(ids=tuple(prompt.ids), budget=self.budget)
            for prompt, fits in zip(prompts, fitting, strict=True)
            if fits
        ]
        responses, _ = self.engine.answer(requests, lambda done, total, state: None)
        written = iter(zip(requests, responses, strict=True))
        answers = []
        for fits in fitting:
            if not fits:
                answers.append(Answer(text=None, reason=TOO_LONG))
                continue
            request, response = next(written)
            answers.append(Answer(text=response.text, tokens=(len(request.ids), response.tokens)))
        return answers

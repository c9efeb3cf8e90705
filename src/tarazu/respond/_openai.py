"""The engine `openai`: the completions endpoint of a server with OpenAI's protocol."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import httpx2

from tarazu.conversation.tokens import TextTokenizer, end_ids
from tarazu.errors import BadInput
from tarazu.progress import OnProgress
from tarazu.respond.engine import Request, Response
from tarazu.respond.finish import cut_at_next_turn
from tarazu.respond.server import ServerClient, TemporaryFailure
from tarazu.study.generation import NEUTRAL, Generation

_REFUSED = {400, 422}
"""Statuses with which servers refuse fields that they do not know."""

Form = Literal["vllm", "transformers", "plain"]
FORMS: tuple[Form, ...] = ("vllm", "transformers", "plain")
"""How a request says that the checkpoint's own generation settings do not count, in the order of trying: fields of vLLM
and SGLang, `generation_config` of `transformers serve`, and nothing, for servers that refuse both."""

_UNFILTERED = {
    **{name: NEUTRAL[name] for name in ("repetition_penalty", "no_repeat_ngram_size", "top_k", "min_p")},
    "encoder_repetition_penalty": 1.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "min_length": 0,
    "num_beams": 1,
}
"""The settings of transformers' generate that leave the logits as they are."""


class OpenAIEngine:
    """Queries one model of a server. `names` fills {arm} and {folder} in the url and the model's name."""

    def __init__(
        self,
        tokenizer: Any,
        settings: Generation,
        names: Mapping[str, str],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        assert settings.server is not None
        filled = {name: _filled(getattr(settings.server, name), names) for name in ("url", "model")}
        server = settings.server.model_copy(update=filled)
        self.tokenizer, self.settings, self.server, self.model = tokenizer, settings, server, server.model
        self.client = ServerClient(
            server, "/completions", key="generation.server", kept="finished responses are kept", sleep=sleep
        )
        self.ends = end_ids(_declared(Path(names.get("folder", ""))), tokenizer)
        self.refused_tokens: list[str] = []
        """Texts of prompts that the server did not take as tokens."""
        self.form: Form | None = None
        """The form of requests that the server takes, once it is known."""

    def close(self) -> None:
        self.client.close()

    def answer(self, requests: Sequence[Request], progress: OnProgress) -> tuple[list[Response], dict[str, int]]:
        texts = [self._text(request) for request in requests]
        pairs = list(zip(texts, requests, strict=True))
        other = sum(tuple(self.tokenizer(text)["input_ids"]) != one.ids for text, one in pairs)
        responses: list[Response | None] = [None] * len(requests)
        first = 0
        if pairs and self.form is None:  # one request alone, to find the form that the server takes
            responses[0], first = self._query(*pairs[0]), 1
            progress(first, len(requests), "responses")

        def done(place: int, response: Response, count: int) -> None:
            responses[first + place] = response
            progress(first + count, len(requests), "responses")

        self.client.in_parallel(pairs[first:], lambda pair: self._query(*pair), done)
        if self.form == "vllm":  # others are sent texts only
            other = len(self.refused_tokens)
        notes = {"prompts that the server may tokenize otherwise": other} if other else {}
        if self.form == "plain":
            notes["responses of a server that applies its own penalties, if it has any"] = len(requests)
        return [one for one in responses if one is not None], notes

    def _text(self, request: Request) -> str:
        """The prompt as a text that the tokenizer turns into the request's tokens. The server adds the first special
        token."""
        first = list(TextTokenizer(self.tokenizer).around[0])
        ids = list(request.ids)
        own = ids[len(first) :] if first and ids[: len(first)] == first else ids
        if request.text and list(self.tokenizer(request.text)["input_ids"]) == ids:
            return request.text
        return str(self.tokenizer.decode(own, skip_special_tokens=False))

    def _query(self, text: str, request: Request) -> Response:
        """One response, with retries. Raises BadInput for a request that cannot succeed, and TarazuError if the server
        does not recover."""
        return self.client.retried(lambda: self._once(text, request))

    def _once(self, text: str, request: Request) -> Response:
        """One response. Until the server has taken a form, those that it refuses are followed by the next."""
        forms = FORMS if self.form is None else (self.form,)
        for form in forms:
            body = self._body(text, request, form)
            answer = self.client.post(body)
            if answer.status_code in _REFUSED and body["prompt"] != text:
                answer = self.client.post({**body, "prompt": text})
                if answer.status_code == 200:
                    self.refused_tokens.append(text)
            if answer.status_code not in _REFUSED or form == forms[-1]:
                break
        found = self._response(self.client.accepted(answer))
        self.form = form
        return found

    def _body(self, text: str, request: Request, form: Form) -> dict[str, Any]:
        sampling = self.settings.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": text,
            "max_tokens": request.budget,
            "temperature": sampling.temperature if sampling else 0.0,
            "top_p": sampling.top_p if sampling else 1.0,
            "seed": request.seed & 0x7FFFFFFF,
        }
        if form == "plain":
            return body
        if form == "transformers":
            own = {
                "max_new_tokens": request.budget,
                "eos_token_id": self.ends,
                "pad_token_id": self.tokenizer.pad_token_id,
                "do_sample": sampling is not None,
                # What is not sent would be the checkpoint's own.
                **_UNFILTERED,
            }
            return {**body, "generation_config": json.dumps(own)}
        neutral = {
            name: NEUTRAL[name] for name in ("repetition_penalty", "presence_penalty", "frequency_penalty", "min_p")
        }
        if list(self.tokenizer(text)["input_ids"]) != list(request.ids):
            # No text has these tokens: a control token was typed, or the tokenizer ends every text with its end token.
            body["prompt"] = list(request.ids)
        return {**body, **neutral, "top_k": -1, "stop_token_ids": self.ends}

    def _response(self, answer: httpx2.Response) -> Response:
        try:
            content = answer.json()
            choice = content["choices"][0]
            text, reason, model = choice["text"], choice.get("finish_reason"), content.get("model", self.model)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise TemporaryFailure("answered with broken JSON or without a completion") from None
        if not isinstance(text, str) or reason not in ("stop", "length"):
            raise TemporaryFailure(f"answered with an unfinished completion (finish_reason: {reason})")
        if model != self.model and str(model).rpartition("@")[0] != self.model:
            raise BadInput(
                f"generation.server.model: requested {self.model}, but {model} answered; name the model that answers"
            )
        finish: Literal["eos", "cut", "length"] = "length" if reason == "length" else "eos"
        if self.settings.cut_at_next_turn:
            text, was_cut = cut_at_next_turn(text)
            finish = "cut" if was_cut else finish
        # Counted here because servers differ in whether they count the end token.
        tokens = len(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return Response(text=text.strip(), finish=finish, tokens=tokens)


def _declared(folder: Path) -> Any:
    """The parts of a checkpoint that declare the ends of its responses, as far as the folder has them."""
    from transformers import AutoConfig, GenerationConfig

    found: dict[str, Any] = {"config": None, "generation_config": None}
    for name, kind in (("config", AutoConfig), ("generation_config", GenerationConfig)):
        if (folder / f"{name}.json").is_file():
            with contextlib.suppress(OSError, ValueError):
                found[name] = kind.from_pretrained(folder)
    return SimpleNamespace(**found)


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text

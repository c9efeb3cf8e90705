"""The engine `openai`: the completions endpoint of a server with OpenAI's protocol.

Temporary failures (too many requests, a server error, a timeout, a lost connection, broken JSON) are retried, and each
wait is twice as long as the one before. A request that cannot succeed is reported at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import httpx2

from tarazu.conversation.tokens import TextTokenizer, end_ids
from tarazu.errors import BadInput, TarazuError
from tarazu.progress import OnProgress
from tarazu.respond.engine import Request, Response
from tarazu.respond.finish import cut_at_next_turn
from tarazu.study.generation import NEUTRAL, Generation

_RETRIED = {408, 409, 425, 429}
"""Statuses below 500 that ask the client to try again later."""
_LONGEST_WAIT = 60.0  # seconds
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


class _TemporaryFailure(Exception):
    """A failure that may pass, with the number of seconds that the server asks to wait."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


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
        server = settings.server
        assert server is not None
        self.tokenizer, self.settings, self.server, self.sleep = tokenizer, settings, server, sleep
        self.model = _filled(server.model, names)
        self.url = _filled(server.url, names).rstrip("/") + "/completions"
        key = os.environ.get(server.key_variable, "")
        self.client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(server.timeout, connect=min(server.timeout, 10.0)),
            limits=httpx2.Limits(max_connections=server.concurrency),
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
        with ThreadPoolExecutor(self.server.concurrency) as pool:
            futures = {pool.submit(self._query, *pair): index for index, pair in enumerate(pairs[first:], first)}
            try:
                for done, future in enumerate(as_completed(futures), first + 1):
                    responses[futures[future]] = future.result()
                    progress(done, len(requests), "responses")
            except BaseException:
                # A request that cannot succeed fails the shard, so the remaining ones are cancelled.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
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
        wait = self.server.first_wait
        for left in range(self.server.retries, -1, -1):
            try:
                return self._once(text, request)
            except _TemporaryFailure as failure:
                if not left:
                    raise TarazuError(
                        f"generation.server: {self.url}: {failure}, {self.server.retries + 1} times; finished "
                        "responses are kept: fix the server and run again"
                    ) from None
                self.sleep(min(max(wait, failure.wait), _LONGEST_WAIT))
                wait *= 2
        raise AssertionError("unreachable")

    def _once(self, text: str, request: Request) -> Response:
        """One response. Until the server has taken a form, those that it refuses are followed by the next."""
        forms = FORMS if self.form is None else (self.form,)
        for form in forms:
            body = self._body(text, request, form)
            answer = self._post(body)
            if answer.status_code in _REFUSED and body["prompt"] != text:
                answer = self._post({**body, "prompt": text})
                if answer.status_code == 200:
                    self.refused_tokens.append(text)
            if answer.status_code not in _REFUSED or form == forms[-1]:
                break
        found = self._response(self._accepted(answer))
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

    def _post(self, body: dict[str, Any]) -> httpx2.Response:
        try:
            return self.client.post(self.url, json=body)
        except httpx2.TimeoutException:
            raise _TemporaryFailure(f"no answer within {self.server.timeout:g} s") from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise BadInput(f"generation.server.url: {self.url}: {error}; give it as http://host:port/v1") from None
        except httpx2.TransportError as error:
            raise _TemporaryFailure(f"the connection failed ({type(error).__name__}: {error})") from None

    def _accepted(self, answer: httpx2.Response) -> httpx2.Response:
        """The answer, if the server took the request. Raises BadInput for one that it refuses."""
        if answer.status_code in _RETRIED or answer.status_code >= 500:
            raise _TemporaryFailure(f"answered {answer.status_code}", _seconds(answer.headers.get("Retry-After")))
        if answer.status_code != 200:
            message = " ".join(answer.text.split())[:200]
            raise BadInput(
                f"generation.server: {self.url}: answered {answer.status_code} for model {self.model}: {message}; "
                f"check url, model and {self.server.key_variable}"
            )
        return answer

    def _response(self, answer: httpx2.Response) -> Response:
        try:
            content = answer.json()
            choice = content["choices"][0]
            text, reason, model = choice["text"], choice.get("finish_reason"), content.get("model", self.model)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise _TemporaryFailure("answered with broken JSON or without a completion") from None
        if not isinstance(text, str) or reason not in ("stop", "length"):
            raise _TemporaryFailure(f"answered with an unfinished completion (finish_reason: {reason})")
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


def _seconds(value: str | None) -> float:
    try:
        return max(0.0, float(value or 0))
    except ValueError:
        return 0.0


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text

"""The engine `openai` with a real server of transformers, and with a small server that misbehaves."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import chat
import httpx2
import pytest
import served
import tiny
from served import reply

from tarazu.conversation.formats import format_of
from tarazu.errors import BadInput, TarazuError
from tarazu.respond._openai import OpenAIEngine
from tarazu.respond._transformers import TransformersEngine
from tarazu.respond.engine import Request, Response
from tarazu.respond.engines import open_engine
from tarazu.study.generation import Generation, Sampling, Server

TEXTS = ["Hi", "How is rice cooked?", "Why?", "Bread, please.", "من أنت؟"]


def requests() -> list[Request]:
    prompts = format_of(Generation(), tiny.tokenizer()).prompts(TEXTS)
    return [Request(ids=tuple(prompt.ids), budget=12, text=prompt.text) for prompt in prompts]


def engine(
    url: str, model: str = "tiny", slept: list[float] | None = None, settings: Any = None, **server: Any
) -> OpenAIEngine:
    """An engine that records its waits instead of waiting."""
    made = Generation(engine="openai", server=Server(url=url, model=model, **server), **(settings or {}))
    names = {"arm": "dpo", "folder": "/nowhere"}
    return OpenAIEngine(tiny.tokenizer(), made, names, sleep=(slept if slept is not None else []).append)


# --- a server that misbehaves ------------------------------------------------------------------------------------


def completion(text: str = " Yes.", reason: str = "stop", model: str = "tiny") -> dict[str, Any]:
    return {"model": model, "choices": [{"text": text, "index": 0, "finish_reason": reason}]}


Behaviour = Callable[[BaseHTTPRequestHandler, dict[str, Any], int], None]
"""How a server handles a request, given the handler, the body, and the number of earlier requests with this prompt."""


@contextmanager
def serving(behave: Behaviour) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server and the requests that it received, each with its headers."""
    times: Counter[str] = Counter()

    def counted(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        times[str(body["prompt"])] += 1
        behave(handler, body, times[str(body["prompt"])] - 1)

    with served.serving(counted) as (url, seen):
        yield url, seen


PASSING: dict[str, Behaviour] = {
    "500": lambda handler, body, _: reply(handler, "oh", 500),
    "429": lambda handler, body, _: reply(handler, "slow down", 429),
    "broken JSON": lambda handler, body, _: reply(handler, '{"choices": [{"text": "ha'),
    "no completion": lambda handler, body, _: reply(handler, {"choices": []}),
    "unfinished": lambda handler, body, _: reply(handler, completion(reason="abort")),
    "cut connection": lambda handler, body, _: reply(handler, completion(), cut=9),
    "slow": lambda handler, body, _: time.sleep(2),
}


def patience(name: str) -> float:
    """Seconds to wait for an answer: long where an answer comes, since it may be slow on a busy machine."""
    return 1.0 if name == "slow" else 60.0


TOLD = {
    "500": "answered 500",
    "429": "answered 429",
    "broken JSON": "broken JSON",
    "no completion": "without a completion",
    "unfinished": "unfinished completion",
    "cut connection": "connection failed",
    "slow": "no answer within 1 s",
}


@pytest.mark.parametrize("name", PASSING)
def test_temporary_failures_are_retried_with_longer_waits(name: str) -> None:
    def behave(handler: BaseHTTPRequestHandler, body: dict[str, Any], before: int) -> None:
        PASSING[name](handler, body, before) if before < 2 else reply(handler, completion())

    slept: list[float] = []
    with serving(behave) as (url, seen):
        found, notes = engine(url, slept=slept, timeout=patience(name), concurrency=1).answer(
            requests()[:1], tiny.silent
        )
    assert found == [Response(text="Yes.", finish="eos", tokens=5)]
    assert len(seen) == 3
    assert slept == [1.0, 2.0]
    assert not notes


@pytest.mark.parametrize("name", PASSING)
def test_a_server_that_does_not_recover_is_reported(name: str) -> None:
    slept: list[float] = []
    with serving(PASSING[name]) as (url, seen), pytest.raises(TarazuError) as caught:
        engine(url, slept=slept, timeout=patience(name), retries=2, concurrency=1).answer(requests()[:1], tiny.silent)
    assert str(caught.value).startswith(f"generation.server: {url}/completions: ")
    assert TOLD[name] in str(caught.value)
    assert "3 times" in str(caught.value)
    assert len(seen) == 3 and len(slept) == 2


def test_the_wait_that_a_server_asks_for_is_respected() -> None:
    def behave(handler: BaseHTTPRequestHandler, body: dict[str, Any], before: int) -> None:
        reply(handler, completion()) if before else reply(handler, "later", 503, Retry_After="7")

    slept: list[float] = []
    with serving(behave) as (url, _):
        engine(url, slept=slept).answer(requests()[:1], tiny.silent)
    assert slept == [7.0]


def test_a_missing_server_is_reported() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(TarazuError, match="connection failed"):
        engine(url, retries=1).answer(requests()[:1], tiny.silent)


def test_a_request_that_cannot_succeed_is_reported_at_once() -> None:
    def unknown(handler: BaseHTTPRequestHandler, body: dict[str, Any], before: int) -> None:
        reply(handler, {"error": "no such model"}, 404)

    with serving(unknown) as (url, seen), pytest.raises(BadInput, match="answered 404 for model tiny: .*no such model"):
        engine(url, concurrency=1).answer(requests()[:1], tiny.silent)
    assert len(seen) == 1


def test_an_answer_of_another_model_is_refused() -> None:
    def other(handler: BaseHTTPRequestHandler, body: dict[str, Any], before: int) -> None:
        reply(handler, completion(model="gpt"))

    with serving(other) as (url, _), pytest.raises(BadInput, match=r"server\.model: requested tiny, but gpt answered"):
        engine(url).answer(requests()[:1], tiny.silent)


def test_requests_are_limited_named_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    changed, under_way, most, begun = threading.Condition(), [0], [0], [0]

    def behave(handler: BaseHTTPRequestHandler, body: dict[str, Any], before: int) -> None:
        with changed:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            changed.notify_all()
            begun[0] += 1
            if begun[0] > 1:  # the engine sends its first request alone
                changed.wait_for(lambda: most[0] >= 3, 60)
        time.sleep(0.05)  # long enough for a fourth
        with changed:
            under_way[0] -= 1
        reply(handler, completion(body["prompt"] + "\n\nHuman: x", model=body["model"]))

    with serving(behave) as (url, seen):
        found, _ = engine(f"{url}/{{arm}}", "{folder}-x", key_variable="MY_KEY", concurrency=3).answer(
            requests() * 3, tiny.silent
        )
    assert most[0] == 3
    assert {one["path"] for one in seen} == {"/v1/dpo/completions"}
    assert {(one["model"], one["key"], one["temperature"]) for one in seen} == {("/nowhere-x", "Bearer secret", 0.0)}
    assert [one.text for one in found] == [""] * 15  # the response begins with the next turn, so all of it is cut
    assert {one.finish for one in found} == {"cut"}
    assert sorted(one["prompt"] for one in seen) == sorted([one.text for one in requests()] * 3)


def test_a_prompt_that_text_cannot_represent_is_counted() -> None:
    half = tiny.tokenizer()("é")["input_ids"][:2]  # a prompt that was cut within a character
    cut = Request(ids=tuple(half), budget=3)
    with serving(lambda handler, body, _: reply(handler, completion())) as (url, _):
        _, notes = engine(url).answer([cut, requests()[0]], tiny.silent)
    assert notes == {}  # it was sent as tokens

    def texts_only(handler: Any, body: Any, _: Any) -> None:
        reply(handler, completion(), *([] if isinstance(body["prompt"], str) else [400]))

    with serving(texts_only) as (url, _):
        _, notes = engine(url).answer([requests()[0], cut], tiny.silent)
    assert notes == {"prompts that the server may tokenize otherwise": 1}


# --- a real one ----------------------------------------------------------------------------------------------------


def penalised() -> Any:
    """A model whose generation_config.json asks for sampling and penalties."""
    model = tiny.perturbed(tiny.opt(), seed=1, size=0.4)
    model.generation_config.update(
        repetition_penalty=5.0, no_repeat_ngram_size=2, do_sample=True, temperature=3.0, top_k=5
    )
    return model


@pytest.fixture(scope="module")
def transformers_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """`transformers serve` on this machine with a tiny OPT: its address and the model's name."""
    folder = tiny.saved(penalised(), tmp_path_factory.mktemp("served") / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "transformers"), "serve", folder]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + 120
            while True:
                try:
                    if httpx2.get(f"http://127.0.0.1:{port}/health", timeout=1).status_code == 200:
                        break
                except httpx2.TransportError:
                    pass
                assert process.poll() is None and time.monotonic() < until, "the server did not start"
                time.sleep(0.25)
            yield f"http://127.0.0.1:{port}/v1", folder
        finally:
            process.terminate()
            process.communicate()


def test_a_real_server_gives_the_same_responses_as_the_local_model(transformers_server: tuple[str, str]) -> None:
    url, folder = transformers_server
    model = tiny.perturbed(tiny.opt(), seed=1, size=0.4)
    expected, _ = TransformersEngine(model, tiny.tokenizer(), Generation()).answer(requests(), tiny.silent)
    queried = engine(url, folder, timeout=60)
    found, notes = queried.answer(requests(), tiny.silent)
    assert queried.form == "transformers" and not notes
    assert [(one.text, one.finish) for one in found] == [(one.text, one.finish) for one in expected]


# --- the checkpoint's own generation settings ----------------------------------------------------------------------


def test_a_real_server_samples_where_the_study_does(transformers_server: tuple[str, str]) -> None:
    url, folder = transformers_server
    settings = {"sampling": Sampling(temperature=1.0)}
    greedy, _ = engine(url, folder, timeout=60).answer(requests(), tiny.silent)
    sampled, _ = engine(url, folder, timeout=60, settings=settings).answer(requests(), tiny.silent)
    assert [one.text for one in sampled] != [one.text for one in greedy]


@pytest.mark.parametrize("name", ["transformers", "continuous", "ctranslate2"])
def test_no_engine_applies_the_checkpoint_s_penalties(name: Any, tmp_path: Path) -> None:
    plain, own = (
        answers_of(model, Generation(engine=name), tmp_path)
        for model in (tiny.perturbed(tiny.opt(), seed=1, size=0.4), penalised())
    )
    assert own == plain


def answers_of(model: Any, settings: Generation, folder: Path) -> Any:
    with open_engine(lambda: model, tiny.tokenizer(), settings, arm="base", folder=folder, scratch=folder) as opened:
        return opened.answer(requests(), tiny.silent)[0]


def test_vllm_s_fields_are_sent_where_they_are_taken() -> None:
    with serving(lambda handler, body, _: reply(handler, completion())) as (url, seen):
        _, notes = engine(url).answer(requests(), tiny.silent)
    assert not notes and len(seen) == len(TEXTS)
    for body in seen:
        assert (body["repetition_penalty"], body["presence_penalty"], body["frequency_penalty"]) == (1.0, 0.0, 0.0)
        assert (body["top_k"], body["min_p"], body["top_p"], body["temperature"]) == (-1, 0.0, 1.0, 0.0)
        assert body["stop_token_ids"] == [2]


def test_a_server_that_knows_no_further_fields_is_counted() -> None:
    known = {"model", "prompt", "max_tokens", "temperature", "top_p", "seed"}

    def strict(handler: BaseHTTPRequestHandler, body: dict[str, Any], before: int) -> None:
        unknown = set(body) - known
        reply(handler, {"error": f"unknown {unknown}"}, 400) if unknown else reply(handler, completion())

    with serving(strict) as (url, seen):
        _, notes = engine(url).answer(requests(), tiny.silent)
    assert notes == {"responses of a server that applies its own penalties, if it has any": len(TEXTS)}
    assert len(seen) == len(TEXTS) + 2  # the forms are tried once


def test_a_refused_prompt_does_not_change_the_form() -> None:
    def picky(handler: BaseHTTPRequestHandler, body: dict[str, Any], before: int) -> None:
        long = "rice" in body["prompt"]
        reply(handler, {"error": "too long"}, 400) if long else reply(handler, completion())

    with serving(picky) as (url, seen), pytest.raises(BadInput, match="answered 400 for model tiny: .*too long"):
        engine(url, concurrency=1).answer(requests(), tiny.silent)
    assert all("repetition_penalty" in body for body in seen)


def test_a_prompt_that_no_text_gives_is_sent_as_tokens() -> None:
    """A tokenizer that ends every text with its end token would end the prompt; a typed control token would be one."""
    tokens = chat.byte_level("<s> $A </s>")
    typed = format_of(Generation(), tokens).prompts(["Why </s>?"])[0]
    settings = Generation(engine="openai", server={"url": "http://localhost:1/v1"})
    client = OpenAIEngine(tokens, settings, {})
    request = Request(ids=tuple(typed.ids), budget=4, text=typed.text)
    body = client._body(client._text(request), request, "vllm")
    assert body["prompt"] == typed.ids
    assert isinstance(client._body(client._text(request), request, "transformers")["prompt"], str)
    plain = OpenAIEngine(tiny.tokenizer(), settings, {})
    request = requests()[0]
    assert plain._body(plain._text(request), request, "vllm")["prompt"] == request.text

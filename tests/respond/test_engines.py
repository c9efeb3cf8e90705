"""Engines by name: their promises, missing packages, and CTranslate2 and continuous batching on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from decoding import ENDS, likely_to_end, requests
from pydantic import ValidationError
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from tarazu.errors import BadInput, MissingExtra
from tarazu.respond._plain import generate_alone
from tarazu.respond.agreement import Agreement, agreement
from tarazu.respond.engine import EXACT, NOT_EXACT, Request
from tarazu.respond.engines import engine_facts, need_engine, open_engine
from tarazu.study import load_study
from tarazu.study.generation import Generation, Sampling, Server


def compared(engine: Any, model: Any, queries: list[Request]) -> Agreement:
    plain = [generate_alone(model, one.ids, one.budget, ENDS, 1) for one in queries]
    found = engine.tokens(queries, tiny.silent)
    return agreement(found, [tokens for tokens, _ in plain], [leads for _, leads in plain])


def opened(model: Any, settings: Generation, folder: Path) -> Any:
    return open_engine(lambda: model, tiny.tokenizer(), settings, arm="dpo", folder=folder, scratch=folder / "scratch")


@pytest.mark.parametrize("make", [tiny.opt, tiny.llama], ids=["opt", "llama"])
def test_ctranslate2_agrees_on_tiny_models(make: Any, tmp_path: Path) -> None:
    settings = Generation(engine="ctranslate2", cut_at_next_turn=False)
    queries = requests(40, seed=2)
    with opened(likely_to_end(make()), settings, tmp_path) as engine:
        counted = compared(engine, likely_to_end(make()), queries)
    assert counted.differing == 0
    assert counted.equal >= 38
    assert list((tmp_path / "scratch").iterdir()) == []


def test_ctranslate2_never_generates_a_padding_word(tmp_path: Path) -> None:
    """261 words are padded to 264. If all real logits are negative, the zeros of the padding would win."""

    def small() -> Any:
        model = likely_to_end(tiny.opt())
        model.resize_token_embeddings(261, mean_resizing=False)
        with torch.no_grad():
            weight = model.get_output_embeddings().weight
            model.model.decoder.final_layer_norm.bias.copy_(-10 * weight.mean(dim=0) / weight.mean(dim=0).norm())
        return model

    queries = [one for one in requests(20, seed=3) if max(one.ids) < 261]
    plain = small()
    logits = plain(torch.tensor([queries[0].ids])).logits[0, -1]
    assert logits.mean() < 0
    with opened(small(), Generation(engine="ctranslate2", cut_at_next_turn=False), tmp_path) as engine:
        rows = engine.tokens(queries, tiny.silent)
        assert max(token for row in rows for token in row) < 261
        assert compared(engine, plain, queries).differing == 0


@pytest.mark.parametrize("engine", ["ctranslate2", "continuous"])
def test_engines_that_cannot_be_seeded_do_not_sample(engine: Any) -> None:
    with pytest.raises(ValidationError, match=f"engine: {engine} cannot sample from the study's seed"):
        Generation(engine=engine, sampling=Sampling())


def test_ctranslate2_reports_a_model_that_it_cannot_convert(tmp_path: Path) -> None:
    config = GPTNeoConfig(vocab_size=264, hidden_size=32, num_layers=2, attention_types=[[["global"], 2]], num_heads=4)
    model = GPTNeoForCausalLM(config)
    with (
        pytest.raises(BadInput, match=r"generation\.engine: ctranslate2 cannot convert a model of type"),
        opened(model, Generation(engine="ctranslate2"), tmp_path),
    ):
        pass


def test_continuous_batching_agrees_on_a_tiny_model(tmp_path: Path) -> None:
    model = likely_to_end(tiny.llama())
    queries = requests(12, seed=2)
    with opened(model, Generation(engine="continuous", cut_at_next_turn=False), tmp_path) as engine:
        counted = compared(engine, likely_to_end(tiny.llama()), queries)
    assert counted.differing == 0


def test_only_transformers_with_greedy_float32_promises_equal_tokens() -> None:
    assert engine_facts(Generation(), "float32")["promise"] == EXACT
    assert engine_facts(Generation(), "bfloat16")["promise"] == NOT_EXACT
    assert engine_facts(Generation(sampling=Sampling()), "float32")["promise"] == NOT_EXACT
    facts = engine_facts(Generation(engine="ctranslate2"), "float32")
    assert facts["promise"] == NOT_EXACT and facts["version"].startswith("ctranslate2 4.")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tarazu.respond.engines.find_spec", lambda name: None)
    for engine in ("ctranslate2", "vllm"):
        with pytest.raises(MissingExtra, match=rf"needs {engine}, .*tarazu\[{engine}\]"):
            need_engine(Generation(engine=engine))
        with pytest.raises(MissingExtra, match=f"needs {engine}"):
            engine_facts(Generation(engine=engine), "float32")
    need_engine(Generation())


def test_a_server_needs_its_engine() -> None:
    with pytest.raises(ValidationError, match="`server` and engine: openai need each other"):
        Generation(engine="openai")
    with pytest.raises(ValidationError, match="`server` and engine: openai need each other"):
        Generation(server=Server(url="http://localhost:8000/v1"))
    with pytest.raises(ValidationError, match="url"):
        Server(url="localhost:8000")


def test_a_server_must_distinguish_the_arms() -> None:
    server = "generation.server={url: 'http://localhost:8000/v1', model: gpt}"
    with pytest.raises(BadInput, match=r"the same model would answer for every arm"):
        load_study("demo", ["generation.engine=openai", server])
    study = load_study("demo", ["generation.engine=openai", server.replace("gpt", "'{arm}'")]).study
    assert study.generation.server is not None
    with pytest.raises(BadInput, match=r"analysis\.frontier: a server does not have the models between two arms"):
        load_study("demo", ["generation.engine=openai", server.replace("gpt", "'{arm}'"), "analysis.frontier={}"])

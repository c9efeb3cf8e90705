"""Logits that are not finite stop every engine at the request that has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from tarazu.errors import NotFinite
from tarazu.respond._pick import NOT_FINITE, Head, sample
from tarazu.respond.engine import Request
from tarazu.respond.engines import open_engine
from tarazu.study.generation import Generation, Sampling

NAN, INF = float("nan"), float("inf")


def requests(*texts: str) -> list[Request]:
    return [Request(ids=tuple(tiny.tokenizer()(text)["input_ids"]), budget=6) for text in texts]


def answers(model: Any, settings: Generation, folder: Path, *texts: str) -> Any:
    names: dict[str, Any] = {"arm": "base", "folder": folder, "scratch": folder}
    with open_engine(lambda: model, tiny.tokenizer(), settings, **names) as engine:
        return engine.answer(requests(*texts), tiny.silent)[0]


WAYS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "slots": (tiny.opt, {}),
    "slots, sampled": (tiny.llama, {"sampling": Sampling()}),
    "slots, nucleus": (tiny.llama, {"sampling": Sampling(top_p=0.9)}),
    "plain": (tiny.bloom, {}),
    "plain, sampled": (tiny.bloom, {"sampling": Sampling(top_p=0.9)}),
    "continuous": (tiny.llama, {"engine": "continuous"}),
    "ctranslate2": (tiny.opt, {"engine": "ctranslate2"}),
}


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("way", WAYS)
def test_a_prompt_with_logits_that_are_not_finite_is_named(way: str, value: float, tmp_path: Path) -> None:
    make, settings = WAYS[way]
    texts = ("Hi there", "How is rice cooked?", f"Hei{tiny.BROKEN}", "Good day")
    with pytest.raises(NotFinite) as caught:
        answers(tiny.broken(make(), value), Generation(**settings), tmp_path, *texts)
    assert caught.value.tokens == requests(texts[2])[0].ids
    message = str(caught.value.at("arms.base", "the prompt x (de, harmful)"))
    assert message.startswith("arms.base: logits are not finite in float32 for the prompt x (de, harmful); ")


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_weight_that_no_prompt_uses_does_no_harm(way: str, tmp_path: Path) -> None:
    make, settings = WAYS[way]
    # The end token ends no response here, so no row is padded.
    found = answers(tiny.broken(make()), Generation(**settings), tmp_path, "Hi there", "How is rice cooked?")
    assert len(found) == 2


@pytest.mark.parametrize("word", [0, 131, 263])
@pytest.mark.parametrize("value", [NAN, INF])
def test_one_word_of_the_head_is_enough(word: int, value: float) -> None:
    hidden = torch.ones(3, 32)
    model = tiny.llama()
    with torch.no_grad():
        model.lm_head.weight[word] = value
    assert Head(model).best(hidden).tolist() == [NOT_FINITE] * 3
    for top_p in (1.0, 0.9):
        found = sample(Head(model).logits(hidden), Sampling(top_p=top_p), torch.full((3,), 0.5, dtype=torch.float64))
        assert found.tolist() == [NOT_FINITE] * 3


def test_a_word_that_the_model_excludes_is_no_fault() -> None:
    model = tiny.biased_head()
    with torch.no_grad():
        model.lm_head.bias[:200] = -INF
    hidden = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    logits = Head(model).logits(hidden)
    assert Head(model).best(hidden).tolist() == logits.argmax(dim=-1).tolist()
    assert (sample(logits, Sampling(), torch.full((3,), 0.5, dtype=torch.float64)) >= 200).all()
    with torch.no_grad():
        model.lm_head.bias[:] = -INF
    assert Head(model).best(hidden).tolist() == [NOT_FINITE] * 3


def test_the_precision_is_named_before_the_checkpoint(tmp_path: Path) -> None:
    model = tiny.broken(tiny.llama().to(torch.bfloat16), INF)
    with pytest.raises(NotFinite, match="not finite in bfloat16; set model.dtype: float32"):
        answers(model, Generation(), tmp_path, f"Hei{tiny.BROKEN}", "Hi there")

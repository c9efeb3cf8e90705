"""Responses: the engine's interface, prompt formats, budgets and truncation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny
import torch

from tarazu.conversation.formats import format_of
from tarazu.data.rows import Prompt, as_transcript
from tarazu.errors import BadInput
from tarazu.respond._pick import Head, sample
from tarazu.respond._transformers import TransformersEngine
from tarazu.respond.budgets import response_budgets
from tarazu.respond.engine import Request, Response
from tarazu.respond.finish import cut_at_next_turn, fit_prompt, response
from tarazu.study.generation import Generation, Sampling

REQUESTS = ["Hi", "How is rice cooked?", "Tell me of the river and of the stone.", "Why?", "Bread, please."]


def render(text: str, settings: Generation, tokenizer: Any) -> list[int]:
    return format_of(settings, tokenizer).prompts([text])[0].ids


def queries(settings: Generation, budget: int = 24, seed: int = 0) -> list[Request]:
    return [
        Request(ids=tuple(render(text, settings, tiny.tokenizer())), budget=budget, seed=seed + index)
        for index, text in enumerate(REQUESTS)
    ]


def answers(model: Any, settings: Generation, budget: int = 24, seed: int = 0) -> list[Response]:
    found, notes = TransformersEngine(model, tiny.tokenizer(), settings).answer(
        queries(settings, budget, seed), tiny.silent
    )
    assert not notes
    return found


def test_sampling_depends_only_on_the_seed() -> None:
    settings = Generation(sampling=Sampling(temperature=1.0))
    first = answers(tiny.opt(), settings, seed=1)
    torch.rand(3)
    assert answers(tiny.opt(), settings, seed=1) == first
    assert answers(tiny.opt(), settings, seed=2) != first


def test_a_row_s_draws_do_not_depend_on_its_neighbours() -> None:
    settings = Generation(sampling=Sampling(temperature=1.0, top_p=0.9))
    engine = TransformersEngine(tiny.opt(), tiny.tokenizer(), settings)
    together, _ = engine.tokens(queries(settings), tiny.silent)
    for request, row in zip(queries(settings), together, strict=True):
        assert engine.tokens([request], tiny.silent)[0] == [row]


def test_samples_of_one_prompt_share_its_prefill_and_differ() -> None:
    settings = Generation(sampling=Sampling(temperature=1.0), batch_tokens=200)
    model = tiny.opt()
    one = queries(settings)[1]
    samples = [Request(ids=one.ids, budget=12, seed=seed) for seed in range(4)]
    seen: list[int] = []
    model.model.register_forward_pre_hook(
        lambda _, __, inputs: seen.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    engine = TransformersEngine(model, tiny.tokenizer(), settings)
    found = engine.decoder.decode(samples, lambda *_: None)
    assert seen[0] == len(one.ids) - 1  # the common prefix of all prompts, here all tokens but the last
    assert seen[1] == 1 and max(seen[2:]) <= 4
    assert len({tuple(row) for row in found}) == 4
    assert found == [engine.decoder.decode([request], lambda *_: None)[0] for request in samples]


def test_sampling_follows_the_model_s_probabilities() -> None:
    logits = torch.log(torch.tensor([0.1, 0.6, 0.05, 0.25])).expand(4000, 4)
    uniform = torch.tensor(np.random.default_rng(1).random(4000))
    counts = np.bincount(sample(logits, Sampling(), uniform).numpy(), minlength=4) / 4000
    assert np.allclose(counts, [0.1, 0.6, 0.05, 0.25], atol=0.03)  # about four standard errors
    nucleus = np.bincount(sample(logits, Sampling(top_p=0.8), uniform).numpy(), minlength=4) / 4000
    assert np.allclose(nucleus, [0.0, 0.6 / 0.85, 0.0, 0.25 / 0.85], atol=0.03)
    cold = sample(logits, Sampling(temperature=0.01), uniform)
    assert set(cold.tolist()) == {1}


@pytest.mark.parametrize("words", [264, 2048, 5001])
def test_the_most_likely_word_is_found_in_chunks(words: int) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(8, words, bias=True)
    model.get_output_embeddings = lambda: model  # type: ignore[assignment]
    hidden = torch.randn(37, 8)
    assert torch.equal(Head(model).best(hidden), model(hidden).argmax(dim=-1))


def test_sampling_defaults_of_a_checkpoint_are_not_used() -> None:
    model = tiny.perturbed(tiny.opt(), seed=1, size=0.5)
    expected = answers(model, Generation())
    model.generation_config.do_sample = True
    model.generation_config.temperature = 9.0
    model.generation_config.repetition_penalty = 2.0
    assert answers(model, Generation()) == expected


def test_the_budget_ends_a_response_with_finish_length() -> None:
    model = tiny.opt()
    with torch.no_grad():  # the end token is never likely
        model.lm_head.weight[2] -= 100
    found = answers(model, Generation(cut_at_next_turn=False), budget=7)
    assert {(response.finish, response.tokens) for response in found} == {("length", 7)}


def test_the_end_token_ends_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.opt()
    model.generation_config.eos_token_id = list(range(tiny.VOCABULARY))  # the first token ends it, whichever it is
    found = answers(model, Generation())
    assert found == [Response(text="", finish="eos", tokens=0)] * len(REQUESTS)


def test_a_response_is_cut_at_the_next_human_turn() -> None:
    assert cut_at_next_turn(" Yes.\n\nHuman: And now?") == (" Yes.", True)
    assert cut_at_next_turn(" Yes.\n\nhuman") == (" Yes.\n\nhuman", False)


def test_the_opt_format_is_that_of_hh_rlhf() -> None:
    assert as_transcript("Why?") == "\n\nHuman: Why?\n\nAssistant:"
    transcript = "\n\nHuman: A\n\nAssistant: B\n\nHuman: C\n\nAssistant:"
    assert as_transcript(transcript) == transcript
    ids = render("Why?", Generation(), tiny.tokenizer())
    assert tiny.tokenizer().decode(ids) == "</s>\n\nHuman: Why?\n\nAssistant:"


def test_chat_template_and_custom_formats() -> None:
    tokens = tiny.tokenizer().__class__(tokenizer_object=tiny.tokenizer().backend_tokenizer, eos_token="</s>")
    with pytest.raises(BadInput, match="chat_template, but the model's tokenizer has none"):
        render("Why?", Generation(prompt_format="chat_template"), tokens)
    tokens.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    ids = render("Why?", Generation(prompt_format="chat_template"), tokens)
    assert tokens.decode(ids) == "[user]Why?[assistant]"
    custom = Generation(prompt_format="custom", template="Q: {prompt} A:")
    assert tokens.decode(render("{x}", custom, tokens), skip_special_tokens=True) == "Q: {x} A:"


def test_long_prompts_keep_their_end_and_their_first_token() -> None:
    assert fit_prompt([2, 5, 6, 7, 8], 3, bos_id=2) == (2, 7, 8)
    assert fit_prompt([4, 5, 6, 7, 8], 3, bos_id=2) == (6, 7, 8)
    assert fit_prompt([2, 5], 3, bos_id=2) == (2, 5)


def test_tokens_of_a_cut_response_do_not_depend_on_when_the_engine_stopped() -> None:
    tokens = tiny.tokenizer()
    cut = tokens("Yes.\n\nHuman:", add_special_tokens=False)["input_ids"]
    for more in ("", " And now?\n\nHuman: Hm.", " x"):
        row = [*cut, *tokens(more, add_special_tokens=False)["input_ids"], 2]
        assert response(row, [2], tokens, True) == Response(text="Yes.", finish="cut", tokens=len(cut))
    assert response([*cut, 2], [2], tokens, False).finish == "eos"


def prompt(language: str, prompt_id: str, text: str) -> Prompt:
    return Prompt(prompt_id=prompt_id, language=language, kind="benign", source="test", text=text)


def test_parallel_budgets_follow_the_token_ratio_to_english() -> None:
    tokens = tiny.tokenizer()  # one token per byte, so the ratio is that of the bytes
    prompts = [prompt("en", "1", "abcd"), prompt("en", "2", "ab"), prompt("th", "1", "กข"), prompt("en", "3", "x" * 99)]
    budgets = response_budgets(Generation(budget="parallel", max_new_tokens=10), prompts, tokens)
    assert budgets == {"en": 10, "th": 15}  # 6 bytes against 4, for the one prompt that both have
    assert response_budgets(Generation(max_new_tokens=10), prompts, tokens) == {"en": 10, "th": 10}


def test_a_language_without_english_parallels_has_no_parallel_budget() -> None:
    prompts = [prompt("en", "1", "abcd"), prompt("th", "9", "กข")]
    with pytest.raises(BadInput, match=r"generation.budget: parallel, but no prompt in th also exists in English"):
        response_budgets(Generation(budget="parallel"), prompts, tiny.tokenizer())

"""Responses against transformers' plain generate, prompt formats, budgets, cutting."""

from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch

from tarazu.data.rows import Prompt, as_transcript
from tarazu.errors import BadInput
from tarazu.respond.budgets import response_budgets
from tarazu.respond.formats import cut_at_next_turn, messages, render
from tarazu.respond.generate import Response, fit_prompt, generate
from tarazu.study.schema import Generation, Sampling

REQUESTS = ["Hi", "How is rice cooked?", "Tell me of the river and of the stone.", "Why?", "Bread, please."]


def answers(model: Any, settings: Generation, requests: list[str] = REQUESTS, budget: int = 24, seed: int = 0) -> Any:
    tokens = tiny.tokenizer()
    rendered = [render(text, settings, tokens) for text in requests]
    found, shortened = generate(
        model, tokens, rendered, [budget] * len(requests), settings, seed=seed, progress=tiny.silent
    )
    assert shortened == 0
    return found


def plain(model: Any, text: str, budget: int = 24) -> str:
    """One prompt alone, without padding, as the model's own generate gives it."""
    ids = torch.tensor([tiny.tokenizer()(as_transcript(text))["input_ids"]])
    output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=budget, do_sample=False)
    return tiny.tokenizer().decode(output[0, ids.shape[1] :], skip_special_tokens=True).strip()


@pytest.mark.parametrize("make", [tiny.opt, tiny.llama], ids=["opt", "llama"])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_greedy_batches_give_what_plain_generate_gives(make: Any, batch_size: int) -> None:
    model = tiny.perturbed(make(), seed=1, size=0.5)  # far from uniform logits: no ties to break
    found = answers(model, Generation(batch_size=batch_size, cut_at_next_turn=False))
    assert [response.text for response in found] == [plain(model, text) for text in REQUESTS]
    assert len({response.text for response in found}) > 1


def test_sampling_hangs_on_the_seed_alone() -> None:
    settings = Generation(batch_size=2, sampling=Sampling(temperature=1.0))
    first = answers(tiny.opt(), settings, seed=1)
    torch.rand(3)
    assert answers(tiny.opt(), settings, seed=1) == first
    assert answers(tiny.opt(), settings, seed=2) != first


def test_sampling_defaults_of_a_checkpoint_are_not_used() -> None:
    model = tiny.perturbed(tiny.opt(), seed=1, size=0.5)
    expected = answers(model, Generation())
    model.generation_config.do_sample = True
    model.generation_config.temperature = 9.0
    model.generation_config.repetition_penalty = 2.0
    assert answers(model, Generation()) == expected


def test_the_budget_ends_a_response_and_says_so() -> None:
    model = tiny.opt()
    with torch.no_grad():  # the end token is never likely
        model.lm_head.weight[2] -= 100
    found = answers(model, Generation(cut_at_next_turn=False), budget=7)
    assert {(response.finish, response.tokens) for response in found} == {("length", 7)}


def test_the_end_token_ends_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.opt()
    model.generation_config.eos_token_id = list(range(tiny.VOCABULARY))  # whatever comes first ends it
    found = answers(model, Generation())
    assert found == [Response(text="", finish="eos", tokens=0)] * len(REQUESTS)


def test_a_response_is_cut_at_the_next_human_turn() -> None:
    assert cut_at_next_turn(" Yes.\n\nHuman: And now?") == (" Yes.", True)
    assert cut_at_next_turn(" Yes.\n\nhuman") == (" Yes.\n\nhuman", False)


def test_opt_format_is_hh_rlhf_s() -> None:
    assert as_transcript("Why?") == "\n\nHuman: Why?\n\nAssistant:"
    whole = "\n\nHuman: A\n\nAssistant: B\n\nHuman: C\n\nAssistant:"
    assert as_transcript(whole) == whole
    ids = render("Why?", Generation(), tiny.tokenizer())
    assert tiny.tokenizer().decode(ids) == "</s>\n\nHuman: Why?\n\nAssistant:"


def test_transcripts_become_chat_messages() -> None:
    assert messages("Why?") == [{"role": "user", "content": "Why?"}]
    assert messages("\n\nHuman: A\n\nAssistant: B\n\nHuman: C\n\nAssistant:") == [
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C"},
    ]


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
    assert fit_prompt([2, 5, 6, 7, 8], 3, bos_id=2) == [2, 7, 8]
    assert fit_prompt([4, 5, 6, 7, 8], 3, bos_id=2) == [6, 7, 8]
    assert fit_prompt([2, 5], 3, bos_id=2) == [2, 5]


def test_prompt_and_response_fit_the_model_s_positions() -> None:
    model = tiny.opt(positions=64)
    settings = Generation(max_prompt_tokens=512)
    tokens = tiny.tokenizer()
    rendered = [render("word " * 40, settings, tokens)]
    found, shortened = generate(model, tokens, rendered, [24], settings, seed=0, progress=tiny.silent)
    assert shortened == 1
    assert found[0].tokens <= 24


def prompt(language: str, prompt_id: str, text: str) -> Prompt:
    return Prompt(prompt_id=prompt_id, language=language, kind="benign", source="test", text=text)


def test_parallel_budgets_follow_the_token_ratio_to_english() -> None:
    tokens = tiny.tokenizer()  # a token a byte, so the ratio is that of the bytes
    prompts = [prompt("en", "1", "abcd"), prompt("en", "2", "ab"), prompt("th", "1", "กข"), prompt("en", "3", "x" * 99)]
    budgets = response_budgets(Generation(budget="parallel", max_new_tokens=10), prompts, tokens)
    assert budgets == {"en": 10, "th": 15}  # 6 bytes against 4, over the one prompt that both have
    assert response_budgets(Generation(max_new_tokens=10), prompts, tokens) == {"en": 10, "th": 10}


def test_a_language_without_english_parallels_has_no_parallel_budget() -> None:
    prompts = [prompt("en", "1", "abcd"), prompt("th", "9", "กข")]
    with pytest.raises(BadInput, match=r"generation.budget: parallel, but no prompt in th is also there in English"):
        response_budgets(Generation(budget="parallel"), prompts, tiny.tokenizer())

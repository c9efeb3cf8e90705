"""Lengths: positions against real models, limits against plain transformers, and settings that leave no room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from small_study import write_rows, write_small_study
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MptConfig,
    MptForCausalLM,
    Qwen3Config,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from tarazu.align.checkpoints import positions, save
from tarazu.align.positions import positions_of
from tarazu.align.tokens import tokenize_pairs
from tarazu.conversation.formats import Format, format_of
from tarazu.data.rows import PreferencePair, Prompt
from tarazu.errors import BadInput
from tarazu.judge.score import encode
from tarazu.progress import Progress
from tarazu.respond._transformers import TransformersEngine
from tarazu.respond.engine import Request
from tarazu.respond.finish import fit_prompt
from tarazu.results import document
from tarazu.run.lengths import generation_limits
from tarazu.run.pipeline import run
from tarazu.run.plan import plan, plan_text
from tarazu.run.rewards import score_file
from tarazu.study import load_study
from tarazu.study.generation import Generation
from tarazu.study.judges import RewardModel


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=tiny.VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=2, eos_token_id=2
    )
    return GPT2LMHeadModel(config).eval()


def mpt() -> MptForCausalLM:
    config = MptConfig(vocab_size=tiny.VOCABULARY, d_model=32, n_layers=2, n_heads=4, max_seq_len=64)
    return MptForCausalLM(config).eval()


def xlm_roberta() -> XLMRobertaForSequenceClassification:
    """66 rows of positions; the first two belong to the padding token."""
    config = XLMRobertaConfig(
        vocab_size=tiny.VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=66, num_labels=1, pad_token_id=1,
    )  # fmt: skip
    return XLMRobertaForSequenceClassification(config).eval()


def short_llama() -> LlamaForCausalLM:
    model = tiny.llama()
    model.config.max_position_embeddings = 64
    return model


# --- positions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [lambda: tiny.opt(positions=64), gpt2, mpt, xlm_roberta], ids=["opt", "gpt2", "mpt", "xlmr"]
)
def test_positions_are_as_many_as_a_forward_pass_takes(make: Any) -> None:
    model = make()
    positions = positions_of(model.config)
    assert positions == 64
    model(torch.full((1, positions), 9))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, positions + 1), 9))


def test_bloom_has_no_limit() -> None:
    model = tiny.bloom()
    assert positions_of(model.config) is None
    assert model(torch.full((1, 3000), 9)).logits.isfinite().all()


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        (LlamaConfig(max_position_embeddings=100), 100),
        (LlamaConfig(max_position_embeddings=100, rope_scaling={"rope_type": "linear", "factor": 4.0}), 400),
        # Llama 3.1 declares the outcome of its scaling.
        (
            LlamaConfig(
                max_position_embeddings=131072,
                rope_scaling={
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 8192,
                },
            ),
            131072,
        ),
        # As Qwen's model cards have it: 32,768 positions, four times as many with YaRN.
        (
            Qwen3Config(
                max_position_embeddings=32768,
                rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
            ),
            131072,
        ),
    ],
    ids=["plain", "linear", "llama3", "yarn"],
)
def test_scaled_rotary_positions(config: Any, positions: int) -> None:
    assert positions_of(config) == positions


# --- generation ----------------------------------------------------------------------------------------------------


def prompt(text: str, language: str = "en", prompt_id: str = "p") -> Prompt:
    return Prompt(prompt_id=prompt_id, language=language, kind="harmful", source="test", text=text)


@pytest.mark.parametrize(
    "make", [lambda: tiny.opt(positions=64), short_llama, gpt2, tiny.bloom], ids=["opt", "llama", "gpt2", "bloom"]
)
def test_generation_at_exactly_the_limit_is_plain_transformers_and_one_above_is_refused(make: Any) -> None:
    model, tokens = make(), tiny.tokenizer()
    model.generation_config.eos_token_id = tiny.VOCABULARY - 1
    ids = format_of(Generation(), tokens).prompts(["Why?"])[0].ids
    positions = positions_of(model.config)
    budget = 64 - len(ids)
    limits = generation_limits(Generation(max_new_tokens=budget), [prompt("Why?")], tokens, positions, "tiny")
    assert limits.prompts["en"] >= len(ids)
    request = Request(ids=tuple(ids), budget=limits.budgets["en"])
    settings = Generation(cut_at_next_turn=False)
    (row,), _ = TransformersEngine(model, tokens, settings).tokens([request], tiny.silent)
    plain = model.generate(torch.tensor([ids]), max_new_tokens=budget, do_sample=False)[0, len(ids) :].tolist()
    assert len(plain) == budget and list(row) == plain
    above = Generation(max_new_tokens=budget + 1)
    if positions is None:
        assert generation_limits(above, [prompt("Why?")], tokens, positions, "tiny").prompts["en"] == 512
        return
    with pytest.raises(BadInput, match=rf"generation.max_new_tokens: {budget + 1} .* set it to {budget} or less"):
        generation_limits(above, [prompt("Why?")], tokens, positions, "tiny")
    if "OPT" in type(model).__name__:  # the last token generated is not read again
        with pytest.raises(IndexError):
            model.generate(torch.tensor([ids]), max_new_tokens=budget + 2, do_sample=False)


def test_the_suggested_budget_is_the_largest_that_is_taken() -> None:
    tokens = tiny.tokenizer()
    prompts = [prompt("What is it? " * 3), prompt("பாம்பு விஷமா? " * 4, "ta")]
    with pytest.raises(BadInput, match="set it to") as refused:
        generation_limits(Generation(max_new_tokens=300, budget="parallel"), prompts, tokens, 512, "tiny")
    assert "Tamil (ta)" in str(refused.value)
    fitting = int(str(refused.value).split("set it to ")[1].split()[0])
    settings = Generation(max_new_tokens=fitting, budget="parallel")
    generation_limits(settings, prompts, tokens, 512, "tiny")
    with pytest.raises(BadInput, match=f"generation.max_new_tokens: {fitting + 2}"):
        settings = Generation(max_new_tokens=fitting + 2, budget="parallel")
        generation_limits(settings, prompts, tokens, 512, "tiny")


@pytest.mark.parametrize("limit", range(8, 130, 7))
def test_a_shortened_prompt_keeps_its_end_and_some_of_the_request(limit: int) -> None:
    """Every limit either is refused, or keeps the format's end and at least eight tokens (here bytes) before it."""
    tokens = tiny.tokenizer()
    request = "".join(chr(97 + index % 26) for index in range(100))
    settings = Generation(max_prompt_tokens=limit)
    try:
        limits = generation_limits(settings, [prompt(request)], tokens, 512, "tiny")
    except BadInput as refused:
        assert f"generation.max_prompt_tokens: {limit} leaves no room for the harmful prompts in English (en)" in str(
            refused
        )
        assert limit < 34
        return
    ids = format_of(settings, tokens).prompts([request])[0].ids
    text = tokens.decode(fit_prompt(ids, limits.prompts["en"], tokens.bos_token_id))
    assert text.endswith(request[-8:] + "\n\nAssistant:")


# --- scoring -------------------------------------------------------------------------------------------------------


def kept(takes: Any, length: int, prompt: str, response: str, tokens: Any = None) -> tuple[str, bool, int]:
    settings = RewardModel(model="tiny", input=takes, max_length=length)
    tokens = tokens or tiny.tokenizer()
    (row, short), (cut, other) = encode([(prompt, response), ("Hi", "Yes")], tokens, settings)
    assert not other and len({len(values) for values in row.values()}) == 1
    assert row.keys() == short.keys()
    return tokens.decode(row["input_ids"]), cut, len(row["input_ids"])


LONG = "".join(chr(97 + index % 26) for index in range(200))


def test_a_long_prompt_is_shortened_from_the_left_for_the_judge() -> None:
    assert kept("transcript", 80, LONG, "Never.") == (f"</s>{LONG[-60:]}\n\nAssistant: Never.", True, 80)
    assert kept("pair", 80, LONG, "Never.") == (f"</s>{LONG[-72:]}</s>Never.", True, 80)
    assert kept("transcript", 400, LONG, "Never.")[1] is False


def test_neither_prompt_nor_response_is_shortened_to_nothing_for_the_judge() -> None:
    text, cut, length = kept("transcript", 80, LONG, LONG.upper())
    # The format and eight tokens of the request, then the response's beginning.
    assert (cut, length) == (True, 80)
    assert text == f"</s>{LONG[-18:]}\n\nAssistant: {LONG.upper()[:48]}"
    text, cut, length = kept("pair", 80, LONG, LONG.upper())
    assert text == f"</s>{LONG[-18:]}</s>{LONG.upper()[:60]}"


def test_the_end_of_a_turn_stays_where_a_response_is_shortened() -> None:
    tokens = tiny.tokenizer().__class__(tokenizer_object=tiny.tokenizer().backend_tokenizer, eos_token="</s>")
    tokens.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}"
    text, cut, length = kept("chat_template", 80, LONG, LONG.upper(), tokens)
    assert (cut, length) == (True, 80)
    before, after = text.split("</s>[assistant]")
    assert LONG.endswith(before) and len(before) >= 8
    assert after.endswith("</s>") and LONG.upper().startswith(after.removesuffix("</s>"))
    text, _, _ = kept("chat_template", 80, LONG, "Never.", tokens)
    assert text.endswith("</s>[assistant]Never.</s>") and LONG.endswith(text.split("</s>")[0])


# --- studies -------------------------------------------------------------------------------------------------------

TWO = {
    "arms": {
        "base": {"method": "none"},
        "dpo": {"method": "dpo", "learning_rate": 1e-3, "batch_size": 4},
    }
}
SHIPPED = {kind: [{"source": "parallel", "limit": 3}] for kind in ("harmful", "benign")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # Case A26: 587 and 754 tokens for a response in Burmese and Tamil, of 512 positions.
        (
            {
                "languages": ["en", "de", "my", "ta"],
                "prompts": SHIPPED,
                "generation": {"max_new_tokens": 200, "budget": "parallel", "max_prompt_tokens": 256},
            },
            r"generation\.max_new_tokens: 200 \(budget: parallel makes that 754 in ta\) leaves 0 of the 512 positions "
            r"of .*Tamil \(ta\).*; likewise in my; set it to \d+ or less, or use a model with more positions",
        ),
        # Cases A26 and N3: in every language.
        (
            {"generation": {"max_new_tokens": 600}},
            r"generation\.max_new_tokens: 600 leaves 0 of the 512 positions .* likewise in .*set it to 4\d\d or less",
        ),
        (
            {"generation": {"max_new_tokens": 512}},
            r"generation\.max_new_tokens: 512 leaves 0 of the 512 positions",
        ),
        (
            {"generation": {"max_prompt_tokens": 8}},
            r"generation\.max_prompt_tokens: 8 leaves no room for the .* prompts in .*set it to \d+ or more",
        ),
        # Case A24.
        (
            {"arms": {"base": {"method": "none"}, "dpo": {"method": "dpo", "max_length": 2048}}},
            r"arms\.dpo\.max_length: 2048 is more than the 512 positions of .*; set it to 512",
        ),
        (
            {"arms": {"base": {"method": "none"}, "dpo": {"method": "dpo", "max_length": 16}}},
            r"arms\.dpo\.max_length: 16 leaves no room for an answer after 12 of the 12 prompts in English \(en\), "
            r"whose pairs would be dropped; set it to \d+ or more",
        ),
    ],
    ids=["A26", "A26-tokens", "none-left", "prompt", "A24-training", "training"],
)
@pytest.mark.parametrize("make", [tiny.opt, tiny.llama], ids=["opt", "llama"])
def test_a_setting_without_room_is_refused_before_any_computation(
    make: Any, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write_small_study(tmp_path, **{**TWO, **changes})
    tiny.saved(make(), tmp_path / "model")
    loaded = load_study(str(path))
    with pytest.raises(BadInput, match=message):
        plan(loaded, tmp_path / "out")
    with pytest.raises(BadInput, match=message):
        run(loaded, tmp_path / "out", fresh=False, progress=Progress())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("harmful.max_length=2048", r"reward\.harmful\.max_length: 2048 is more than the 512 positions of .*/reward"),
        (
            "benign.max_length=12",
            r"reward\.benign\.max_length: 12 leaves no room for the benign prompts in English \(en\) beside a response",
        ),
    ],
    ids=["A24", "room"],
)
def test_a_judge_without_room_is_refused_in_plan_run_and_score(setting: str, message: str, tmp_path: Path) -> None:
    path = write_small_study(tmp_path, **TWO, languages=["en"])
    loaded = load_study(str(path), [f"reward.{setting}"])
    with pytest.raises(BadInput, match=message):
        plan(loaded, tmp_path / "out")
    with pytest.raises(BadInput, match=message):
        run(loaded, tmp_path / "out", fresh=False, progress=Progress())
    row = {"arm": "base", "language": "en", "prompt_id": "1", "prompt": "Is it so?", "response": "No."}
    write_rows(tmp_path / "responses.jsonl", [{**row, "kind": kind} for kind in ("harmful", "benign")])
    with pytest.raises(BadInput, match=message):
        score_file(tmp_path / "responses.jsonl", loaded.study, tmp_path / "scores.parquet", Progress())
    assert not (tmp_path / "out").exists() and not (tmp_path / "scores.parquet").exists()


def test_the_share_of_shortened_prompts_is_in_every_table_and_in_the_sentence(tmp_path: Path) -> None:
    """Prompts in Swahili and Yoruba are longer than the limit, those in German, English and French are not."""
    path = write_small_study(
        tmp_path,
        **TWO,
        generation={"max_new_tokens": 4, "max_prompt_tokens": 80},
        reward={
            "harmful": {"model": str(tmp_path / "reward"), "input": "transcript", "max_length": 120},
            "benign": {"model": str(tmp_path / "reward"), "input": "transcript"},
        },
    )
    for kind in ("harmful", "benign"):
        rows = [json.loads(line) for line in (tmp_path / f"{kind}.jsonl").read_text().splitlines()]
        for row in rows:
            row["prompt"] += " Is it so?" * (12 if row["language"] in ("sw", "yo") else 2)
        write_rows(tmp_path / f"{kind}.jsonl", rows)
    loaded, out = load_study(str(path)), tmp_path / "out"
    told = plan(loaded, out)["shortened"]
    assert {(row["language"], row["kind"], row["shortened"], row["n"]) for row in told} == {
        (code, kind, 4, 4) for code in ("sw", "yo") for kind in ("harmful", "benign")
    }
    results = document(run(loaded, out, fresh=False, progress=Progress()))
    for row in pq.read_table(out / "responses" / "dpo.parquet").to_pylist():
        bytes_ = len(f"\n\nHuman: {row['prompt']}\n\nAssistant:") + 1  # a token a byte, and the first
        assert row["shortened"] == (bytes_ > 80)
    for row in pq.read_table(out / "scores.parquet").to_pylist():
        bytes_ = len(f"\n\nHuman: {row['prompt']}\n\nAssistant: {row['response']}".encode()) + 1
        assert row["reward_shortened"] == (bytes_ > (120 if row["kind"] == "harmful" else 512))
    health = results["health"]["arms"]["dpo"]
    assert health["languages"]["sw"]["benign"]["shortened"]["value"] == 100
    assert health["languages"]["en"]["benign"]["shortened"]["value"] == 0
    assert health["kinds"]["harmful"]["shortened"]["value"] == pytest.approx(40)
    assert health["languages"]["sw"]["harmful"]["reward_shortened"]["value"] == 100
    assert health["languages"]["sw"]["benign"]["reward_shortened"]["value"] == 0
    for kind in ("harmful", "benign"):
        assert (
            f"Of the {kind} prompts to dpo, 100 % in low- and 0 % in high-resource languages were shortened to fit the "
            "model." in results["sentence"]
        )
    assert (
        "Of dpo's responses to harmful prompts, 100 % in low- and 0 % in high-resource languages were scored with a "
        "text shortened to fit the judge." in results["sentence"]
    )
    assert "responses to benign prompts, 100" not in results["sentence"]
    assert "prompt shortened" in (out / "report.html").read_text(encoding="utf-8").lower()
    assert "4 of 4 benign prompts in sw are too long" in plan_text(plan(loaded, out))


def test_pairs_are_dropped_and_truncated_by_language() -> None:
    pairs = [
        PreferencePair(prompt_id="a", language="en", source="t", prompt="x" * 10, chosen="y" * 30, rejected="z"),
        PreferencePair(prompt_id="b", language="sw", source="t", prompt="x" * 40, chosen="y", rejected="z"),
        PreferencePair(prompt_id="c", language="sw", source="t", prompt="x" * 10, chosen="y", rejected="z"),
    ]
    rows, counts = tokenize_pairs(pairs, Format(tiny.tokenizer()), max_length=24)
    assert len(rows) == 2
    assert counts == {
        "answers truncated": 1,
        "answers truncated in en": 1,
        "prompt fills max_length": 1,
        "prompt fills max_length in sw": 1,
    }
    assert tokenize_pairs(pairs[:1], Format(tiny.tokenizer()), max_length=24)[1] == {"answers truncated": 1}


def test_an_adapter_has_the_positions_of_the_model_it_changes(tmp_path: Path) -> None:
    tiny.saved(tiny.opt(positions=64), tmp_path / "model")
    adapted = peft.get_peft_model(tiny.opt(positions=64), peft.LoraConfig(target_modules=["q_proj"]))
    save(adapted, tiny.tokenizer(), tmp_path / "adapter", base="../model")
    assert positions(str(tmp_path / "adapter"), key="model.path") == 64
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(BadInput, match=r"^model\.path: .*: its configuration cannot be loaded: "):
        positions(str(tmp_path / "adapter"), key="model.path")

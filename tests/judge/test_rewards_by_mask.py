"""Rewards are read at the last token that is not masked, whatever pads: against plain transformers, text by text."""

from __future__ import annotations

from typing import Any

import chat
import numpy as np
import pytest
import tiny
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from tarazu.align.forward import branch_rewards, rewards_of_rows
from tarazu.align.rows.documents import Document
from tarazu.align.rows.packing import pad
from tarazu.judge.score import score
from tarazu.study.judges import RewardModel

ROWS = [
    ("Why?", "Because."),
    ("How is rice cooked?", "In water, until it is soft."),
    ("Hi", ""),
    ("say </s> and <pad>", "</s></s>"),
    ("<pad>", "no<pad>"),
]
SMALL = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512,
}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3_text"), SMALL),
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "gpt_neox": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "opt": {
        "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "word_embed_proj_dim": 32,
        "max_position_embeddings": 512,
    },
    "ctrl": {"n_embd": 32, "n_layer": 2, "n_head": 4, "dff": 64, "n_positions": 512},
    "roberta": {k: v for k, v in SMALL.items() if k not in ("num_key_value_heads", "head_dim")}
    | {"max_position_embeddings": 520},
}  # fmt: skip


def reward_model(shape: str, pad_id: int | None) -> Any:
    torch.manual_seed(1)
    words = {"vocab_size": 272, "num_labels": 1, "pad_token_id": pad_id, "eos_token_id": 2, "bos_token_id": 0}
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(shape, **SHAPES[shape], **words)).eval()
    return tiny.perturbed(model, seed=3, size=0.1)


def alone(model: Any, ids: list[int]) -> float:
    """The model's own reward of one text: without padding there is none to mistake."""
    with torch.no_grad():
        for config in (model.config, model.config.get_text_config()):
            config.pad_token_id = None
        return float(model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))).logits[0, 0])


@pytest.mark.parametrize("pad", ["unset", "the end token", "its own", "outside"])
@pytest.mark.parametrize("shape", SHAPES)
def test_rewards_are_the_model_s_own(shape: str, pad: str) -> None:
    pad_id = {"unset": None, "the end token": 2, "its own": 1, "outside": None}[pad]
    if shape == "roberta":
        pad_id = 1  # its positions are counted by it
    model = reward_model(shape, pad_id)
    tokenizer = chat.byte_level("<s> $A </s>", template=chat.EOS, pad={"its own": "<pad>"}.get(pad, "</s>"))
    if pad == "outside":
        tokenizer.add_special_tokens({"additional_special_tokens": [f"<x{index}>" for index in range(9)]})
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        assert tokenizer.pad_token_id >= 272
    for takes in ("transcript", "chat_template"):
        settings = RewardModel(model="tiny", input=takes, batch_size=8)
        found, _ = score(model, tokenizer, ROWS, settings, progress=tiny.silent)
        assert model.config.pad_token_id == pad_id
        expected = []
        for prompt, response in ROWS[:3]:
            if takes == "transcript":
                ids = tokenizer(f"\n\nHuman: {prompt}\n\nAssistant: {response}")["input_ids"]
            else:
                messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
                ids = tokenizer.apply_chat_template(messages, return_dict=False)
            expected.append(alone(model, ids))
        assert np.allclose(found[:3], expected, atol=1e-5)
        assert found.std() > 1e-3
        one_by_one = [score(model, tokenizer, [row], settings, progress=tiny.silent)[0][0] for row in ROWS]
        assert np.allclose(found, one_by_one, atol=1e-5)
        for config in (model.config, model.config.get_text_config()):
            config.pad_token_id = pad_id


def test_rows_with_every_token_of_the_vocabulary_are_read_too() -> None:
    model = reward_model("llama", None)
    rows = [list(range(272)), [5, 2, 2], [2]]
    width = 272
    ids = torch.tensor([row + [2] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    with torch.no_grad():
        found = rewards_of_rows(model, {"input_ids": ids, "attention_mask": mask})
    assert np.allclose(found, [alone(model, row) for row in rows], atol=1e-5)


@pytest.mark.parametrize("shape", ["llama", "bloom"])
def test_reward_training_reads_padded_rows_by_the_mask(shape: str) -> None:
    """The padding token is the last token of some texts."""
    model = reward_model(shape, 2)
    documents = [Document([4, 5], [[6, 2], [7, 8, 9, 2, 2]]), Document([4], [[2], [9]])]
    with torch.no_grad():
        found, _ = branch_rewards(model, pad(documents, 2))
    texts = [[4, 5, 6, 2], [4, 5, 7, 8, 9, 2, 2], [4, 2], [4, 9]]
    assert np.allclose(found, [alone(model, ids) for ids in texts], atol=1e-5)

"""Tiny models in the shapes of published families: their classes, special tokens, ends and chat templates.

Weights are random, so the answers are nonsense. What counts are the shapes, which are those that the families publish:
Llama 3 declares several ends and no padding, Gemma's template refuses a system turn, Mistral's wants alternating roles,
and so on.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BloomConfig,
    Gemma3TextConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "<start_of_turn>{{ role }}\n{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]"
    "{% else %} {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
PHI = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)

Adds = Literal["bos", "eos", "both", "none"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family's shape. `ends` are all tokens that end an answer; `padding` is None where none is declared."""

    config: Callable[..., PreTrainedConfig]
    special: tuple[str, ...]
    bos: str | None
    eos: str
    padding: str | None
    adds: Adds
    ends: tuple[str, ...]
    template: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)


_LLAMA_LIKE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
_LLAMA_3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")

FAMILIES: dict[str, Family] = {
    "opt": Family(
        config=OPTConfig,
        special=("<s>", "<pad>", "</s>", "<unk>"),
        bos="</s>",
        eos="</s>",
        padding="<pad>",
        adds="bos",
        ends=("</s>",),
        changes={
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 64,
            "max_position_embeddings": 512,
            "dropout": 0.0,
        },
    ),
    "llama 3": Family(
        config=LlamaConfig,
        special=_LLAMA_3,
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        padding=None,
        adds="bos",
        ends=("<|eot_id|>", "<|end_of_text|>"),
        template=LLAMA,
        changes=_LLAMA_LIKE,
    ),
    "qwen 3": Family(
        config=Qwen3Config,
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        bos=None,
        eos="<|im_end|>",
        padding="<|endoftext|>",
        adds="none",
        ends=("<|im_end|>", "<|endoftext|>"),
        template=CHATML,
        changes={**_LLAMA_LIKE, "head_dim": 16, "tie_word_embeddings": True},
    ),
    "gemma 3": Family(
        config=Gemma3TextConfig,
        special=("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<eos>",
        padding="<pad>",
        adds="bos",
        ends=("<eos>", "<end_of_turn>"),
        template=GEMMA,
        changes={
            **_LLAMA_LIKE,
            "head_dim": 16,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "mistral": Family(
        config=MistralConfig,
        special=("<unk>", "<s>", "</s>"),
        bos="<s>",
        eos="</s>",
        padding=None,
        adds="bos",
        ends=("</s>",),
        template=MISTRAL,
        changes={**_LLAMA_LIKE, "sliding_window": 24},
    ),
    "phi": Family(
        config=Phi3Config,
        special=("<unk>", "<s>", "<|endoftext|>", "<|assistant|>", "<|user|>", "<|system|>", "<|end|>"),
        bos="<s>",
        eos="<|endoftext|>",
        padding="<|endoftext|>",
        adds="none",
        ends=("<|endoftext|>", "<|end|>"),
        template=PHI,
        changes=_LLAMA_LIKE,
    ),
    "bloom": Family(
        config=BloomConfig,
        special=("<unk>", "<s>", "</s>", "<pad>"),
        bos="<s>",
        eos="</s>",
        padding="<pad>",
        adds="none",
        ends=("</s>",),
        changes={"hidden_size": 32, "n_layer": 2, "n_head": 4},
    ),
    "gpt-neox": Family(
        config=GPTNeoXConfig,
        special=("<|endoftext|>", "<|padding|>"),
        bos="<|endoftext|>",
        eos="<|endoftext|>",
        padding=None,
        adds="none",
        ends=("<|endoftext|>",),
        changes={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 512,
        },
    ),
}
"""As published, in small."""


def tokenizer_of(family: Family) -> PreTrainedTokenizerFast:
    """One token for each printable ASCII character, so that any answer of a random model is readable text."""
    byte = dict(zip(map(chr, range(256)), _byte_level(), strict=True))
    letters = [byte[character] for character in string.printable[:95] + "\n"]
    vocabulary = {token: index for index, token in enumerate([*family.special, *letters])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in family.special])
    before = f"{family.bos} " if family.adds in ("bos", "both") else ""
    after = f" {family.eos}" if family.adds in ("eos", "both") else ""
    if before or after:
        added = {family.bos if before else family.eos, family.eos if after else family.bos}
        raw.post_processor = processors.TemplateProcessing(
            single=f"{before}$A{after}",
            pair=f"{before}$A{after} $B{after}",
            special_tokens=[(token, vocabulary[token]) for token in sorted(token for token in added if token)],
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=family.bos, eos_token=family.eos, pad_token=family.padding
    )
    made.chat_template = family.template
    return made


def _byte_level() -> list[str]:
    """The character that stands for each byte in byte-level vocabularies."""
    raw = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    shown = {}
    for value in range(128):
        shown[value] = raw.pre_tokenize_str(chr(value))[0][0]
    return [shown.get(value, "") for value in range(256)]


def configuration(family: Family, *, rewards: bool = False) -> PreTrainedConfig:
    """The model's configuration, with a vocabulary of a multiple of 8, larger than the tokenizer's."""
    tokenizer = tokenizer_of(family)
    size = -(-len(tokenizer) // 8) * 8
    ids: dict[str, Any] = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return family.config(vocab_size=size, **(ids | family.changes | ({"num_labels": 1} if rewards else {})))


def write_policy(family: Family, folder: Path, seed: int = 0) -> Path:
    """A checkpoint whose generation_config.json declares all ends, as published checkpoints do."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(configuration(family)).eval()
    _enlarge(model, seed)
    tokenizer = tokenizer_of(family)
    ends = [tokenizer.convert_tokens_to_ids(token) for token in family.ends]
    model.generation_config.eos_token_id = ends if len(ends) > 1 else ends[0]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_judge(family: Family, folder: Path, seed: int = 1) -> Path:
    """A reward model of the same family."""
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(configuration(family, rewards=True)).eval()
    _enlarge(model, seed)
    torch.nn.init.normal_(model.score.weight, std=2.0)
    model.save_pretrained(folder)
    tokenizer_of(family).save_pretrained(folder)
    return folder


def _enlarge(model: Any, seed: int) -> None:
    """Add noise, so that logits are far from uniform and answers end early sometimes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))

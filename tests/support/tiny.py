"""Tiny real models for tests: random weights, the real classes and file formats."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BloomConfig,
    BloomForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    OPTForSequenceClassification,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tarazu.data.rows import PreferencePair

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
VOCABULARY = 264  # 256 bytes and the special tokens, up to a multiple of 8
_SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
"""The shape of the models of Llama's kind."""


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that puts </s> first, as OPT's does."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *alphabet])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.post_processor = processors.TemplateProcessing(
        single="</s> $A", pair="</s> $A </s> $B", special_tokens=[("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="</s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


def opt(seed: int = 0, *, dropout: float = 0.0, positions: int = 512) -> OPTForCausalLM:
    torch.manual_seed(seed)
    return OPTForCausalLM(_opt_config(dropout=dropout, positions=positions)).eval()


def llama(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        **_SMALL,
        max_position_embeddings=512,
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def granite() -> GraniteForCausalLM:
    """Its logits are divided by a constant."""
    torch.manual_seed(0)
    config = GraniteConfig(
        **_SMALL,
        max_position_embeddings=512,
        pad_token_id=1,
        logits_scaling=3.0,
    )
    return GraniteForCausalLM(config).eval()


def biased_head() -> LlamaForCausalLM:
    model = llama()
    model.lm_head = torch.nn.Linear(32, VOCABULARY, bias=True)
    torch.nn.init.normal_(model.lm_head.bias)
    return model


def half() -> OPTForCausalLM:
    return opt().to(torch.bfloat16)


def qwen(seed: int = 0) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        **_SMALL,
        head_dim=16,
        max_position_embeddings=512,
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=2,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config).eval()


def windowed(window: int, seed: int = 0) -> Qwen2ForCausalLM:
    """A model whose layers attend only to the last `window` tokens."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        **_SMALL,
        use_sliding_window=True,
        sliding_window=window,
        max_window_layers=0,
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=2,
    )
    return Qwen2ForCausalLM(config).eval()


def bloom(seed: int = 0) -> BloomForCausalLM:
    """A causal model whose attention (ALiBi in eager mode) does not support packed rows."""
    torch.manual_seed(seed)
    config = BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, pad_token_id=1, eos_token_id=2)
    return BloomForCausalLM(config).eval()


class _UnpackableOPT(OPTForCausalLM):
    """OPT with a forward pass that passes no keywords on to its layers."""

    def forward(self, input_ids: Any, attention_mask: Any = None, use_cache: bool = False) -> Any:
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)


def unpackable(seed: int = 0) -> OPTForCausalLM:
    """The same weights as `opt`, in an architecture that cannot be packed."""
    torch.manual_seed(seed)
    return _UnpackableOPT(_opt_config()).eval()


def opt_reward(seed: int = 1) -> OPTForSequenceClassification:
    torch.manual_seed(seed)
    model = OPTForSequenceClassification(_opt_config(num_labels=1)).eval()
    torch.nn.init.normal_(model.score.weight, std=2.0)  # rewards of some size, on both sides of a threshold
    return model


def pair_reward(seed: int = 1) -> BertForSequenceClassification:
    """A reward model that takes prompt and response as a text pair, as deberta-v3 reward models do."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
        num_labels=1,
        pad_token_id=1,
    )
    model = BertForSequenceClassification(config).eval()
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    return model


def classifier(names: dict[int, str], problem: str | None = None, seed: int = 2) -> BertForSequenceClassification:
    """A classifier with these labels, which takes prompt and response as a text pair."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
        id2label=names,
        problem_type=problem,
        pad_token_id=1,
    )
    model = BertForSequenceClassification(config).eval()
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    return model


def causal_classifier(names: dict[int, str], problem: str | None = None, seed: int = 2) -> OPTForSequenceClassification:
    torch.manual_seed(seed)
    model = OPTForSequenceClassification(_opt_config(id2label=names, problem_type=problem)).eval()
    torch.nn.init.normal_(model.score.weight, std=2.0)
    return model


def _opt_config(*, dropout: float = 0.0, positions: int = 512, **changes: Any) -> OPTConfig:
    return OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        word_embed_proj_dim=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=64,
        max_position_embeddings=positions,
        dropout=dropout,
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=2,
        **changes,
    )


def saved(model: Any, folder: Path) -> str:
    """Save a checkpoint with a tokenizer in a folder, and return the folder."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


def pairs(count: int = 8, seed: int = 0) -> list[PreferencePair]:
    """Preference pairs of unequal lengths, in one- and two-turn transcripts."""
    words = ["rice", "water", "bread", "green", "house", "small", "river", "stone", "light", "paper", "song", "door"]
    generator = torch.Generator().manual_seed(seed)

    def text(least: int, most: int) -> str:
        length = int(torch.randint(least, most, (1,), generator=generator))
        return " ".join(words[int(torch.randint(len(words), (1,), generator=generator))] for _ in range(length))

    found = []
    for index in range(count):
        earlier = f"\n\nHuman: {text(2, 5)}\n\nAssistant: {text(2, 5)}" if index % 2 else ""
        found.append(
            PreferencePair(
                prompt_id=f"p{index}",
                language="en",
                source="test",
                prompt=f"{earlier}\n\nHuman: {text(2, 8)}\n\nAssistant:",
                chosen=f" {text(1, 9)}",
                rejected=f" {text(1, 9)}",
            )
        )
    return found


def perturbed(model: Any, seed: int, size: float = 0.02) -> Any:
    """Add noise to the model's weights in place, so that the policy differs from its reference."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    return model


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def silent(done: int, total: int, state: str) -> None:
    """Ignore progress reports."""


def texts(found: Sequence[PreferencePair]) -> list[dict[str, str]]:
    return [{"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected} for pair in found]


BROKEN = "ß"
"""A letter whose last byte has no finite embedding in the models of `broken`."""


def broken(model: Any, value: float = float("nan")) -> Any:
    """The model with one row of its input embeddings set to `value`, and its output embeddings apart and intact."""
    output = model.get_output_embeddings()
    if output is not None:
        output.weight = torch.nn.Parameter(output.weight.detach().clone())
        model.config.tie_word_embeddings = False
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer()(BROKEN, add_special_tokens=False)["input_ids"][-1]] = value
    return model

"""The model that all contenders of a benchmark use: the user's checkpoint, or a known shape with random weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tarazu.bench.results import ModelFacts
from tarazu.bench.settings import ModelBench

SEED = 0

SHAPES: dict[str, dict[str, int | bool | str | dict[str, str | float]]] = {
    "45m": {
        "hidden_size": 512,
        "word_embed_proj_dim": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "ffn_dim": 2048,
    },
    # facebook/opt-350m's configuration.
    "opt-350m": {
        "hidden_size": 1024,
        "word_embed_proj_dim": 512,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "ffn_dim": 4096,
        "do_layer_norm_before": False,
    },
    # HuggingFaceTB/SmolLM2-135M's configuration.
    "smollm2": {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
        "tie_word_embeddings": True,
    },
}
"""Configurations by name. Without a `model_type` it is OPT, with OPT's vocabulary and positions."""

_OPT = {
    "model_type": "opt",
    "vocab_size": 50272,
    "max_position_embeddings": 2048,
    "dropout": 0.0,
}
_TOKEN_IDS = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 2}  # OPT's ids, which `train_tokenizer` uses too


def random_model(shape: str, seed: int) -> Any:
    """A model of one of `SHAPES` in float32, its weights drawn by `seed`."""
    import transformers

    transformers.set_seed(seed)
    config = transformers.AutoConfig.for_model(**({} if "model_type" in SHAPES[shape] else _OPT) | SHAPES[shape])
    for name, value in _TOKEN_IDS.items():
        setattr(config, name, value)
    return transformers.AutoModelForCausalLM.from_config(config, dtype="float32")


def write_model(folder: Path, bench: ModelBench, texts: Iterable[str]) -> tuple[Any, Any]:
    """Write the model and its tokenizer into `folder` in float32, and return both.

    The weights of a shape are random, and its tokenizer is trained on `texts`. Raises BadInput for a checkpoint that
    cannot be loaded.
    """
    from tarazu.align import checkpoints
    from tarazu.bench.tokenizer import train_tokenizer

    if bench.model is not None:
        tokenizer = checkpoints.load_tokenizer(bench.model, key="--model")
        model = checkpoints.load_causal_lm(bench.model, key="--model").cpu()
    else:
        tokenizer = train_tokenizer(texts)
        model = random_model(bench.shape, SEED)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def use_bf16(bench: ModelBench) -> bool:
    """Whether the contenders compute in bfloat16."""
    return has_cuda() if bench.dtype is None else bench.dtype == "bfloat16"


def model_facts(model: Any, bench: ModelBench) -> ModelFacts:
    """Facts about the model for a benchmark's result."""
    return ModelFacts(
        shape=bench.shape if bench.model is None else Path(bench.model).name,
        weights="random" if bench.model is None else "the checkpoint's",
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )

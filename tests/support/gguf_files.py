"""Small GGUF files, in the format that https://github.com/ggml-org/ggml/blob/master/docs/gguf.md describes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_ALIGNMENT = 32


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<II", 4, value)


def gguf_bytes(metadata: Mapping[str, Any], tensors: Mapping[str, np.ndarray] | None = None) -> bytes:
    """A file of version 3. Numbers are uint32 or float32, lists are of texts, tensors are float32."""
    tensors = tensors or {}
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        header += text(key) + _value(value)
    data = b""
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]  # the fastest dimension comes first
        header += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += tensor.astype("<f4").tobytes()
        data += bytes(-len(data) % _ALIGNMENT)
    return header + bytes(-len(header) % _ALIGNMENT) + data


def write_llama(path: Path, model: Any) -> Path:
    """A tiny Llama of transformers in float32, without a tokenizer."""
    config = model.config
    weights = {name: value.detach().float().numpy() for name, value in model.state_dict().items()}

    def rotary(name: str, heads: int) -> np.ndarray:
        """llama.cpp's Llama rotates neighbours; transformers' rotates the halves of a head."""
        weight = weights[name]
        return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)

    tensors = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
        "output.weight": weights["lm_head.weight"],
    }
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"blk.{layer}", f"model.layers.{layer}"
        names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
        names |= {"attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj"}
        names |= {f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")}
        for short, long in names.items():
            tensors[f"{ours}.{short}.weight"] = weights[f"{theirs}.{long}.weight"]
        for part, heads in (("q", config.num_attention_heads), ("k", config.num_key_value_heads)):
            tensors[f"{ours}.attn_{part}.weight"] = rotary(f"{theirs}.self_attn.{part}_proj.weight", heads)
    metadata = {
        "general.architecture": "llama",
        "general.file_type": 0,
        "llama.block_count": config.num_hidden_layers,
        "llama.context_length": config.max_position_embeddings,
        "llama.embedding_length": config.hidden_size,
        "llama.feed_forward_length": config.intermediate_size,
        "llama.attention.head_count": config.num_attention_heads,
        "llama.attention.head_count_kv": config.num_key_value_heads,
        "llama.attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "llama.rope.freq_base": float(config.rope_parameters["rope_theta"]),
        "llama.vocab_size": config.vocab_size,
        "tokenizer.ggml.model": "none",
    }
    path.write_bytes(gguf_bytes(metadata, tensors))
    return path

"""How many tokens a model has positions for, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OFFSET = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "lilt",
        "longformer",
        "luke",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
"""Families that number positions from the padding token's id plus 1, so that their embedding has that many rows more
than the model has positions. OPT's and BART's embeddings have 2 more rows than `max_position_embeddings` says."""

_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "model_max_length",
)
"""Attributes that say it, the usual first: GPT-2's `n_positions`, MPT's `max_seq_len`, and those of models that bring
their own code."""

_EXTENDED = frozenset({"linear", "dynamic", "yarn"})
"""Ways to stretch rotary positions by a factor that `max_position_embeddings` may not include. With the others
(Llama 3's, LongRoPE) it does."""


def positions_of(config: Any) -> int | None:
    """The longest sequence of a model, in tokens; None where its configuration names no limit (BLOOM, Falcon with
    ALiBi, Mamba).

    transformers builds MPT's ALiBi biases for `max_seq_len` tokens, so there it is a limit.
    """
    config = config.get_text_config()
    if config.model_type == "bloom" or (config.model_type == "falcon" and config.alibi):
        return None
    values = (getattr(config, name, None) for name in _NAMES)
    positions = next((value for value in values if isinstance(value, int) and value > 0), None)
    if positions is None:
        return None
    if config.model_type in _OFFSET:
        return positions - config.pad_token_id - 1
    return _stretched(positions, getattr(config, "rope_parameters", None))


def _stretched(positions: int, rope: Any) -> int:
    """Positions with a rotary embedding's scaling: the factor counts from `original_max_position_embeddings`. A model
    with a scaling per kind of layer (Gemma 3) declares the outcome."""
    if not isinstance(rope, Mapping) or rope.get("rope_type") not in _EXTENDED or not rope.get("factor"):
        return positions
    original = rope.get("original_max_position_embeddings") or positions
    return max(positions, int(original * rope["factor"]))

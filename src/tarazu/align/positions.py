"""The number of tokens that a model has positions for, from its configuration."""

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
"""Families whose positions start at the padding token's id plus 1, so that their embedding has that many more rows than
the model has positions. OPT's and BART's embeddings have 2 more rows than `max_position_embeddings`."""

_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "model_max_length",
)
"""Attributes that hold the number, the most common first. They include GPT-2's `n_positions`, MPT's `max_seq_len`, and
those of models that come with their own code."""

_EXTENDED = frozenset({"linear", "dynamic", "yarn"})
"""Rotary scalings whose factor `max_position_embeddings` may not include. With other scalings (Llama 3's, LongRoPE) it
does."""


def positions_of(config: Any) -> int | None:
    """The longest sequence of a model in tokens, or None if its configuration sets no limit (BLOOM, Falcon with ALiBi,
    Mamba).

    `max_seq_len` is a limit for MPT, because transformers builds its ALiBi biases for that many tokens.
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
    """Positions after rotary scaling: the factor applies to `original_max_position_embeddings`. A model that scales
    each kind of layer differently (Gemma 3) declares the result itself."""
    if not isinstance(rope, Mapping) or rope.get("rope_type") not in _EXTENDED or not rope.get("factor"):
        return positions
    original = rope.get("original_max_position_embeddings") or positions
    return max(positions, int(original * rope["factor"]))

"""Models and requests to decode, and the agreement of responses with plain generate."""

from __future__ import annotations

import random
from typing import Any

import tiny
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from tarazu.respond._plain import generate_alone
from tarazu.respond._transformers import TransformersEngine
from tarazu.respond.agreement import Agreement, agreement
from tarazu.respond.engine import Request
from tarazu.study.generation import Generation

ENDS = [2]


def qwen2(seed: int = 0) -> Qwen2ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=tiny.VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=1, bos_token_id=2, eos_token_id=2,
    )  # fmt: skip
    return Qwen2ForCausalLM(config).eval()


MODELS = {"opt": tiny.opt, "llama": tiny.llama, "qwen2": qwen2}


def requests(count: int, seed: int) -> list[Request]:
    """Prompts of 4 to 60 tokens with a common prefix, some of them twice, and budgets of three sizes."""
    draw = random.Random(seed)
    made: list[Request] = []
    for _ in range(count):
        if made and draw.random() < 0.1:
            made.append(draw.choice(made))
            continue
        ids = (2, 70, 71, *(draw.randrange(4, 260) for _ in range(draw.randrange(1, 58))))
        made.append(Request(ids=ids, budget=draw.choice([1, 8, 20])))
    return made


def compared(model: Any, queries: list[Request], **settings: Any) -> Agreement:
    engine = TransformersEngine(model, tiny.tokenizer(), Generation(cut_at_next_turn=False, **settings))
    found, in_slots = engine.tokens(queries, tiny.silent)
    assert in_slots
    plain = [generate_alone(model, one.ids, one.budget, ENDS, 1) for one in queries]
    return agreement(found, [tokens for tokens, _ in plain], [leads for _, leads in plain])


def likely_to_end(model: Any) -> Any:
    """Adds noise, so that logits are far from uniform and the end token occurs sometimes."""
    return tiny.perturbed(model, seed=1, size=0.4)

"""Trains models in a separate process: python gpu_training.py METHOD,MODEL,PRECISION ...

Prints the losses of each training and a digest of its weights as JSON, to compare runs with and without a GPU.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tiny
import transformers

from tarazu.align.checkpoints import device
from tarazu.align.reference import weights_sha256
from tarazu.align.tokens import tokenize_pairs
from tarazu.align.train import train, train_reward_model
from tarazu.align.trainer import TrainingRun
from tarazu.conversation.formats import Format
from tarazu.seeds import repeatable_on_cuda
from tarazu.study.schema import DPOArm, RewardTraining, SFTArm

PER_STEP, STEPS = 8, 20
# Adam's steps do not shrink for a gradient that is only rounding noise (the bias of OPT's keys), so the difference
# between two machines grows with the learning rate.
RATES = {"dpo": 1e-5, "lora": 3e-4, "sft": 3e-4, "reward": 1e-4}


def opt() -> transformers.OPTForCausalLM:
    config = transformers.OPTConfig(
        vocab_size=tiny.VOCABULARY, hidden_size=128, word_embed_proj_dim=128, num_hidden_layers=4, ffn_dim=512,
        num_attention_heads=8, max_position_embeddings=512, dropout=0.0, pad_token_id=1, bos_token_id=2, eos_token_id=2,
    )  # fmt: skip
    return transformers.OPTForCausalLM(config)


def llama() -> transformers.LlamaForCausalLM:
    config = transformers.LlamaConfig(
        vocab_size=tiny.VOCABULARY, hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=8,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=1, bos_token_id=2, eos_token_id=2,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


MODELS = {"opt": opt, "llama": llama}


def main(method: str, name: str, precision: str) -> dict[str, Any]:
    transformers.set_seed(0)
    settings = {
        "learning_rate": RATES[method],
        "batch_size": PER_STEP,
        "max_length": 256,
        "model_dropout": 0.0,
    }
    run = TrainingRun(pad_id=1, seed=5, progress=tiny.silent, use_bf16=precision == "bfloat16")
    pairs, _ = tokenize_pairs(tiny.pairs(PER_STEP * STEPS), Format(tiny.tokenizer()), max_length=256)
    if method == "reward":
        model = tiny.opt_reward().to(device())
        model, curve = train_reward_model(model, pairs, RewardTraining(**{"from": "x"}, **settings), run, centre=0.01)
    else:
        arm = {
            "sft": lambda: SFTArm(method="sft", **settings),
            "dpo": lambda: DPOArm(method="dpo", **settings),
            "lora": lambda: DPOArm(method="dpo", lora={"r": 8}, **settings),
        }[method]()
        model, curve = train(MODELS[name]().to(device()), pairs, arm, run)
    return {
        "device": model.device.type,
        "losses": [row["loss"] for row in curve],
        "weights": weights_sha256(model),
    }


if __name__ == "__main__":
    repeatable_on_cuda()
    print(json.dumps({spec: main(*spec.split(",")) for spec in sys.argv[1:]}))

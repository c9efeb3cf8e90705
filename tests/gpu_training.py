"""One training, in a process of its own: python gpu_training.py METHOD MODEL PRECISION STEPS.

It prints losses and a digest of the weights. Run with and without a visible GPU, it says how far the two are apart.
"""

from __future__ import annotations

import json
import sys

import tiny
import torch
import transformers

from tarazu.align.checkpoints import device
from tarazu.align.reference import weights_sha256
from tarazu.align.tokens import tokenize_pairs
from tarazu.align.train import train, train_reward_model
from tarazu.seeds import repeatable_on_cuda
from tarazu.study.schema import DPOArm, RewardTraining, SFTArm, SimPOArm

PER_STEP = 8


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


def main(method: str, name: str, precision: str, steps: int) -> None:
    repeatable_on_cuda()
    transformers.set_seed(0)
    model = MODELS[name]()
    settings = {"learning_rate": 1e-4 if method == "reward" else 1e-3, "batch_size": PER_STEP, "max_length": 256, "model_dropout": 0.0}
    options = {"pad_id": 1, "seed": 5, "progress": tiny.silent, "half": precision == "bfloat16"}
    pairs, _ = tokenize_pairs(tiny.pairs(PER_STEP * steps), tiny.tokenizer(), max_length=256)
    if method == "reward":
        model = tiny.opt_reward()
        model, curve = train_reward_model(
            model.to(device()), pairs, RewardTraining(**{"from": "x"}, **settings), centre=0.01, **options
        )
    else:
        arm = {
            "sft": lambda: SFTArm(method="sft", **settings),
            "dpo": lambda: DPOArm(method="dpo", **settings),
            "ipo": lambda: DPOArm(method="dpo", loss="ipo", **settings),
            "lora": lambda: DPOArm(method="dpo", lora={"r": 8}, **settings),
            "simpo": lambda: SimPOArm(method="simpo", **settings),
        }[method]()
        model, curve = train(model.to(device()), pairs, arm, **options)
    found = {"device": model.device.type, "losses": [row["loss"] for row in curve], "weights": weights_sha256(model)}
    if torch.cuda.is_available():
        found["peak_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

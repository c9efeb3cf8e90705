"""Weights that are stored differently during training are restored afterwards."""

from __future__ import annotations

import peft
import tiny
import torch

from tarazu.align.memory import frozen_in_bfloat16


def test_frozen_linear_weights_are_in_bfloat16_within_the_context() -> None:
    """They are rounded as by autocast. Trained weights, and weights shared with an embedding (OPT's head), stay in
    float32."""
    model = peft.get_peft_model(tiny.opt(), peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with frozen_in_bfloat16(model):
        for name, parameter in model.named_parameters():
            linear = "_proj" in name or "fc" in name
            rounded = linear and "lora_" not in name and "layer_norm" not in name
            assert parameter.dtype == (torch.bfloat16 if rounded else torch.float32), name
            assert torch.equal(parameter, before[name].to(parameter.dtype)), name
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, before[name]), name

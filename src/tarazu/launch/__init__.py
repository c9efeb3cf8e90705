"""Configurations for `accelerate launch`."""

from pathlib import Path

FSDP = Path(__file__).with_name("fsdp.yaml")
"""Weights, gradients and optimizer state sharded over the GPUs of a machine."""

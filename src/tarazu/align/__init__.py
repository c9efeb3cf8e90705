"""Alignment training: checkpoints in, checkpoints out. Needs the `models` extra."""

"""Reward models: a scalar for each (prompt, response). Needs the `models` extra."""

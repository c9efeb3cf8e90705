"""Prompts in, responses out. Needs the `models` extra."""

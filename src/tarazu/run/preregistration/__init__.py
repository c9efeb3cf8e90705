"""A study's plan: made before a run, and bound to its responses."""

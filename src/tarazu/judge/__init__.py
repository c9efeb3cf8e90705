"""What labels a response: reward models, a scalar for each (prompt, response). Needs the `models` extra."""
